//! Holding everything back after a 429.

use std::time::{Duration, Instant};

use crate::retry_after;

/// The service's advice is not to come back at once, since refused requests count too.
const SHORTEST: Duration = Duration::from_secs(1);
const FIRST_DEFAULT: Duration = Duration::from_secs(2);
/// Less than the window over which the service counts: what it refused before is over by then.
const LONGEST_DEFAULT: Duration = Duration::from_secs(20);

/// Open, or closed until an instant.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: Option<Closed>,
    /// How many waits in a row did not help.
    streak: u32,
}

#[derive(Debug, Clone, Copy)]
struct Closed {
    last_refusal: Instant,
    until: Instant,
}

impl Gate {
    /// When the gate opens; `None`: it is open.
    pub fn opens_at(&self, now: Instant) -> Option<Instant> {
        self.closed.map(|closed| closed.until).filter(|until| *until > now)
    }

    /// A request that was permitted at `granted_at` was refused.
    pub fn close(&mut self, granted_at: Instant, retry_after: Option<Duration>, now: Instant) {
        if self.is_news(granted_at) {
            self.streak = self.streak.saturating_add(1);
        }
        let wait = match retry_after {
            Some(wait) => wait.clamp(SHORTEST, retry_after::LONGEST),
            None => self.default_wait(),
        };
        let until = self.closed.map_or(now + wait, |closed| closed.until.max(now + wait));
        self.closed = Some(Closed {
            last_refusal: now,
            until,
        });
    }

    /// A request that was permitted at `granted_at` was not refused.
    pub fn served(&mut self, granted_at: Instant) {
        if self.is_news(granted_at) {
            self.streak = 0;
        }
    }

    /// Whether a request was permitted after the last refusal; an older one says nothing about the wait since then.
    fn is_news(&self, granted_at: Instant) -> bool {
        self.closed.is_none_or(|closed| granted_at > closed.last_refusal)
    }

    fn default_wait(&self) -> Duration {
        let doublings = self.streak.saturating_sub(1).min(16);
        FIRST_DEFAULT.saturating_mul(1 << doublings).min(LONGEST_DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    /// Refuses requests one after the other, each permitted as soon as the gate is open, and notes the waits.
    fn waits(
        gate: &mut Gate,
        mut now: Instant,
        retry_after: Option<Duration>,
        times: usize,
    ) -> (Vec<Duration>, Instant) {
        let mut waits = Vec::new();
        for _ in 0..times {
            gate.close(now, retry_after, now);
            let opens = gate.opens_at(now).unwrap();
            waits.push(opens - now);
            now = opens + Duration::from_millis(1);
        }
        (waits, now)
    }

    #[test]
    fn without_advice_the_wait_doubles_from_2_to_20_seconds() {
        let (waits, _) = waits(&mut Gate::default(), Instant::now(), None, 6);
        assert_eq!(waits, [2, 4, 8, 16, 20, 20].map(seconds));
    }

    #[test]
    fn advice_is_kept_from_a_second_to_an_hour() {
        let now = Instant::now();
        for (advice, wait) in [
            (Duration::ZERO, 1),
            (seconds(7), 7),
            (seconds(100_000), 3600),
            (Duration::MAX, 3600),
        ] {
            assert_eq!(waits(&mut Gate::default(), now, Some(advice), 2).0, [seconds(wait); 2]);
        }
    }

    #[test]
    fn refusals_of_requests_under_way_together_count_once() {
        let (mut gate, start) = (Gate::default(), Instant::now());
        for n in 0..30 {
            gate.close(start, None, start + Duration::from_millis(n));
        }
        assert_eq!(gate.opens_at(start), Some(start + Duration::from_millis(2029)));
    }

    #[test]
    fn a_shorter_advice_does_not_open_the_gate_earlier() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.close(now, Some(seconds(10)), now);
        gate.close(now, Some(seconds(1)), now + seconds(1));
        assert_eq!(gate.opens_at(now), Some(now + seconds(10)));
    }

    #[test]
    fn a_request_that_is_served_after_the_wait_starts_the_waits_anew() {
        let mut gate = Gate::default();
        let (_, now) = waits(&mut gate, Instant::now(), None, 4);
        gate.served(now);
        assert_eq!(waits(&mut gate, now + seconds(1), None, 1).0, [seconds(2)]);
    }

    #[test]
    fn an_old_request_that_is_served_late_changes_nothing() {
        let mut gate = Gate::default();
        let start = Instant::now();
        let (_, now) = waits(&mut gate, start, None, 4);
        gate.served(start);
        assert_eq!(waits(&mut gate, now, None, 1).0, [seconds(20)]);
    }
}
