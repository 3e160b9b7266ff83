//! Which events were told a moment ago.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use k8s_openapi::api::core::v1::ObjectReference;
use tokio::time::Instant;

/// The events of the last while, as hashes. It holds as many as were accepted in that time, and those are limited by the
/// queue and the pace.
#[derive(Debug)]
pub(super) struct Repeats {
    memory: Duration,
    hasher: RandomState,
    told: HashSet<u64>,
    oldest_first: VecDeque<(Instant, u64)>,
}

/// What an event is recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

impl Repeats {
    pub(super) fn new(memory: Duration) -> Self {
        Self {
            memory,
            hasher: RandomState::new(),
            told: HashSet::new(),
            oldest_first: VecDeque::new(),
        }
    }

    pub(super) fn fingerprint(&self, regarding: &ObjectReference, reason: &str, note: &str) -> Fingerprint {
        // The uid alone would do, but an object that is not stored yet has none.
        let object = (&regarding.uid, &regarding.kind, &regarding.namespace, &regarding.name);
        Fingerprint(self.hasher.hash_one((object, reason, note)))
    }

    /// Whether the same was remembered within the memory's time.
    pub(super) fn knows(&mut self, Fingerprint(event): Fingerprint) -> bool {
        self.forget();
        self.told.contains(&event)
    }

    pub(super) fn remember(&mut self, Fingerprint(event): Fingerprint) {
        self.told.insert(event);
        self.oldest_first.push_back((Instant::now(), event));
    }

    fn forget(&mut self) {
        let now = Instant::now();
        while let Some((_, event)) = self.oldest_first.pop_front_if(|(told, _)| now - *told >= self.memory) {
            self.told.remove(&event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice(uid: &str) -> ObjectReference {
        ObjectReference {
            name: Some("alice".into()),
            uid: Some(uid.into()),
            ..ObjectReference::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_event_is_known_for_a_while_and_then_forgotten() {
        let mut repeats = Repeats::new(Duration::from_mins(10));
        let event = repeats.fingerprint(&alice("1"), "Throttled", "wait");
        assert!(!repeats.knows(event));
        repeats.remember(event);
        tokio::time::advance(Duration::from_secs(599)).await;
        assert!(repeats.knows(event));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!repeats.knows(event));
        assert!(repeats.told.is_empty() && repeats.oldest_first.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn another_object_reason_or_note_is_another_event() {
        let mut repeats = Repeats::new(Duration::from_mins(10));
        let event = repeats.fingerprint(&alice("1"), "Throttled", "wait");
        repeats.remember(event);
        for other in [
            repeats.fingerprint(&alice("2"), "Throttled", "wait"),
            repeats.fingerprint(&alice("1"), "ServiceUnavailable", "wait"),
            repeats.fingerprint(&alice("1"), "Throttled", "wait for 30 s"),
        ] {
            assert!(!repeats.knows(other));
        }
    }
}
