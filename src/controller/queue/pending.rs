//! What is pending in one lane.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::Depth;
use crate::controller::turns::{Owned, Turns};

/// Keys that wait for their time, and those whose time has come: of these, namespaces take turns.
#[derive(Debug)]
pub struct Pending<K> {
    later: BTreeMap<Place, K>,
    due: Turns<Place, K>,
}

/// The order among the keys of one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When its time comes.
    pub due: Instant,
    /// Grows with every place given out: first in, first out among equal times, and no two places are equal.
    pub sequence: u64,
}

impl<K: Owned> Pending<K> {
    /// Nothing is.
    pub fn new() -> Self {
        Self {
            later: BTreeMap::new(),
            due: Turns::new(K::owner),
        }
    }

    /// Adds a key.
    pub fn insert(&mut self, place: Place, key: K) {
        self.later.insert(place, key);
    }

    /// Removes a key from its place.
    pub fn remove(&mut self, place: Place, key: &K) {
        if self.later.remove(&place).is_none() {
            self.due.remove(place, key);
        }
    }

    /// Has those take turns whose time has come at `now`. Whether there are any.
    pub fn line_up(&mut self, now: Instant) -> bool {
        while let Some(first) = self.later.first_entry().filter(|first| first.key().due <= now) {
            let (place, key) = first.remove_entry();
            self.due.insert(place, key);
        }
        !self.due.is_empty()
    }

    /// Takes the key whose turn it is among those that were [lined up](Self::line_up).
    pub fn pop(&mut self) -> Option<K> {
        self.due.pop().map(|(_, key)| key)
    }

    /// When the next time comes.
    pub fn next_time(&self) -> Option<Instant> {
        self.later.first_key_value().map(|(place, _)| place.due)
    }

    /// How much there is.
    pub fn depth(&self, now: Instant) -> Depth {
        let last = Place {
            due: now,
            sequence: u64::MAX,
        };
        let come = self.later.range(..=last).count();
        Depth {
            due: self.due.len() + come,
            later: self.later.len() - come,
        }
    }
}
