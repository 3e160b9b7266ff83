//! Who is served next: a function of who waits and of the permits that there are.
//!
//! # Guarantees
//! - Among those that wait for the same calls the more urgent goes first, and of renewals the one whose token expires first.
//!   Whoever can't be served yet because another kind of permit is missing keeps nobody waiting that needs other ones.
//! - Of those that wait for the same calls with the same urgency, but for renewals, the namespaces [take turns](super::super::turns): so a tenant who
//!   applies thousands of new users keeps the new user of another waiting for one turn.
//! - No urgency starves another: after [`FAIR_SHARE`] more urgent ones that were served while it waited, or as urgent ones for other calls
//!   of which it needs one too, the first of those that wait for the same calls with the same urgency is overdue, and goes before all who
//!   are not. So a tenant who edits objects in a
//!   loop delays the renewals of others but can't stop them, and a herd of expired tokens does not stop revocations.

#[cfg(test)]
mod tests;

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

use acs_identity::Operation;
use jiff::Timestamp;

use crate::controller::queue::FAIR_SHARE;
use crate::controller::turns::{Owned, Turns};
use crate::telemetry::metrics::LimiterLane;

/// How urgent calls are. Declared from the most to the least urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// The token has expired: a workload has none.
    Expired,
    /// A user waits: for a new identity, a revocation, a deletion, a Secret that was lost.
    Urgent,
    /// A token is to be replaced, or ended, in good time.
    Routine {
        /// When the token in use expires.
        expires: Timestamp,
    },
}

impl Urgency {
    /// The lane that it waits in.
    pub const fn lane(self) -> LimiterLane {
        match self {
            Self::Expired => LimiterLane::Expired,
            Self::Urgent => LimiterLane::Urgent,
            Self::Routine { .. } => LimiterLane::Routine,
        }
    }
}

/// Somebody who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiter {
    /// For permits for these calls together.
    pub calls: &'static [Operation],
    /// How urgently.
    pub urgency: Urgency,
    /// Since then.
    pub since: Instant,
    sequence: u64,
}

impl Waiter {
    /// The same one, with other calls: among those it keeps the order in which it came.
    #[must_use]
    pub fn turned_to(self, calls: &'static [Operation], urgency: Urgency) -> Self {
        Self { calls, urgency, ..self }
    }

    fn place(self) -> Place {
        Place {
            urgency: self.urgency,
            sequence: self.sequence,
        }
    }
}

/// What [`Line::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<K, P> {
    /// It is this one's turn.
    Served(K, Waiter, P),
    /// Nobody can be served before this time.
    At(Instant),
    /// Nobody waits.
    Nobody,
}

/// Those who wait for permits of one limiter. Adding, serving and leaving cost `O(log n)`.
#[derive(Debug)]
pub struct Line<K> {
    rows: Vec<Row<K>>,
    waiters: HashMap<K, Waiter>,
    next_sequence: u64,
}

/// Those who wait for the same calls with the same urgency, but for the expiry of their tokens.
#[derive(Debug)]
struct Row<K> {
    calls: &'static [Operation],
    lane: LimiterLane,
    places: Turns<Place, K>,
    /// How many more urgent ones were served since one of these was.
    passed_over: u32,
}

/// The places of a namespace before one are counted up to here. Whoever has more before it waits a while in any case.
const COUNTED: usize = 1000;

/// The order in a line among those of one namespace: by urgency, then first come, first served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    urgency: Urgency,
    sequence: u64,
}

impl<K> Default for Line<K> {
    /// Nobody waits.
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            waiters: HashMap::new(),
            next_sequence: 0,
        }
    }
}

impl<K: Clone + Eq + Hash + Owned> Line<K> {
    /// Puts somebody into the line, or moves it to where it belongs by now. Who asks again for the same keeps its place.
    pub fn join(&mut self, key: K, calls: &'static [Operation], urgency: Urgency, now: Instant) {
        let before = self.waiters.get(&key).copied();
        if before.is_some_and(|before| before.calls == calls && before.urgency == urgency) {
            return;
        }
        self.leave(&key);
        let since = before.map_or(now, |before| before.since);
        let waiter = self.newcomer(calls, urgency, since);
        self.waiters.insert(key.clone(), waiter);
        self.row(calls, urgency.lane()).places.insert(waiter.place(), key);
    }

