//! When a token is due for renewal.
//!
//! Two clocks meet here: the expiration time is the service's, the issue time is ours. A skew of a few minutes
//! must change nothing but a metric, so no rule below depends on a difference smaller than [`EXPECTED_SKEW`].

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

/// The ACS SDKs refresh 10 minutes before expiry and the kubelet needs a minute or two to update a mounted Secret;
/// a renewal later than this would come too late for them.
pub const LATEST_BEFORE_EXPIRY: SignedDuration = SignedDuration::from_mins(15);

/// What the schema promises a token to be used at least: `renewBefore <= lifetime - 30m`.
const PROMISED_USE: SignedDuration = SignedDuration::from_mins(30);

/// Difference between two clocks that is treated as none.
const EXPECTED_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The shortest time between two renewals of one token, whatever the service answers.
const SHORTEST_USE: SignedDuration = SignedDuration::from_secs(2);

/// When to try again after an answer whose token had expired before it arrived (or whose clock is far from ours).
const AFTER_DEAD_ON_ARRIVAL: SignedDuration = SignedDuration::from_secs(30);

/// The life of one token, as it was really given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLife {
    /// When we asked for it, by our clock.
    pub issued: Timestamp,
    /// When it ends, by the service's clock.
    pub expires: Timestamp,
}

impl TokenLife {
    /// The instant at which the token is to be renewed.
    ///
    /// # Guarantees
    /// - Never later than 15 minutes before expiry; where the service gave less life than was asked for,
    ///   at two thirds of what it gave.
    /// - The jitter only ever makes it earlier, by at most 10 % of the life, and depends on nothing but `uid`:
    ///   a restart moves nothing.
    /// - Later than `issued` for every input, so that no answer of the service causes a hot loop.
    pub fn renew_at(self, renew_before: Option<SignedDuration>, uid: &str) -> Timestamp {
        let life = self.expires.duration_since(self.issued);
        if life <= SignedDuration::ZERO {
            return later(self.issued, AFTER_DEAD_ON_ARRIVAL);
        }
        let used = self.unjittered(renew_before);
        let jitter = fraction_of(uid, (life / 10).min(used / 2));
        later(self.issued, (used - jitter).max(SHORTEST_USE))
    }

    /// How long the token is used at most.
    fn unjittered(self, renew_before: Option<SignedDuration>) -> SignedDuration {
        let life = self.expires.duration_since(self.issued);
        let wanted = renew_before.unwrap_or(life / 3).max(LATEST_BEFORE_EXPIRY);
        let shortened = life - wanted < PROMISED_USE - EXPECTED_SKEW;
        life - if shortened { life / 3 } else { wanted }
    }

    /// Whether the token is still valid at `now`.
    pub fn is_valid(self, now: Timestamp) -> bool {
        now < self.expires
    }
}

/// A share of `whole` between none and all of it that is always the same for one `uid`.
fn fraction_of(uid: &str, whole: SignedDuration) -> SignedDuration {
    let digest = Sha256::digest(uid.as_bytes());
    let parts = u32::from(u16::from_be_bytes([digest[0], digest[1]]));
    let millis = whole.as_millis() * i128::from(parts) / i128::from(u32::from(u16::MAX) + 1);
    SignedDuration::from_millis(i64::try_from(millis).unwrap_or(0))
}

