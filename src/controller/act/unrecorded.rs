//! New identities whose ids are not in status yet. Each of them is lost if the process ends meanwhile, so a namespace in which that takes
//! long gets no others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// It takes long from here on.
const LONG: Duration = Duration::from_secs(1);

/// In a namespace with so many of which it does, no other identity is created.
const MOST: usize = 8;

/// Since when there are some, by namespace.
#[derive(Default)]
pub struct Unrecorded(Mutex<HashMap<String, Vec<Instant>>>);

/// One of them, until it is dropped.
#[must_use]
pub(super) struct Waits {
    namespace: String,
    since: Instant,
    all: Arc<Unrecorded>,
}

impl Unrecorded {
    /// One more.
    pub(super) fn wait(self: &Arc<Self>, namespace: &str, now: Instant) -> Waits {
        self.lock().entry(namespace.to_owned()).or_default().push(now);
        Waits {
            namespace: namespace.to_owned(),
            since: now,
            all: Arc::clone(self),
        }
    }

    /// Whether there are too many in this namespace.
    pub(super) fn are_many(&self, namespace: &str, now: Instant) -> bool {
        let all = self.lock();
        let take_long = |all: &Vec<Instant>| all.iter().filter(|since| **since + LONG <= now).count();
        all.get(namespace).map_or(0, take_long) >= MOST
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Instant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        let Some(others) = all.get_mut(&self.namespace) else {
            return;
        };
        if let Some(own) = others.iter().position(|since| *since == self.since) {
            others.swap_remove(own);
        }
        if others.is_empty() {
            all.remove(&self.namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_that_wait_long_to_be_recorded_keep_others_from_being_created_in_their_namespace_only() {
        let (all, begun) = (Arc::new(Unrecorded::default()), Instant::now());
        let mut waiting: Vec<_> = (0..MOST).map(|_| all.wait("team-a", begun)).collect();
        assert!(!all.are_many("team-a", begun), "usually that is over within a moment");
        let later = begun + LONG;
        assert!(all.are_many("team-a", later) && !all.are_many("team-b", later));
        waiting.pop();
        assert!(!all.are_many("team-a", later));
        waiting.clear();
        assert!(all.lock().is_empty());
    }
}
