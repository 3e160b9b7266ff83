//! When a failed request is sent again by the client itself.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use crate::{Error, FailureClass};

/// How often and how soon the client repeats a request by itself.
///
/// Repeated are only operations for which that is safe (issue, revoke, delete, get), and only failures that can pass:
/// [`NotSent`](FailureClass::NotSent), [`Transient`](FailureClass::Transient) and
/// [`Throttled`](FailureClass::Throttled). A create is never repeated: that is for the caller to decide.
///
/// Delays double from the first to the longest, with jitter. A wait that the service asks for is kept; when it is longer
/// than the longest delay, the failure is returned at once instead. Every attempt is signed anew and counts against the
/// service's rate limits: a caller that schedules retries or meters calls by itself wants [`RetryPolicy::none`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    retries: u8,
    first_delay: Duration,
    longest_delay: Duration,
}

impl RetryPolicy {
    /// Every request is sent once.
    pub const fn none() -> Self {
        Self::new(0, Duration::from_millis(500), Duration::from_secs(10))
    }

    /// At most `retries` repeats, with delays from `first_delay` to `longest_delay`.
    pub const fn new(retries: u8, first_delay: Duration, longest_delay: Duration) -> Self {
        Self {
            retries,
            first_delay,
            longest_delay,
        }
    }

    pub(crate) fn delays(self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.first_delay)
            .with_max_delay(self.longest_delay)
            .with_max_times(self.retries.into())
            .with_jitter()
            .build()
    }

    /// Whether the failure can pass, for an operation that is safe to repeat.
    pub(crate) fn can_pass(error: &Error) -> bool {
        matches!(
            error.class(),
            FailureClass::NotSent | FailureClass::Transient { .. } | FailureClass::Throttled { .. }
        )
    }

    /// The wait before the next attempt; `None` ends the attempts.
    pub(crate) fn wait(self, error: &Error, delay: Option<Duration>) -> Option<Duration> {
        let asked = error.retry_after().unwrap_or(Duration::ZERO);
        if asked > self.longest_delay {
            None
        } else {
            delay.map(|delay| delay.max(asked))
        }
    }
}

impl Default for RetryPolicy {
    /// Up to 3 repeats, from half a second to 10 seconds apart.
    fn default() -> Self {
        Self::new(3, Duration::from_millis(500), Duration::from_secs(10))
    }
}