/// `start + by`, and the last representable instant where that is out of range.
pub fn later(start: Timestamp, by: SignedDuration) -> Timestamp {
    start.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Whether `span` has not passed since `start`. A start in the future tells nothing: the clock was set back since.
pub fn is_still(start: Timestamp, span: SignedDuration, now: Timestamp) -> bool {
    start <= now && now < later(start, span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ISSUED: i64 = 1_800_000_000;

    fn life(seconds: i64) -> TokenLife {
        let issued = Timestamp::from_second(ISSUED).unwrap();
        TokenLife {
            issued,
            expires: Timestamp::from_second(ISSUED + seconds).unwrap(),
        }
    }

    /// Seconds of use before renewal, without jitter where the uid allows: the range over many uids.
    fn use_seconds(seconds: i64, renew_before: Option<i64>) -> (i64, i64) {
        let all = (0..500).map(|n| {
            let at = life(seconds).renew_at(renew_before.map(SignedDuration::from_mins), &format!("uid-{n}"));
            at.as_second() - ISSUED
        });
        let all: Vec<_> = all.collect();
        (*all.iter().min().unwrap(), *all.iter().max().unwrap())
    }

    #[test]
    fn a_day_long_token_is_renewed_after_two_thirds_and_up_to_a_tenth_earlier() {
        let (earliest, latest) = use_seconds(24 * 3600, None);
        assert!((16 * 3600 - 8640..16 * 3600 - 8500).contains(&earliest), "{earliest}");
        assert!((16 * 3600 - 100..=16 * 3600).contains(&latest), "{latest}");
    }

    #[test]
    fn renew_before_is_kept_when_the_clock_differs_by_seconds_or_minutes() {
        for skew in [-240, -1, 0, 1, 240] {
            let (_, latest) = use_seconds(3600 + skew, Some(30));
            assert!(
                (1790 + skew - 20..=1800 + skew).contains(&latest),
                "skew {skew}: {latest}"
            );
        }
    }

    #[test]
    fn a_renewal_that_leaves_the_promised_half_hour_is_still_jittered_within_it() {
        let (earliest, latest) = use_seconds(24 * 3600, Some(23 * 60 + 30));
        assert!((900..920).contains(&earliest), "{earliest}");
        assert!((1780..=1800).contains(&latest), "{latest}");
    }

    #[test]
    fn a_token_that_lives_shorter_than_asked_for_is_renewed_at_two_thirds() {
        for seconds in [15, 60, 600, 1800] {
            let (_, latest) = use_seconds(seconds, Some(8 * 60));
            let two_thirds = seconds * 2 / 3;
            assert!(
                (two_thirds - 1 - seconds / 100..=two_thirds).contains(&latest),
                "{seconds} s: {latest}"
            );
        }
    }

    #[test]
    fn a_token_that_had_expired_on_arrival_is_not_asked_for_again_at_once() {
        for seconds in [0, -1, -7200] {
            assert_eq!(use_seconds(seconds, None), (30, 30));
        }
    }

    #[test]
    fn an_unrepresentable_instant_is_clamped() {
        let life = TokenLife {
            issued: Timestamp::MAX,
            expires: Timestamp::MIN,
        };
        assert_eq!(life.renew_at(None, "uid"), Timestamp::MAX);
    }

    /// Whatever the schema lets a manifest ask for, answered by a clock that is off by minutes.
    #[test]
    fn what_was_asked_for_and_given_is_renewed_in_time_whatever_the_clocks() {
        for lifetime in (60..=1440).step_by(15) {
            for renew_before in std::iter::once(None).chain((15..=lifetime - 30).step_by(15).map(Some)) {
                for skew in [-300, -7, 0, 7, 300] {
                    let token = life(lifetime * 60 + skew);
                    for uid in ["a", "4a1ddbb7-3f8f-4d9f-a9d5-5be3b6cbd2f3"] {
                        let at = token.renew_at(renew_before.map(SignedDuration::from_mins), uid);
                        let left = token.expires.duration_since(at);
                        let wanted = SignedDuration::from_mins(renew_before.unwrap_or(15));
                        assert!(
                            left >= wanted && at.as_second() >= ISSUED + 10 * 60,
                            "lifetime {lifetime}, renewBefore {renew_before:?}, skew {skew}: {left} left"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn an_upgrade_moves_no_renewal() {
        let at = |seconds: i64, before: Option<i64>, uid: &str| {
            let at = life(seconds).renew_at(before.map(SignedDuration::from_mins), uid);
            at.as_millisecond() - 1000 * ISSUED
        };
        let uid = "4a1ddbb7-3f8f-4d9f-a9d5-5be3b6cbd2f3";
        assert_eq!(
            [
                at(86_400, None, uid),
                at(86_400, None, "u"),
                at(3600, Some(30), uid),
                at(60, None, uid)
            ],
            [52_248_780, 57_195_264, 1_577_033, 36_284]
        );
    }

    /// A life between any two instants, most of them as the service gives them.
    fn any_life() -> impl Strategy<Value = TokenLife> {
        let any = || {
            let bounds = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
            (bounds, 0..1_000_000_000_i32).prop_map(|(s, ns)| Timestamp::new(s, ns).unwrap_or(Timestamp::MAX))
        };
        prop_oneof![
            3 => (-10_i64..200_000).prop_map(life),
            1 => (-5_i64..30).prop_map(life),
            1 => (any(), any()).prop_map(|(issued, expires)| TokenLife { issued, expires }),
        ]
    }

    fn any_renew_before() -> impl Strategy<Value = Option<SignedDuration>> {
        proptest::option::of(prop_oneof![
            (15_i64..1410).prop_map(SignedDuration::from_mins),
            any::<i64>().prop_map(SignedDuration::from_secs),
        ])
    }

    proptest! {
        #[test]
        fn no_input_makes_a_hot_loop_or_a_renewal_after_two_thirds_and_after_a_quarter_hour_before_expiry(
            token in any_life(), before in any_renew_before(), uid in ".{0,40}",
        ) {
            let at = token.renew_at(before, &uid);
            prop_assert!(at >= later(token.issued, SignedDuration::from_secs(2)));
            let life = token.expires.duration_since(token.issued);
            if life <= SignedDuration::ZERO {
                prop_assert_eq!(at, later(token.issued, AFTER_DEAD_ON_ARRIVAL));
            } else if life > SHORTEST_USE * 2 {
                let left = token.expires.duration_since(at);
                prop_assert!(left >= LATEST_BEFORE_EXPIRY.min(life / 3), "{left} left of {life}");
            }
        }

        #[test]
        fn jitter_makes_a_renewal_only_earlier_and_by_a_tenth_of_the_life_at_most(
            token in any_life(), before in any_renew_before(), uid in ".{0,40}",
        ) {
            let life = token.expires.duration_since(token.issued);
            prop_assume!(life > SignedDuration::ZERO);
            let unjittered = token.unjittered(before);
            let at = token.renew_at(before, &uid).duration_since(token.issued);
            prop_assert!(at <= unjittered.max(SHORTEST_USE));
            prop_assert!(at >= unjittered - life / 10 && at >= unjittered / 2);
        }

        #[test]
        fn the_same_object_renews_at_the_same_instant_after_a_restart(
            token in any_life(), before in any_renew_before(), uid in ".{0,40}",
        ) {
            prop_assert_eq!(token.renew_at(before, &uid), token.renew_at(before, &uid));
        }

        #[test]
        fn a_skew_of_minutes_moves_a_renewal_by_no_more_than_itself(
            lifetime in 60_i64..=1440, share in 0..100_i64, skew in -300_i64..=300, uid in "[a-f0-9-]{36}",
        ) {
            let before = (share > 0).then(|| SignedDuration::from_mins(15 + (lifetime - 45) * share / 100));
            let at = |skew: i64| life(lifetime * 60 + skew).renew_at(before, &uid);
            let moved = at(skew).duration_since(at(0)).abs();
            prop_assert!(moved <= SignedDuration::from_secs(skew.abs() + 1), "{moved} for a skew of {skew} s");
        }
    }
}
