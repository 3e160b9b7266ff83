//! The queue without the waiting: a function of what was added and of the time it is told.

use std::{collections::HashMap, hash::Hash};

use tokio::time::Instant;

use super::pending::{Pending, Place};
use super::{FAIR_SHARE, LONGEST_WAIT, Lane};
use crate::controller::turns::Owned;

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
    lanes: [Pending<K>; Lane::ALL.len()],
    keys: HashMap<K, State>,
    running: usize,
    next_sequence: u64,
    /// Turns in a row in which the due keys of each lane were passed over for a more urgent one.
    passed_over: [u32; Lane::ALL.len()],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    lane: Lane,
    place: Place,
}

#[derive(Debug)]
enum State {
    Pending(Slot),
    Running { again: Option<Slot>, forgotten: bool },
}

impl<K: Clone + Eq + Hash + Owned> Schedule<K> {
    /// An empty schedule.
    pub fn new() -> Self {
        Self {
            lanes: std::array::from_fn(|_| Pending::new()),
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
                // Put back where it was, it might lose its turn.
                if new != old {
                    *held = new;
                    self.lane(old.lane).remove(old.place, &key);
                    self.lane(new.lane).insert(new.place, key);
                }
            }
        }
    }

    /// Takes the key whose turn it is, if one is due at `now`; it is running until [`Self::done`].
    pub fn take(&mut self, now: Instant) -> Next<K> {
        let served = self.lane_to_serve(now);
        let Some(key) = served.and_then(|lane| self.lane(lane).pop()) else {
            let earliest = self.lanes.iter().filter_map(Pending::next_time).min();
            return earliest.map_or(Next::Idle, Next::At);
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
                self.lane(slot.lane).remove(slot.place, key);
                self.keys.remove(key);
            }
        }
    }

    /// How much is pending in `lane`.
    pub fn depth(&self, lane: Lane, now: Instant) -> Depth {
        self.lanes[lane as usize].depth(now)
    }

    /// How many keys are running.
    pub fn running(&self) -> usize {
        self.running
    }

    fn lane(&mut self, lane: Lane) -> &mut Pending<K> {
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
        let due = Lane::ALL.map(|lane| self.lane(lane).line_up(now));
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

impl<K: Clone + Eq + Hash + Owned> Default for Schedule<K> {
    fn default() -> Self {
        Self::new()
    }
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
