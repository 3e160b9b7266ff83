//! A clock that nothing stops and nobody sets.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// On Linux the monotonic clock, and with it [`std::time::Instant`], stands still while the machine is suspended.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// An instant as the time since this machine was started. It goes on while the process is stopped and while the machine is
/// suspended, and means nothing on another machine: for what must be over after a time, whatever happened meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    /// The current instant.
    pub fn now() -> Self {
        let now = clock_gettime(CLOCK);
        let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
        Self(Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default()))
    }

    /// The instant that comes so much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// How long it is from `now` until this instant; zero when it is past.
    pub fn left(self, now: Self) -> Duration {
        self.0.saturating_sub(now.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_by_itself() {
        let before = BootTime::now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(BootTime::now() >= before.after(Duration::from_millis(2)));
    }

    #[test]
    fn what_is_past_leaves_no_time() {
        let now = BootTime::now();
        let later = now.after(Duration::from_secs(3));
        assert_eq!(
            (later.left(now), now.left(later)),
            (Duration::from_secs(3), Duration::ZERO)
        );
    }
}
