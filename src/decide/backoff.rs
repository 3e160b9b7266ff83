//! How long to leave an object alone after a failure.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::failure::{Failure, FailureKind, Operation};
use super::renewal::{is_still, later};

const FIRST: SignedDuration = SignedDuration::from_secs(1);

/// Nothing may tell when what failed can be done again, and then all due work is to be under way within half a minute. What ACS is asked
/// meanwhile, the rate limits bound.
const LONGEST: SignedDuration = SignedDuration::from_secs(20);

/// The same after so many refusals of the API server in a row: each try is a request that many others may make as well.
const MANY: u32 = 10;
const LONGEST_AFTER_MANY: SignedDuration = SignedDuration::from_mins(1);

/// The same where ACS has said its last word on an identity that is to be deleted, and where each try makes an identity that has to be
/// deleted again.
const LONGEST_OF_ALL: SignedDuration = SignedDuration::from_mins(5);

/// So many failures count where the service says itself when to come back.
const COUNTED_WHEN_ASKED: u32 = 4;

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
    /// The trouble of an object after one more failure of what was `begun` then: 1 s doubling to 20 s, to a minute after many refusals, and
    /// to 5 min where no try is of use for anybody, up to a fifth less by a jitter that depends on the uid. Where the service asked for an
    /// instant, that is it, but for some seconds that it is left alone in any case.
    pub fn after(
        previous: Option<&Self>,
        failure: Failure,
        uid: &str,
        generation: i64,
        begun: Timestamp,
        now: Timestamp,
    ) -> Self {
        let count = previous
            .filter(|t| t.generation == generation && Class::of(&t.failure) == Class::of(&failure))
            .map_or(0, |t| t.count)
            .saturating_add(1);
        let wait = |count| later(now, delay(uid, count, longest(&failure, count)));
        let retry_at = (!failure.needs_a_change()).then(|| match failure.not_before() {
            Some(asked) => asked.max(wait(count.min(COUNTED_WHEN_ASKED))),
            None => wait(count),
        });
        Self {
            failure,
            at: now,
            begun,
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

/// Failures that count together: those of one class say nothing of how long another will last.
#[derive(PartialEq)]
enum Class {
    Passing,
    Refusal,
    LastWord,
}

impl Class {
    fn of(failure: &Failure) -> Self {
        match failure.kind {
            _ if failure.is_last_word() => Self::LastWord,
            FailureKind::WriteRefused => Self::Refusal,
            _ => Self::Passing,
        }
    }
}

fn longest(failure: &Failure, count: u32) -> SignedDuration {
    match Class::of(failure) {
        Class::LastWord => LONGEST_OF_ALL,
        Class::Refusal if count > MANY && failure.operation == Operation::Create => LONGEST_OF_ALL,
        Class::Refusal if count > MANY => LONGEST_AFTER_MANY,
        Class::Passing | Class::Refusal => LONGEST,
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

    fn failure(kind: FailureKind) -> Failure {
        Failure {
            kind,
            operation: Operation::Issue,
            words: "no answer".into(),
        }
    }

    fn seconds_of(count: u32) -> f64 {
        delay("uid", count, LONGEST_OF_ALL).as_secs_f64()
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
            .map(|n| delay(&format!("uid-{n}"), 9, LONGEST_OF_ALL).as_millis())
            .collect();
        assert!(distinct.len() > 50, "{}", distinct.len());
    }

    /// The wait after so many failures.
    fn wait_after(failures: u32, kind: &FailureKind, operation: Operation) -> SignedDuration {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let failure = Failure {
            operation,
            ..failure(kind.clone())
        };
        let trouble = (0..failures).fold(None, |before: Option<Trouble>, _| {
            Some(Trouble::after(before.as_ref(), failure.clone(), "uid", 1, now, now))
        });
        trouble.unwrap().retry_at.unwrap().duration_since(now)
    }

    #[test]
    fn however_long_something_has_failed_that_may_pass_it_is_tried_again_within_half_a_minute() {
        for (kind, operation) in [
            (FailureKind::Transient { until: None }, Operation::Write),
            (FailureKind::Transient { until: None }, Operation::Record),
            (FailureKind::Transient { until: None }, Operation::Issue),
            (FailureKind::Throttled { until: None }, Operation::Issue),
            (FailureKind::NotSent, Operation::Revoke),
            (FailureKind::InDoubt, Operation::Create),
            (FailureKind::SecretConflict, Operation::Write),
            (FailureKind::CredentialRejected, Operation::Issue),
        ] {
            let wait = wait_after(20, &kind, operation);
            assert!(
                wait <= SignedDuration::from_secs(20),
                "{kind:?} {operation:?}: {wait:?}"
            );
        }
    }

    #[test]
    fn what_the_api_server_refuses_is_tried_within_half_a_minute_for_minutes_and_then_more_rarely() {
        let waits =
            |operation| [10, 20].map(|count| wait_after(count, &FailureKind::WriteRefused, operation).as_secs());
        let ([soon, later], [as_soon, last]) = (waits(Operation::Write), waits(Operation::Create));
        assert!(soon <= 20 && (40..=60).contains(&later), "{soon} {later}");
        assert!(as_soon <= 20 && last > 180, "{as_soon} {last}");
    }

    #[test]
    fn a_deletion_on_which_acs_has_said_its_last_word_is_tried_ever_more_rarely() {
        for kind in [FailureKind::NotOwned, FailureKind::Rejected] {
            let wait = wait_after(20, &kind, Operation::Delete);
            assert!(wait > SignedDuration::from_mins(3), "{kind:?}: {wait:?}");
        }
    }

    #[test]
    fn failures_of_an_outage_count_nothing_towards_the_pause_after_a_last_word() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let away = failure(FailureKind::NotSent);
        let outage = (0..20).fold(None, |before: Option<Trouble>, _| {
            Some(Trouble::after(before.as_ref(), away.clone(), "uid", 1, now, now))
        });
        let word = Failure {
            operation: Operation::Delete,
            ..failure(FailureKind::NotOwned)
        };
        assert_eq!(Trouble::after(outage.as_ref(), word, "uid", 1, now, now).count, 1);
    }

    #[test]
    fn when_the_service_says_when_to_come_back_it_is_asked_then_but_for_some_seconds() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (failures, asked, expected) in [
            (1, SignedDuration::from_millis(1), 0.8..=1.0),
            (1, SignedDuration::from_secs(3), 3.0..=3.0),
            (20, SignedDuration::from_secs(1), 6.4..=8.0),
            (20, SignedDuration::from_secs(9), 9.0..=9.0),
            (20, SignedDuration::from_mins(30), 1800.0..=1800.0),
        ] {
            let kind = FailureKind::Throttled {
                until: Some(later(now, asked)),
            };
            let wait = wait_after(failures, &kind, Operation::Issue).as_secs_f64();
            assert!(expected.contains(&wait), "{failures} {asked:?}: {wait}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_prolongs_no_wait() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let trouble = Trouble::after(None, failure(FailureKind::InDoubt), "uid", 1, now, now);
        assert!(trouble.holds(1, now));
        let earlier = now.checked_sub(SignedDuration::from_mins(10)).unwrap();
        assert!(!trouble.holds(1, earlier));
    }

    #[test]
    fn a_changed_spec_is_tried_at_once_and_starts_counting_anew() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let first = Trouble::after(None, failure(FailureKind::Rejected), "uid", 1, now, now);
        assert!(first.holds(1, later(now, SignedDuration::from_hours(1000))));
        assert!(!first.holds(2, now));
        let second = Trouble::after(
            Some(&first),
            failure(FailureKind::Transient { until: None }),
            "uid",
            2,
            now,
            now,
        );
        assert_eq!(second.count, 1);
    }
}
