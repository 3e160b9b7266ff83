//! Creates whose result nobody knows. Each may have made an identity that nobody will ever use, so while ACS fails them, one at a time
//! is tried for all who wait, ever more rarely. The first that has an answer lets all others go on.

use std::time::{Duration, Instant};

/// Pauses between tries, doubling. What waits for the end of an outage goes on within half a minute of it.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(20);

/// What the last creates through one connection came to.
#[derive(Debug, Default)]
pub struct Creates(Option<Doubt>);

#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// How many tries in a row ended in doubt.
    tries: u32,
    /// When the last one did.
    last: Instant,
    /// When the next one may begin.
    next: Instant,
}

impl Creates {
    /// When the next one may begin; `None`: now.
    pub fn opens_at(&self, now: Instant) -> Option<Instant> {
        self.0.map(|doubt| doubt.next).filter(|next| *next > now)
    }

    /// One is permitted: until it has ended no other is, unless it takes long.
    pub fn permitted(&mut self, now: Instant) {
        if let Some(doubt) = &mut self.0 {
            doubt.next = now + pause(doubt.tries);
        }
    }

    /// One that was sent at `begun` ended in doubt. Those that were under way together count as one try.
    pub fn doubted(&mut self, begun: Instant, now: Instant) {
        let tries = match self.0 {
            Some(before) if begun <= before.last => before.tries,
            Some(before) => before.tries.saturating_add(1),
            None => 1,
        };
        self.0 = Some(Doubt {
            tries,
            last: now,
            next: now + pause(tries),
        });
    }

    /// One had an answer, whatever it was.
    pub fn answered(&mut self) {
        self.0 = None;
    }
}

fn pause(tries: u32) -> Duration {
    FIRST.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn creates_that_end_in_doubt_are_tried_ever_more_rarely_but_within_half_a_minute() {
        let (mut creates, mut now, mut waits) = (Creates::default(), Instant::now(), Vec::new());
        for _ in 0..7 {
            assert_eq!(creates.opens_at(now), None);
            creates.permitted(now);
            creates.doubted(now, now);
            let opens = creates.opens_at(now).unwrap();
            waits.push(opens - now);
            now = opens;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 20, 20].map(seconds));
    }

    #[test]
    fn those_that_were_under_way_together_count_as_one_try() {
        let (mut creates, begun) = (Creates::default(), Instant::now());
        for number in 1..=8 {
            creates.doubted(begun, begun + seconds(number));
        }
        assert_eq!(creates.opens_at(begun), Some(begun + seconds(9)));
    }

    #[test]
    fn while_one_is_tried_no_other_is_unless_it_takes_longer_than_the_pause() {
        let (mut creates, begun) = (Creates::default(), Instant::now());
        creates.doubted(begun, begun);
        let tried = begun + seconds(1);
        assert_eq!(creates.opens_at(tried), None);
        creates.permitted(tried);
        assert_eq!(creates.opens_at(tried), Some(tried + seconds(1)));
    }

    #[test]
    fn the_first_answer_lets_all_others_go_on() {
        let (mut creates, now) = (Creates::default(), Instant::now());
        creates.doubted(now, now);
        creates.answered();
        assert_eq!(creates.opens_at(now), None);
    }
}
