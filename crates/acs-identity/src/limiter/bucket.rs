//! Permits of one operation, flowing in evenly.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::WINDOW;

/// By how much the times from permit to arrival may differ.
pub(super) const TRAVEL: Duration = Duration::from_secs(3);
/// A full bucket is this part of the budget.
const BURST_PART: u32 = 50;

/// A bucket with room for `burst` permits, into which one flows every `interval`.
///
/// From a bucket at most `burst + w / interval` permits come in any time `w`. With `budget = burst + steady - 1` and
/// `interval = (WINDOW + TRAVEL) / steady` that is less than `budget + 1` for any `w < WINDOW + TRAVEL`.
///
/// Kept as the instant at which the bucket is full (the generic cell rate algorithm), so time is all that is counted.
#[derive(Debug)]
pub(super) struct Bucket {
    budget: NonZeroU32,
    interval: Duration,
    /// How far from full the bucket may be and still hold a permit.
    room: Duration,
    full_at: Instant,
}

impl Bucket {
    pub fn empty(budget: NonZeroU32, now: Instant) -> Self {
        let burst = (budget.get() / BURST_PART).max(1);
        let steady = budget.get() - burst + 1;
        // Rounded up: a nanosecond short would be a permit too many in the end.
        let interval = (WINDOW + TRAVEL) / steady + Duration::from_nanos(1);
        Self {
            budget,
            interval,
            room: interval * (burst - 1),
            full_at: now + interval * burst,
        }
    }

    pub fn budget(&self) -> u32 {
        self.budget.get()
    }

    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// When the next permit has flowed in; `None`: there is one.
    pub fn available_at(&self, now: Instant) -> Option<Instant> {
        let missing = self.full_at.saturating_duration_since(now);
        let wait = missing.saturating_sub(self.room);
        (!wait.is_zero()).then(|| now + wait)
    }

    /// Takes a permit that [is there](Self::available_at).
    pub fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + self.interval;
    }
}
