//! The queue without the waiting: a function of what was added and of the time it is told.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use tokio::time::Instant;

use super::{FAIR_SHARE, LONGEST_WAIT, Lane};

/// What [`Schedule::take`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<K> {
    /// This key is running now.
    Ready(K),
    /// Nothing is due before this time.
    At(Instant),
    /// Nothing is pending.
    Idle,
}

/// How much is pending in a lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Keys whose time has come and which wait for a worker.
    pub due: usize,
    /// Keys whose timer runs.
    pub later: usize,
}

/// Keys with the time and the lane of their next look, and those that are being looked at.
///
/// Adding, taking and ending cost `O(log n)`; a key that waits costs two map entries and no task.
#[derive(Debug)]
pub struct Schedule<K> {
    lanes: [BTreeMap<Place, K>; Lane::ALL.len()],
    keys: HashMap<K, State>,
    running: usize,
    next_sequence: u64,
    /// Turns in a row in which the due keys of each lane were passed over for a more urgent one.
    passed_over: [u32; Lane::ALL.len()],
}

/// The order within a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    due: Instant,
    /// Grows with every place given out: first in, first out among equal times, and no two places are equal.
    sequence: u64,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    lane: Lane,
    place: Place,
}

#[derive(Debug)]
enum State {
    Pending(Slot),
    Running { again: Option<Slot>, forgotten: bool },
}

impl<K: Clone + Eq + Hash> Schedule<K> {
    /// An empty schedule.
    pub fn new() -> Self {
        Self {
            lanes: std::array::from_fn(|_| BTreeMap::new()),
            keys: HashMap::new(),
            running: 0,
            next_sequence: 0,
            passed_over: [0; Lane::ALL.len()],
        }
    }

    /// Asks for a look at `key`; see [`WorkQueue::add`](super::WorkQueue::add).
    pub fn add(&mut self, key: K, lane: Lane, due: Instant, now: Instant) {
        let wanted = self.slot(lane, due, now);
        match self.keys.get_mut(&key) {
            None => self.insert(key, wanted),
            Some(State::Running { again, .. }) => *again = Some(again.map_or(wanted, |held| join(held, wanted))),
            Some(State::Pending(held)) => {
                let (old, new) = (*held, join(*held, wanted));
                *held = new;
                self.lane(old.lane).remove(&old.place);
                self.lane(new.lane).insert(new.place, key);
            }
        }
    }

    /// Takes the key whose turn it is, if one is due at `now`; it is running until [`Self::done`].
    pub fn take(&mut self, now: Instant) -> Next<K> {
        let Some(lane) = self.lane_to_serve(now) else {
            let earliest = self.lanes.iter().filter_map(first_due).min();
            return earliest.map_or(Next::Idle, Next::At);
        };
        let Some((_, key)) = self.lane(lane).pop_first() else {
            return Next::Idle;
        };
        self.keys.insert(
            key.clone(),
            State::Running {
                again: None,
                forgotten: false,
            },
        );
        self.running += 1;
        Next::Ready(key)
    }

    /// Ends the run of `key`; see [`WorkQueue::done`](super::WorkQueue::done). Without effect on a key that does not
    /// run.
    pub fn done(&mut self, key: &K, next: Option<(Lane, Instant)>, now: Instant) {
        let Some(State::Running { again, forgotten }) = self.keys.get(key) else {
            return;
        };
        let (again, forgotten) = (*again, *forgotten);
        self.running -= 1;
        let timer = next.filter(|_| !forgotten).map(|(lane, due)| self.slot(lane, due, now));
        let slot = match (again, timer) {
            (Some(again), Some(timer)) => Some(join(again, timer)),
            (again, timer) => again.or(timer),
        };
        match slot {
            Some(slot) => self.insert(key.clone(), slot),
            None => drop(self.keys.remove(key)),
        }
    }

    /// Drops what is pending for `key`; see [`WorkQueue::forget`](super::WorkQueue::forget).
    pub fn forget(&mut self, key: &K) {
        match self.keys.get_mut(key) {
            None => {}
            Some(State::Running { again, forgotten }) => (*again, *forgotten) = (None, true),
            Some(State::Pending(slot)) => {
                let slot = *slot;
                self.lane(slot.lane).remove(&slot.place);
                self.keys.remove(key);
            }
        }
    }

    /// How much is pending in `lane`.
    pub fn depth(&self, lane: Lane, now: Instant) -> Depth {
        let places = &self.lanes[lane as usize];
        let due = places
            .range(
                ..=Place {
                    due: now,
                    sequence: u64::MAX,
                },
            )
            .count();
        Depth {
            due,
            later: places.len() - due,
        }
    }

    /// How many keys are running.
    pub fn running(&self) -> usize {
        self.running
    }

    fn lane(&mut self, lane: Lane) -> &mut BTreeMap<Place, K> {
        &mut self.lanes[lane as usize]
    }

    fn slot(&mut self, lane: Lane, due: Instant, now: Instant) -> Slot {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        Slot {
            lane,
            place: Place {
                due: due.min(now + LONGEST_WAIT),
                sequence,
            },
        }
    }

    fn insert(&mut self, key: K, slot: Slot) {
        self.lane(slot.lane).insert(slot.place, key.clone());
        self.keys.insert(key, State::Pending(slot));
    }

    /// The most urgent lane that has a due key, but for one that is overdue: it was passed over for its share of turns.
    fn lane_to_serve(&mut self, now: Instant) -> Option<Lane> {
        let is_due = |lane: &Lane| first_due(&self.lanes[*lane as usize]).is_some_and(|due| due <= now);
        let due = Lane::ALL.map(|lane| is_due(&lane));
        let lanes = || Lane::ALL.into_iter().filter(|lane| due[*lane as usize]);
        let overdue = lanes().find(|lane| self.passed_over[*lane as usize] >= FAIR_SHARE);
        let served = overdue.or_else(|| lanes().next())?;
        for lane in Lane::ALL {
            let passed_over = &mut self.passed_over[lane as usize];
            let is_waiting = due[lane as usize] && lane != served;
            *passed_over = if is_waiting {
                *passed_over + u32::from(lane > served)
            } else {
                0
            };
        }
        Some(served)
    }
}

impl<K: Clone + Eq + Hash> Default for Schedule<K> {
    fn default() -> Self {
        Self::new()
    }
}

fn first_due<K>(lane: &BTreeMap<Place, K>) -> Option<Instant> {
    lane.first_key_value().map(|(place, _)| place.due)
}

/// The more urgent lane and the earlier time. A key keeps its place in the line unless it is moved up.
fn join(held: Slot, wanted: Slot) -> Slot {
    let place = if wanted.place.due < held.place.due {
        wanted.place
    } else {
        held.place
    };
    Slot {
        lane: held.lane.min(wanted.lane),
        place,
    }
}
