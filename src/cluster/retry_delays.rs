//! How long to wait between two looks at something that has to come from outside.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);

/// 1 s, 2 s, 4 s, 8 s, and 10 s from then on, without end.
pub fn retry_delays() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(FIRST), |delay| Some(LONGEST.min(*delay * 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_ten_seconds_and_never_end() {
        let seconds: Vec<u64> = retry_delays().take(6).map(|delay| delay.as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
        assert_eq!(retry_delays().nth(100_000), Some(LONGEST));
    }
}
