//! Who is served next: a function of who waits and of the permits that there are.
//!
//! # Guarantees
//! - Among those that wait for the same calls the more urgent goes first, and of renewals the one whose token expires first.
//!   Whoever can't be served yet because another kind of permit is missing keeps nobody waiting that needs other ones.
//! - No urgency starves another for good: after [`FAIR_SHARE`] that were served in a row while somebody less urgent waited,
//!   the least urgent goes first once. So a tenant who edits objects in a loop delays the renewals of others but can't stop them.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Instant;

use acs_identity::Operation;
use jiff::Timestamp;

use crate::controller::queue::FAIR_SHARE;
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
    /// How many were served in a row while somebody less urgent waited.
    passed_over: u32,
}

/// Those who wait for the same calls with the same urgency, but for the expiry of their tokens.
#[derive(Debug)]
struct Row<K> {
    calls: &'static [Operation],
    lane: LimiterLane,
    places: BTreeMap<Place, K>,
}

/// The order in a line: by urgency, then first come, first served.
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
            passed_over: 0,
        }
    }
}

impl<K: Clone + Eq + Hash> Line<K> {
    /// Puts somebody into the line, or moves it to where it belongs by now. Who asks again for the same keeps its place.
    pub fn join(&mut self, key: K, calls: &'static [Operation], urgency: Urgency, now: Instant) {
        let before = self.waiters.get(&key).copied();
        if before.is_some_and(|before| before.calls == calls && before.urgency == urgency) {
            return;
        }
        self.leave(&key);
        let since = before.map_or(now, |before| before.since);
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let waiter = Waiter {
            calls,
            urgency,
            since,
            sequence,
        };
        self.put_back(key, waiter);
    }

    /// Gives somebody who was served the place back that it had: before all who came later.
    pub fn put_back(&mut self, key: K, waiter: Waiter) {
        self.waiters.insert(key.clone(), waiter);
        let row = self.row(waiter.calls, waiter.urgency.lane());
        row.places.insert(waiter.place(), key);
    }

    /// Takes somebody out of the line.
    pub fn leave(&mut self, key: &K) -> Option<Waiter> {
        let waiter = self.waiters.remove(key)?;
        let row = self.row(waiter.calls, waiter.urgency.lane());
        row.places.remove(&waiter.place());
        Some(waiter)
    }

    /// Whether this one would have to wait behind somebody else who needs one of the same permits.
    pub fn is_behind(&self, key: &K, calls: &[Operation], urgency: Urgency) -> bool {
        let shares = |row: &&Row<K>| row.calls.iter().any(|call| calls.contains(call));
        let own = self.waiters.get(key).map(|waiter| waiter.place());
        let mut heads = self.rows.iter().filter(shares).filter_map(Row::head);
        heads.any(|head| match own {
            Some(own) => head < own,
            None => head.urgency <= urgency,
        })
    }

    /// About how many are served before whoever joins now.
    pub fn ahead(&self, calls: &[Operation], urgency: Urgency) -> usize {
        let before = |row: &&Row<K>| row.calls == calls && row.lane <= urgency.lane();
        self.rows.iter().filter(before).map(|row| row.places.len()).sum()
    }

