//! Creates, which may hang for a minute, and end so that nobody knows their result.
//!
//! # Guarantees
//! - Each that ends in doubt may have made an identity that nobody will ever use. So while ACS fails them, one at a time is tried for all
//!   who wait, ever more rarely, and the first that has an answer lets all others go on.
//! - Of those that hang some are under way at once, and while there is room one more each [`LONGEST`], which may have an answer. One that
//!   is permitted and never sent keeps nobody waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::space::SLOW;

/// Pauses between tries, doubling. What waits for the end of an outage goes on within half a minute of it.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(20);

/// A doubt that was not followed by a try for so long says nothing any more.
const REMEMBERED: Duration = Duration::from_mins(5);

/// The creates through one connection.
#[derive(Debug)]
pub struct Creates {
    /// How many are usually under way at most: there is room for more.
    usual: usize,
    /// Held by each that is under way.
    under_way: Arc<()>,
    /// Told when one is over.
    over: Arc<Notify>,
    /// When the last one was permitted.
    permitted: Option<Instant>,
    /// When the last one had an answer.
    answered: Option<Instant>,
    /// What those came to that ended since.
    doubt: Option<Doubt>,
}

#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// How many tries in a row ended in doubt.
    tries: u32,
    /// When the last one did.
    last: Instant,
    /// When the next one may begin.
    next: Instant,
}

/// A create that is permitted and not over, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct UnderWay {
    counted: Option<Arc<()>>,
    /// Told when it is over.
    over: Arc<Notify>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // Whoever is told has to find it gone.
        self.counted = None;
        self.over.notify_one();
    }
}

impl Creates {
    /// Where there is room for so many calls at a time. `over` is told when one is over.
    pub fn within(room: usize, over: Arc<Notify>) -> Self {
        Self {
            usual: (room * 3 / 4).max(1),
            under_way: Arc::default(),
            over,
            permitted: None,
            answered: None,
            doubt: None,
        }
    }

    /// When the next one may begin, unless one ends or has an answer before; `None`: now.
    pub fn opens_at(&self, now: Instant) -> Option<Instant> {
        let doubt = self.doubt(now);
        let usual = if doubt.is_some() { 1 } else { self.usual };
        let crowded = self.permitted.filter(|_| self.under_way() >= usual);
        let crowded = crowded.map(|permitted| permitted + LONGEST);
        crowded.max(doubt.map(|doubt| doubt.next)).filter(|opens| *opens > now)
    }

    /// Whether the last ones ended in doubt, or hang.
    pub fn are_doubtful(&self, now: Instant) -> bool {
        let hang = self.under_way() >= self.usual && self.permitted.is_some_and(|permitted| permitted + SLOW <= now);
        hang || self.doubt(now).is_some()
    }

    fn doubt(&self, now: Instant) -> Option<Doubt> {
        self.doubt.filter(|doubt| now < doubt.last + REMEMBERED)
    }

    fn under_way(&self) -> usize {
        Arc::strong_count(&self.under_way) - 1
    }

    /// One is permitted.
    pub fn permit(&mut self, now: Instant) -> UnderWay {
        self.permitted = Some(now);
        UnderWay {
            counted: Some(Arc::clone(&self.under_way)),
            over: Arc::clone(&self.over),
        }
    }

    /// One that was sent at `begun` ended in doubt. Those that were under way together count as one try, and those that others have had
    /// answers since as none.
    pub fn doubted(&mut self, begun: Instant, now: Instant) {
        if self.answered.is_some_and(|answered| begun < answered) {
            return;
        }
        let tries = match self.doubt(now) {
            Some(before) if begun <= before.last => before.tries,
            Some(before) => before.tries.saturating_add(1),
            None => 1,
        };
        self.doubt = Some(Doubt {
            tries,
            last: now,
            next: now + pause(tries),
        });
    }

    /// One had an answer, whatever it was.
    pub fn answered(&mut self, now: Instant) {
        (self.answered, self.doubt) = (Some(now), None);
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

    /// All that are permitted now.
    fn permitted(creates: &mut Creates, now: Instant) -> Vec<UnderWay> {
        let next = || creates.opens_at(now).is_none().then(|| creates.permit(now));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn creates_that_end_in_doubt_are_tried_ever_more_rarely_but_within_half_a_minute() {
        let (mut creates, mut now, mut waits) = (Creates::within(8, Arc::default()), Instant::now(), Vec::new());
        for _ in 0..7 {
            drop(creates.permit(now));
            creates.doubted(now, now);
            let opens = creates.opens_at(now).unwrap();
            waits.push(opens - now);
            now = opens;
            assert_eq!(creates.opens_at(now), None);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 20, 20].map(seconds));
    }

    #[test]
    fn those_that_were_under_way_together_count_as_one_try() {
        let (mut creates, begun) = (Creates::within(8, Arc::default()), Instant::now());
        for number in 1..=8 {
            creates.doubted(begun, begun + seconds(number));
        }
        assert_eq!(creates.opens_at(begun), Some(begun + seconds(9)));
    }

    #[test]
    fn of_creates_that_hang_some_are_under_way_and_one_more_is_tried_within_half_a_minute() {
        for (room, at_once) in [(8, 6), (2, 1), (1, 1)] {
            let (mut creates, begun) = (Creates::within(room, Arc::default()), Instant::now());
            let mut hanging = permitted(&mut creates, begun);
            assert_eq!(hanging.len(), at_once, "{room}");
            assert_eq!(creates.opens_at(begun), Some(begun + seconds(20)));
            assert!(!creates.are_doubtful(begun) && creates.are_doubtful(begun + seconds(5)));
            for pauses in 1..4 {
                let more = permitted(&mut creates, begun + seconds(20) * pauses);
                assert_eq!(more.len(), 1);
                hanging.extend(more);
            }
            drop(hanging);
            assert_eq!(creates.opens_at(begun), None);
        }
    }

    #[test]
    fn while_creates_are_doubtful_one_is_under_way_and_one_that_is_not_sent_lets_another_go_at_once() {
        let (mut creates, begun) = (Creates::within(8, Arc::default()), Instant::now());
        creates.doubted(begun, begun);
        let tried = begun + seconds(1);
        let under_way = permitted(&mut creates, tried);
        assert_eq!(under_way.len(), 1);
        assert_eq!(creates.opens_at(tried), Some(tried + seconds(20)));
        drop(under_way);
        assert_eq!(creates.opens_at(tried), None);
    }

    #[test]
    fn the_first_answer_lets_all_others_go_on_though_some_that_were_sent_before_end_in_doubt() {
        let (mut creates, begun) = (Creates::within(8, Arc::default()), Instant::now());
        creates.doubted(begun, begun);
        creates.answered(begun + seconds(2));
        assert_eq!(creates.opens_at(begun), None);
        creates.doubted(begun + seconds(1), begun + seconds(3));
        assert!(!creates.are_doubtful(begun));
        creates.doubted(begun + seconds(3), begun + seconds(4));
        assert!(creates.are_doubtful(begun));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_when_one_is_over() {
        let over = Arc::new(Notify::new());
        let mut creates = Creates::within(1, Arc::clone(&over));
        drop(creates.permit(Instant::now()));
        over.notified().await;
        assert_eq!(creates.opens_at(Instant::now()), None);
    }
}
