//! How fast events are written.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Lets `burst` events pass at once after a quiet time, and one in every `interval` on average.
///
/// It remembers a single instant: when the burst will be whole again (the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    burst: u32,
    whole_at: Instant,
}

impl Pace {
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        Self {
            interval,
            burst,
            whole_at: Instant::now(),
        }
    }

    /// Returns when the next event may be written, and counts it. Dropped before that, it counts nothing.
    pub(super) async fn turn(&mut self) {
        let whole_at = self.whole_at.max(Instant::now()) + self.interval;
        // At least one may pass, or nothing ever would.
        let ahead = self.interval * self.burst.max(1);
        if let Some(turn) = whole_at.checked_sub(ahead) {
            sleep_until(turn).await;
        }
        self.whole_at = whole_at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(200);

    async fn passed_within(pace: &mut Pace, time: Duration) -> u32 {
        let mut passed = 0;
        let count = async {
            loop {
                pace.turn().await;
                passed += 1;
            }
        };
        let _ = tokio::time::timeout(time, count).await;
        passed
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let mut pace = Pace::new(INTERVAL, 10);
        assert_eq!(passed_within(&mut pace, Duration::from_millis(1)).await, 10);
        assert_eq!(passed_within(&mut pace, Duration::from_secs(10)).await, 50);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_quiet_time_earns_no_more_than_one_burst() {
        let mut pace = Pace::new(INTERVAL, 10);
        assert_eq!(passed_within(&mut pace, Duration::from_millis(1)).await, 10);
        tokio::time::advance(Duration::from_hours(24)).await;
        assert_eq!(passed_within(&mut pace, Duration::from_millis(1)).await, 10);
    }
}
