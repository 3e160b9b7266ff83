//! How long to leave an object alone after a failure.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::renewal::{is_still, later};

const FIRST: SignedDuration = SignedDuration::from_secs(1);
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// The same while the API server is away: nothing tells when it is back, and then all due work is to be under way within half a minute.
const LONGEST_WITHOUT_SERVER: SignedDuration = SignedDuration::from_secs(20);

/// No `Retry-After` is taken to be longer.
const LONGEST_ASKED: SignedDuration = SignedDuration::from_hours(1);

/// A failure that has not been followed by a success yet. It lives in memory only: after a restart the object is
/// tried once more.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// The latest failure.
    pub failure: Failure,
    /// When that was.
    pub at: Timestamp,
    /// When what failed was begun.
    pub begun: Timestamp,
    /// How many failures in a row, from 1.
    pub count: u32,
    /// The generation of the object that failed: a changed spec is tried at once.
    pub generation: i64,
    /// Nothing is tried before this instant; `None`: not until the object changes.
    pub retry_at: Option<Timestamp>,
}

impl Trouble {
    /// The trouble after one more failure: 1 s doubling to 5 min, or to 20 s while the API server is away, up to a fifth less by a
    /// jitter that depends on `uid`, and never before the instant that the service asked for.
    pub fn after(previous: Option<&Self>, failure: Failure, uid: &str, generation: i64, now: Timestamp) -> Self {
        let count = previous
            .filter(|t| t.generation == generation)
            .map_or(0, |t| t.count)
            .saturating_add(1);
        let retry_at = if failure.needs_a_change() {
            None
        } else {
            let longest = if failure.is_of_an_absent_server() {
                LONGEST_WITHOUT_SERVER
            } else {
                LONGEST
            };
            let own = later(now, delay(uid, count, longest));
            Some(failure.not_before().map_or(own, |asked| asked.max(own)))
        };
        Self {
            failure,
            at: now,
            begun: now,
            count,
            generation,
            retry_at,
        }
    }

    /// Whether the object of this generation is still to be left alone at `now`.
    pub fn holds(&self, generation: i64, now: Timestamp) -> bool {
        let imposed = |until: Timestamp| is_still(self.at, until.duration_since(self.at).min(LONGEST_ASKED), now);
        self.generation == generation && self.retry_at.is_none_or(imposed)
    }
}

/// The pause after that many failures in a row, from 1: it doubles from the first to the longest.
pub fn doubled(first: SignedDuration, longest: SignedDuration, failures: u32) -> SignedDuration {
    first
        .checked_mul(1 << failures.saturating_sub(1).min(20))
        .unwrap_or(longest)
        .min(longest)
}

fn delay(uid: &str, count: u32, longest: SignedDuration) -> SignedDuration {
    let doubled = doubled(FIRST, longest, count);
    let digest = Sha256::new()
        .chain_update(uid.as_bytes())
        .chain_update(count.to_be_bytes())
        .finalize();
    let jitter = doubled / 5 * i32::from(digest[0]) / 256;
    doubled - jitter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::failure::{FailureKind, Operation};

    fn failure(kind: FailureKind) -> Failure {
        Failure {
            kind,
            operation: Operation::Issue,
            words: "no answer".into(),
        }
    }

    fn seconds_of(count: u32) -> f64 {
        delay("uid", count, LONGEST).as_secs_f64()
    }

    #[test]
    fn delays_double_from_a_second_to_five_minutes_with_little_jitter() {
        for (count, nominal) in [
            (1, 1.0),
            (2, 2.0),
            (3, 4.0),
            (9, 256.0),
            (10, 300.0),
            (33, 300.0),
            (u32::MAX, 300.0),
        ] {
            let got = seconds_of(count);
            assert!(got <= nominal && got >= nominal * 0.8, "failure {count}: {got}");
        }
    }

    #[test]
    fn objects_that_failed_together_do_not_come_back_together() {
        let distinct: std::collections::BTreeSet<_> = (0..100)
            .map(|n| delay(&format!("uid-{n}"), 9, LONGEST).as_millis())
            .collect();
        assert!(distinct.len() > 50, "{}", distinct.len());
    }

    #[test]
    fn however_long_the_api_server_was_away_it_is_asked_again_within_half_a_minute() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let wait = |kind, operation| {
            let failure = Failure {
                operation,
                ..failure(kind)
            };
            let trouble = (0..20).fold(None, |before: Option<Trouble>, _| {
                Some(Trouble::after(before.as_ref(), failure.clone(), "uid", 1, now))
            });
            trouble.unwrap().retry_at.unwrap().duration_since(now)
        };
        let away = FailureKind::Transient { until: None };
        for operation in [Operation::Write, Operation::Record] {
            assert!(wait(away.clone(), operation) <= SignedDuration::from_secs(20));
            // It answers: what it refuses it refuses for long.
            assert!(wait(FailureKind::WriteRefused, operation) > SignedDuration::from_mins(3));
        }
        assert!(wait(away, Operation::Issue) > SignedDuration::from_mins(3));
    }

    #[test]
    fn the_service_may_ask_for_more_patience_but_not_for_less() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let soon = later(now, SignedDuration::from_millis(1));
        let late = later(now, SignedDuration::from_mins(30));
        let after = |until| {
            let kind = FailureKind::Throttled { until: Some(until) };
            Trouble::after(None, failure(kind), "uid", 1, now).retry_at.unwrap()
        };
        assert!(after(soon) > later(now, SignedDuration::from_millis(700)));
        assert_eq!(after(late), late);
    }

    #[test]
    fn a_clock_that_is_set_back_prolongs_no_wait() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let trouble = Trouble::after(None, failure(FailureKind::InDoubt), "uid", 1, now);
        assert!(trouble.holds(1, now));
        let earlier = now.checked_sub(SignedDuration::from_mins(10)).unwrap();
        assert!(!trouble.holds(1, earlier));
    }

    #[test]
    fn a_changed_spec_is_tried_at_once_and_starts_counting_anew() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let first = Trouble::after(None, failure(FailureKind::Rejected), "uid", 1, now);
        assert!(first.holds(1, later(now, SignedDuration::from_hours(1000))));
        assert!(!first.holds(2, now));
        let second = Trouble::after(
            Some(&first),
            failure(FailureKind::Transient { until: None }),
            "uid",
            2,
            now,
        );
        assert_eq!(second.count, 1);
    }
}
