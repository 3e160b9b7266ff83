//! How long to wait before a failed watch is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

/// The first pause. Up to as much again is added at random to each.
const SHORTEST: Duration = Duration::from_millis(500);

/// Half of what the watch may lack behind a server that answers again, but for an answer that is still waited for.
const LONGEST: Duration = Duration::from_secs(5);

/// A failure this long after the last one is a new story.
const CALM: Duration = Duration::from_mins(1);

/// Doubling pauses, which begin anew after a calm time.
///
/// Not after any success, as kube's back-off has it: kube's watch reports the beginning of each list as a success, so
/// lists that fail would be tried again every second for ever.
#[derive(Debug)]
pub(super) struct Backoff {
    pauses: ExponentialBackoff,
    last: Option<Instant>,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self {
            pauses: pauses(),
            last: None,
        }
    }

    /// The pause after a failure that happened now.
    pub(super) fn failed(&mut self) -> Duration {
        let now = Instant::now();
        if self.last.is_some_and(|last| now - last > CALM) {
            self.pauses = pauses();
        }
        self.last = Some(now);
        self.pauses.next().unwrap_or(LONGEST)
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(SHORTEST)
        .with_max_delay(LONGEST)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_a_limit_and_begin_anew_after_a_calm_time() {
        let mut backoff = Backoff::new();
        for expected in [500, 1000, 2000, 4000, 5000, 5000] {
            let (pause, expected) = (backoff.failed(), Duration::from_millis(expected));
            assert!(
                (expected..=expected * 2).contains(&pause),
                "{pause:?} instead of {expected:?}"
            );
            tokio::time::advance(pause).await;
        }
        tokio::time::advance(CALM + Duration::from_secs(1)).await;
        assert!(backoff.failed() <= SHORTEST * 2);
    }
}
