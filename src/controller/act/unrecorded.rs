//! New identities whose ids cannot be written into status, for as long as that may last. Each of them is lost if the process ends
//! meanwhile, so a namespace in which there are some gets no others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// In a namespace with so many no other identity is created. Those that were under way before come on top.
const MOST: usize = 8;

/// How many there are in each namespace.
#[derive(Default)]
pub struct Unrecorded(Mutex<HashMap<String, usize>>);

/// One of them, until it is dropped.
#[must_use]
pub(super) struct Waits {
    namespace: String,
    all: Arc<Unrecorded>,
}

impl Unrecorded {
    /// One more.
    pub(super) fn wait(self: &Arc<Self>, namespace: &str) -> Waits {
        *self.lock().entry(namespace.to_owned()).or_default() += 1;
        Waits {
            namespace: namespace.to_owned(),
            all: Arc::clone(self),
        }
    }

    /// Whether there are enough in this namespace.
    pub(super) fn are_many(&self, namespace: &str) -> bool {
        self.lock().get(namespace).is_some_and(|count| *count >= MOST)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(count) = all.get_mut(&self.namespace) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_that_cannot_be_recorded_keep_others_from_being_created_in_their_namespace_only() {
        let all = Arc::new(Unrecorded::default());
        let mut waiting: Vec<_> = (0..MOST).map(|_| all.wait("team-a")).collect();
        assert!(all.are_many("team-a") && !all.are_many("team-b"));
        waiting.pop();
        assert!(!all.are_many("team-a"));
        waiting.clear();
        assert!(all.lock().is_empty());
    }
}
