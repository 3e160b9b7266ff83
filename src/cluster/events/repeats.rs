//! What was told last of each object, a moment ago.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use k8s_openapi::api::core::v1::ObjectReference;
use tokio::time::Instant;

/// The last event of each object in the last while, as hashes. It holds as many as were accepted in that time, and those are
/// limited by the queues and the pace.
///
/// Only the last one: a failure, a recovery and the same failure again are three pieces of news.
#[derive(Debug)]
pub(super) struct Repeats {
    memory: Duration,
    hasher: RandomState,
    told: HashMap<u64, Told>,
    oldest_first: VecDeque<(u64, Told)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    event: u64,
    at: Instant,
}

/// What an event is recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    object: u64,
    event: u64,
}

impl Repeats {
    pub(super) fn new(memory: Duration) -> Self {
        Self {
            memory,
            hasher: RandomState::new(),
            told: HashMap::new(),
            oldest_first: VecDeque::new(),
        }
    }

    pub(super) fn fingerprint(&self, regarding: &ObjectReference, reason: &str, note: &str) -> Fingerprint {
        // The uid alone would do, but an object that is not stored yet has none.
        let object = (&regarding.uid, &regarding.kind, &regarding.namespace, &regarding.name);
        Fingerprint {
            object: self.hasher.hash_one(object),
            event: self.hasher.hash_one((reason, note)),
        }
    }

    /// Whether the same was the last that was remembered of its object, within the memory's time.
    pub(super) fn knows(&mut self, new: Fingerprint) -> bool {
        self.forget();
        self.told.get(&new.object).is_some_and(|told| told.event == new.event)
    }

    pub(super) fn remember(&mut self, Fingerprint { object, event }: Fingerprint) {
        let at = Instant::now();
        self.told.insert(object, Told { event, at });
        self.oldest_first.push_back((object, Told { event, at }));
    }

    fn forget(&mut self) {
        let now = Instant::now();
        while let Some((object, old)) = self.oldest_first.pop_front_if(|(_, told)| now - told.at >= self.memory) {
            if self.told.get(&object) == Some(&old) {
                self.told.remove(&object);
            }
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
    async fn what_happened_in_between_makes_the_same_event_news() {
        let mut repeats = Repeats::new(Duration::from_mins(10));
        let works = repeats.fingerprint(&alice("1"), "TokenIssued", "works");
        let fails = repeats.fingerprint(&alice("1"), "Throttled", "wait");
        for event in [works, fails, works] {
            assert!(!repeats.knows(event));
            repeats.remember(event);
            tokio::time::advance(Duration::from_mins(4)).await;
        }
        assert!(
            repeats.knows(works),
            "what was told first is forgotten, what was told last is not"
        );
        tokio::time::advance(Duration::from_mins(6)).await;
        assert!(!repeats.knows(works));
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
