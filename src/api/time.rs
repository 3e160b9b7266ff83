//! Times as Kubernetes stores them.

use jiff::{SignedDuration, Timestamp};

/// `time` in whole seconds, as Kubernetes stores times: one that kept its fraction would differ from what is read back.
///
/// # Guarantees
/// Rounded down, so that no token is thought to live longer than it does.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    let fraction = i64::from(time.subsec_nanosecond()).rem_euclid(1_000_000_000);
    time.checked_sub(SignedDuration::from_nanos(fraction)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_time_is_rounded_down_by_less_than_a_second(
            second in -377_705_023_200_i64..=253_402_207_199, nanosecond in 0_i32..1_000_000_000,
        ) {
            let time = Timestamp::new(second, nanosecond).unwrap();
            let whole = whole_seconds(time);
            prop_assert_eq!(whole.subsec_nanosecond(), 0);
            prop_assert!(whole <= time && time.duration_since(whole) < SignedDuration::from_secs(1));
            prop_assert_eq!(whole_seconds(whole), whole);
        }
    }
}
