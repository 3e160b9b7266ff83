//! Keeps a log line that could repeat from flooding the log.

use std::time::Duration;

use tokio::time::Instant;

/// Says when a line is due: at once, and from then on at most once in every interval.
#[derive(Debug)]
pub(super) struct LogInterval {
    interval: Duration,
    last: Option<Instant>,
}

impl LogInterval {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, last: None }
    }

    /// Whether to write the line now. A `true` starts the interval anew.
    pub(super) fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = self.last.is_none_or(|last| now - last >= self.interval);
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_due_at_once_and_then_once_an_interval() {
        let mut interval = LogInterval::new(Duration::from_mins(1));
        assert!(interval.is_due());
        assert!(!interval.is_due());
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!interval.is_due());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(interval.is_due());
        assert!(!interval.is_due());
    }
}