    /// Serves whose turn it is. `permit` gives permits for calls, or says when it may.
    pub fn next<P>(&mut self, mut permit: impl FnMut(&'static [Operation]) -> Result<P, Instant>) -> Next<K, P> {
        let mut heads: Vec<(Place, usize)> = self
            .rows
            .iter()
            .enumerate()
            .filter_map(|(index, row)| Some((row.head()?, index)))
            .collect();
        heads.sort_unstable();
        let Some((_, least_urgent)) = heads.last().copied() else {
            self.passed_over = 0;
            return Next::Nobody;
        };
        if self.passed_over >= FAIR_SHARE {
            heads.rotate_right(1);
        }
        let mut earliest: Option<Instant> = None;
        for (_, index) in heads {
            match permit(self.rows[index].calls) {
                Ok(permit) => {
                    let passed_over = self.rows[index].lane < self.rows[least_urgent].lane;
                    self.passed_over = if passed_over { self.passed_over + 1 } else { 0 };
                    if let Some((_, key)) = self.rows[index].places.pop_first()
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

    fn row(&mut self, calls: &'static [Operation], lane: LimiterLane) -> &mut Row<K> {
        let found = self.rows.iter().position(|row| row.calls == calls && row.lane == lane);
        let index = found.unwrap_or_else(|| {
            self.rows.push(Row {
                calls,
                lane,
                places: BTreeMap::new(),
            });
            self.rows.len() - 1
        });
        &mut self.rows[index]
    }
}

impl<K> Row<K> {
    fn head(&self) -> Option<Place> {
        self.places.first_key_value().map(|(place, _)| *place)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CREATE: &[Operation] = &[Operation::Create];
    const ISSUE: &[Operation] = &[Operation::Issue];
    const REVOKE: &[Operation] = &[Operation::Revoke, Operation::Issue];

    fn routine(second: i64) -> Urgency {
        Urgency::Routine {
            expires: Timestamp::from_second(second).unwrap(),
        }
    }

    fn line(waiters: &[(&'static str, &'static [Operation], Urgency)]) -> Line<&'static str> {
        let (mut line, now) = (Line::default(), Instant::now());
        for (key, calls, urgency) in waiters {
            line.join(*key, calls, *urgency, now);
        }
        line
    }

    /// Everybody in the order in which they are served while there are permits for all.
    fn order(mut line: Line<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| match line.next(|_| Ok(())) {
            Next::Served(key, ..) => Some(key),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn an_expired_token_goes_before_what_a_user_waits_for_and_that_before_renewals_by_expiry() {
        let line = line(&[
            ("late", ISSUE, routine(30)),
            ("soon", ISSUE, routine(10)),
            ("new", CREATE, Urgency::Urgent),
            ("robbed", ISSUE, Urgency::Urgent),
            ("expired", ISSUE, Urgency::Expired),
        ]);
        assert_eq!(order(line), ["expired", "new", "robbed", "soon", "late"]);
    }

    #[test]
    fn who_asks_again_keeps_its_place_and_who_became_more_urgent_moves_up() {
        let mut line = line(&[
            ("a", ISSUE, routine(10)),
            ("b", ISSUE, routine(10)),
            ("c", ISSUE, routine(10)),
        ]);
        let now = Instant::now();
        line.join("a", ISSUE, routine(10), now);
        line.join("c", ISSUE, Urgency::Expired, now);
        assert_eq!(order(line), ["c", "a", "b"]);
    }

    #[test]
    fn who_waits_for_another_kind_of_permit_keeps_nobody_waiting() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut line = line(&[("revoked", REVOKE, Urgency::Urgent), ("due", ISSUE, routine(10))]);
        let no_revocations = |calls: &'static [Operation]| if calls == REVOKE { Err(later) } else { Ok(()) };
        assert!(matches!(line.next(no_revocations), Next::Served("due", ..)));
        assert_eq!(line.next(no_revocations), Next::At(later));
    }

    #[test]
    fn a_flood_of_urgent_calls_does_not_stop_renewals() {
        let (mut line, now) = (Line::default(), Instant::now());
        line.join(usize::MAX, ISSUE, routine(10), now);
        for key in 0..1000 {
            line.join(key, ISSUE, Urgency::Urgent, now);
        }
        let served = std::iter::from_fn(|| match line.next(|_| Ok(())) {
            Next::Served(key, ..) => Some(key),
            _ => None,
        });
        let before = served.take_while(|key| *key != usize::MAX).count();
        assert_eq!(before, usize::try_from(FAIR_SHARE).unwrap());
    }

    #[test]
    fn a_newcomer_waits_behind_those_of_the_same_urgency_that_need_the_same_permits_and_no_others() {
        let line = line(&[("revoked", REVOKE, Urgency::Urgent), ("due", ISSUE, routine(10))]);
        assert!(line.is_behind(&"new", ISSUE, Urgency::Urgent));
        assert!(!line.is_behind(&"new", ISSUE, Urgency::Expired));
        assert!(!line.is_behind(&"new", CREATE, routine(0)));
        assert!(
            !line.is_behind(&"revoked", REVOKE, Urgency::Urgent),
            "it is the first itself"
        );
        assert_eq!(
            (line.ahead(ISSUE, routine(5)), line.ahead(ISSUE, Urgency::Urgent)),
            (1, 0)
        );
    }

    #[test]
    fn who_leaves_is_not_served() {
        let mut line = line(&[("a", ISSUE, Urgency::Urgent), ("b", ISSUE, Urgency::Urgent)]);
        assert_eq!(line.leave(&"a").map(|waiter| waiter.calls), Some(ISSUE));
        assert_eq!(line.leave(&"a"), None);
        assert_eq!(order(line), ["b"]);
    }
}
