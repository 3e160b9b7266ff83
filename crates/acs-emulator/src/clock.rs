//! The one place where the emulator reads a clock.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// One reading of both clocks, handed to everything that decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// What the emulated service believes the time to be.
    pub wall: Timestamp,
    /// Time since the emulator started. Never jumps, so rate windows are measured with it.
    pub uptime: Duration,
}

/// The service's clock: the machine's, moved by an offset that can be changed at run time to play a skewed clock.
pub(crate) struct Clock {
    started: Instant,
    offset: Mutex<SignedDuration>,
}

impl Clock {
    pub(crate) fn new(offset: SignedDuration) -> Self {
        Self {
            started: Instant::now(),
            offset: Mutex::new(offset),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the emulator's one clock")]
    pub(crate) fn now(&self) -> Now {
        let machine = Timestamp::now();
        Now {
            wall: machine.saturating_add(self.offset()).unwrap_or(machine),
            uptime: self.started.elapsed(),
        }
    }

    pub(crate) fn offset(&self) -> SignedDuration {
        *self.offset.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn set_offset(&self, offset: SignedDuration) {
        *self.offset.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = offset;
    }
}
