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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{collection::vec, prelude::*};

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
    fn namespaces_take_turns_where_users_wait_and_renewals_go_by_expiry_alone() {
        let line = line(&[
            ("a/1", CREATE, Urgency::Urgent),
            ("a/2", CREATE, Urgency::Urgent),
            ("a/3", CREATE, Urgency::Urgent),
            ("b/1", CREATE, Urgency::Urgent),
            ("a/soon", ISSUE, routine(10)),
            ("a/next", ISSUE, routine(20)),
            ("b/late", ISSUE, routine(30)),
        ]);
        let ahead = ["a/3", "b/1", "b/late"].map(|key| line.ahead(&key));
        assert_eq!(ahead, [3, 1, 2]);
        assert!(line.is_behind(&"b/1", CREATE, Urgency::Urgent));
        let is_of_users = |key: &&str| !key.contains("soon") && !key.contains("next") && !key.contains("late");
        let (users, renewals): (Vec<_>, Vec<_>) = order(line).into_iter().partition(is_of_users);
        assert_eq!(users, ["a/1", "b/1", "a/2", "a/3"]);
        assert_eq!(renewals, ["a/soon", "a/next", "b/late"]);
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
    fn a_revocation_does_not_wait_behind_a_flood_of_tokens_as_urgent_that_came_before() {
        let (mut line, now) = (Line::default(), Instant::now());
        for key in 0..1000 {
            line.join(key, ISSUE, Urgency::Urgent, now);
        }
        line.join(usize::MAX, REVOKE, Urgency::Urgent, now);
        let served = std::iter::from_fn(|| match line.next(|_| Ok(())) {
            Next::Served(key, ..) => Some(key),
            _ => None,
        });
        let before = served.take_while(|key| *key != usize::MAX).count();
        assert_eq!(before, usize::try_from(FAIR_SHARE).unwrap());
    }

    #[test]
    fn who_is_put_back_is_next_however_many_namespaces_wait() {
        let mut line = line(&[("a/1", CREATE, Urgency::Urgent), ("b/1", CREATE, Urgency::Urgent)]);
        let Next::Served(key, waiter, ()) = line.next(|_| Ok(())) else {
            panic!("somebody waits")
        };
        line.put_back(key, waiter);
        assert_eq!(order(line), ["a/1", "b/1"]);
    }

    #[test]
    fn who_asks_by_itself_has_its_turn_for_what_it_waited_for_and_no_other() {
        let waiters = [
            ("a/1", CREATE, Urgency::Urgent),
            ("a/2", CREATE, Urgency::Urgent),
            ("b/1", CREATE, Urgency::Urgent),
        ];
        for (asks_for, expected) in [(CREATE, ["b/1", "a/2"]), (ISSUE, ["a/2", "b/1"])] {
            let mut line = line(&waiters);
            line.serve(&"a/1", asks_for, Urgency::Urgent);
            assert_eq!(order(line), expected);
        }
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
    }

    #[test]
    fn who_asks_how_many_go_first_hears_of_those_that_need_the_same_permits_and_expire_sooner() {
        let line = line(&[
            ("late", ISSUE, routine(30)),
            ("middle", ISSUE, routine(20)),
            ("soon", ISSUE, routine(10)),
            ("revoked", REVOKE, Urgency::Urgent),
            ("new", CREATE, Urgency::Urgent),
        ]);
        let ahead = ["late", "middle", "soon", "revoked", "new"].map(|key| line.ahead(&key));
        assert_eq!(ahead, [3, 2, 1, 0, 0]);
    }

    /// A herd of each urgency, and one call of each kind that waits before the end of it.
    fn all_urgencies() -> [(Urgency, &'static [Operation]); 5] {
        [
            (Urgency::Expired, ISSUE),
            (Urgency::Urgent, ISSUE),
            (Urgency::Urgent, CREATE),
            (Urgency::Urgent, REVOKE),
            (routine(10), ISSUE),
        ]
    }

    proptest! {
        /// Whatever else comes, and however often.
        #[test]
        fn the_first_of_any_urgency_is_served_after_its_fair_share_of_others(
            comers in vec(0..all_urgencies().len(), 1..400),
            watched in 0..all_urgencies().len(),
        ) {
            let (mut line, now, rows) = (Line::default(), Instant::now(), all_urgencies());
            // It never empties while the watched one waits.
            for (number, row) in comers.iter().cycle().take(1000).enumerate() {
                let (urgency, calls) = rows[*row];
                line.join(number, calls, urgency, now);
            }
            let (urgency, calls) = rows[watched];
            let first = (0..1000).find(|number| rows[comers[number % comers.len()]] == rows[watched]);
            let first = first.unwrap_or_else(|| {
                line.join(usize::MAX, calls, urgency, now);
                usize::MAX
            });
            let served = std::iter::from_fn(|| match line.next(|_| Ok(())) {
                Next::Served(key, ..) => Some(key),
                _ => None,
            });
            let before = served.take_while(|key| *key != first).count();
            // Those that are overdue as well go first, and of the same urgency those that came first.
            let of_the_same = comers.iter().cycle().take(first.min(1000)).filter(|row| rows[**row].0 == urgency).count();
            let most = (usize::try_from(FAIR_SHARE).unwrap() + rows.len()) * (1 + of_the_same);
            prop_assert!(before <= most, "{before} of {most}");
        }
    }

    #[test]
    fn a_herd_of_expired_tokens_leaves_their_share_to_users_and_to_renewals() {
        let (mut line, now) = (Line::default(), Instant::now());
        for key in 0..1000 {
            line.join(key, ISSUE, Urgency::Expired, now);
            line.join(1000 + key, ISSUE, Urgency::Urgent, now);
            line.join(2000 + key, ISSUE, routine(10), now);
        }
        let mut counts = [0; 3];
        for _ in 0..170 {
            if let Next::Served(key, ..) = line.next(|_| Ok(())) {
                counts[key / 1000] += 1;
            }
        }
        assert_eq!(counts, [150, 10, 10]);
    }

    #[test]
    fn who_leaves_is_not_served() {
        let mut line = line(&[("a", ISSUE, Urgency::Urgent), ("b", ISSUE, Urgency::Urgent)]);
        assert_eq!(line.leave(&"a").map(|waiter| waiter.calls), Some(ISSUE));
        assert_eq!(line.leave(&"a"), None);
        assert_eq!(order(line), ["b"]);
    }
}