    /// Somebody who comes after all who are there.
    pub fn newcomer(&mut self, calls: &'static [Operation], urgency: Urgency, since: Instant) -> Waiter {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        Waiter {
            calls,
            urgency,
            since,
            sequence,
        }
    }

    /// Gives somebody who was served, and could do nothing with it, the place back that it had: it is the next one of its urgency.
    pub fn put_back(&mut self, key: K, waiter: Waiter) {
        self.leave(&key);
        self.waiters.insert(key.clone(), waiter);
        let row = self.row(waiter.calls, waiter.urgency.lane());
        row.places.put_back(waiter.place(), key);
    }

    /// Serves somebody who asks for these calls by itself. Where it waited for them, it has had its turn.
    pub fn serve(&mut self, key: &K, calls: &[Operation], urgency: Urgency) -> Option<Waiter> {
        let waiter = *self.waiters.get(key)?;
        if waiter.calls != calls || waiter.urgency.lane() != urgency.lane() {
            return self.leave(key);
        }
        self.waiters.remove(key);
        let index = self.index(waiter.calls, waiter.urgency.lane());
        self.rows[index].places.serve(waiter.place(), key);
        self.pass_over_behind(index);
        Some(waiter)
    }

    /// Takes somebody out of the line.
    pub fn leave(&mut self, key: &K) -> Option<Waiter> {
        let waiter = self.waiters.remove(key)?;
        let row = self.row(waiter.calls, waiter.urgency.lane());
        row.places.remove(waiter.place(), key);
        Some(waiter)
    }

    /// Whether this one would have to wait behind somebody else who needs one of the same permits.
    pub fn is_behind(&self, key: &K, calls: &[Operation], urgency: Urgency) -> bool {
        let own = self.waiters.get(key);
        let mut rows = self.rows.iter().filter(|row| row.shares(calls));
        rows.any(|row| match (row.places.next(), own) {
            (None, _) => false,
            (Some(next), Some(own)) if row.is_of(own) => next != own.place(),
            (Some(next), Some(own)) => next < own.place(),
            (Some(next), None) => next.urgency <= urgency,
        })
    }

    /// About how many are served before this one: those before it that need one of the same permits.
    pub fn ahead(&self, key: &K) -> usize {
        let Some(waiter) = self.waiters.get(key) else { return 0 };
        let rows = self.rows.iter().filter(|row| row.shares(waiter.calls));
        rows.map(|row| row.before(waiter, key)).sum()
    }

    /// Serves whose turn it is. `permit` gives permits for calls, or says when it may.
    pub fn next<P>(&mut self, mut permit: impl FnMut(&'static [Operation]) -> Result<P, Instant>) -> Next<K, P> {
        let mut earliest: Option<Instant> = None;
        for index in self.in_order() {
            match permit(self.rows[index].calls) {
                Ok(permit) => {
                    self.pass_over_behind(index);
                    if let Some((_, key)) = self.rows[index].places.pop()
                        && let Some(waiter) = self.waiters.remove(&key)
                    {
                        return Next::Served(key, waiter, permit);
                    }
                }
                Err(at) => earliest = Some(earliest.map_or(at, |earliest| earliest.min(at))),
            }
        }
        earliest.map_or(Next::Nobody, Next::At)
    }

    /// The rows in which somebody waits, by whose turn it is: those first that are overdue, then the more urgent.
    fn in_order(&self) -> Vec<usize> {
        let heads = self.rows.iter().enumerate().filter_map(|(index, row)| {
            let overdue = row.passed_over.saturating_sub(FAIR_SHARE - 1);
            Some((Reverse(overdue), row.places.next()?, index))
        });
        let mut heads: Vec<_> = heads.collect();
        heads.sort_unstable();
        heads.into_iter().map(|(_, _, index)| index).collect()
    }

    fn pass_over_behind(&mut self, served: usize) {
        let (lane, calls) = (self.rows[served].lane, self.rows[served].calls);
        for (index, row) in self.rows.iter_mut().enumerate() {
            // As urgent ones that wait for some of the same permits: of a flood before them they have their share too.
            let is_beside = row.lane == lane && lane != LimiterLane::Routine && row.shares(calls);
            if index == served || row.places.is_empty() {
                row.passed_over = 0;
            } else if row.lane > lane || is_beside {
                row.passed_over += 1;
            }
        }
    }

    fn row(&mut self, calls: &'static [Operation], lane: LimiterLane) -> &mut Row<K> {
        let index = self.index(calls, lane);
        &mut self.rows[index]
    }

    fn index(&mut self, calls: &'static [Operation], lane: LimiterLane) -> usize {
        let found = self.rows.iter().position(|row| row.calls == calls && row.lane == lane);
        found.unwrap_or_else(|| {
            self.rows.push(Row {
                calls,
                lane,
                places: Turns::new(if lane == LimiterLane::Routine { |_| "" } else { K::owner }),
                passed_over: 0,
            });
            self.rows.len() - 1
        })
    }
}

impl<K> Row<K> {
    /// Whether they need one of the permits that these calls need.
    fn shares(&self, calls: &[Operation]) -> bool {
        self.calls.iter().any(|call| calls.contains(call))
    }

    /// Whether it waits here.
    fn is_of(&self, waiter: &Waiter) -> bool {
        self.calls == waiter.calls && self.lane == waiter.urgency.lane()
    }

    /// About how many of this row are served before one who waits here or in another row.
    fn before(&self, waiter: &Waiter, key: &K) -> usize {
        match self.lane.cmp(&waiter.urgency.lane()) {
            Ordering::Less => self.places.len(),
            Ordering::Equal if self.is_of(waiter) => self.places.before(waiter.place(), key, COUNTED),
            Ordering::Equal => self.places.earlier(waiter.place(), COUNTED),
            Ordering::Greater => 0,
        }
    }
}
