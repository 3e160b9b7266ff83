//! The one place where the program asks what time it is.
//!
//! Decisions are functions of an instant that is handed to them, so that a test can put a token at any point of its life.
//! `clippy.toml` forbids the system's own functions everywhere else.

mod boot;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

pub use boot::BootTime;

/// Where the current instant comes from. Cheap to clone; clones share the same time.
///
/// # Guarantees
/// The system's clock may jump in either direction: two readings are not ordered. Durations inside the process
/// (time-outs, back-off) belong to tokio's monotonic clock instead.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<Mutex<Timestamp>>),
}

impl Clock {
    /// The operating system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `start` until the [`ManualClock`] moves it.
    pub fn manual(start: Timestamp) -> (Self, ManualClock) {
        let now = Arc::new(Mutex::new(start));
        (Self(Source::Manual(Arc::clone(&now))), ManualClock(now))
    }

    /// The current instant.
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Manual(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::Manual(_) => f.write_str("Manual"),
        }
    }
}

/// The hand of a manual clock.
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// Moves the time by `by`, which may be negative as on a machine whose clock is corrected.
    ///
    /// A step beyond the range of [`Timestamp`] leaves the time where it is.
    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.checked_add(by).unwrap_or(*now);
    }

    /// Puts the time at `instant`.
    pub fn set(&self, instant: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = instant;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told_and_all_its_clones_agree() {
        let start: Timestamp = "2026-11-23T09:00:00Z".parse().unwrap();
        let (clock, hand) = Clock::manual(start);
        let other = clock.clone();
        assert_eq!(clock.now(), start);

        hand.advance(SignedDuration::from_hours(8));
        assert_eq!(other.now(), "2026-11-23T17:00:00Z".parse().unwrap());
        hand.advance(SignedDuration::from_mins(-5));
        assert_eq!(clock.now(), "2026-11-23T16:55:00Z".parse().unwrap());
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "compared with the system's clock")]
    fn the_system_clock_tells_the_systems_time() {
        let before = Timestamp::now();
        let now = Clock::system().now();
        assert!(before <= now && now <= Timestamp::now());
    }
}
