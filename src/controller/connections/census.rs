//! How many users a connection has, counted no more often than is of use.

use std::time::{Duration, Instant};

use crate::decide::connection::Users;

/// The users of a connection are counted at most this often.
const BETWEEN_COUNTS: Duration = Duration::from_secs(1);

/// The users of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Census {
    /// How many there are.
    pub users: Users,
    /// How many renewals they will need in a second.
    pub renewals_per_second: f64,
}

/// The last census.
#[derive(Clone, Copy, Default)]
pub struct LastCensus {
    census: Census,
    /// When that was; `None`: never, or it is outdated.
    at: Option<Instant>,
}

impl LastCensus {
    /// What was counted; nobody before the first time.
    pub fn census(&self) -> Census {
        self.census
    }

    /// What was counted less than a second ago, and how long that is good for. Many users coming and going cost no more than
    /// that; the first one counts at once.
    pub fn recent(&self, now: Instant) -> Option<(Census, Duration)> {
        let age = now.duration_since(self.at?);
        let is_recent = self.census.users.all > 0 && age < BETWEEN_COUNTS;
        is_recent.then(|| (self.census, BETWEEN_COUNTS.saturating_sub(age)))
    }

    /// Notes what was counted.
    pub fn note(&mut self, census: Census, now: Instant) {
        (self.census, self.at) = (census, Some(now));
    }

    /// Something is to be decided by it for good: the next look counts anew.
    pub fn outdate(&mut self) {
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_good_for_a_second_unless_it_found_nobody_or_is_outdated() {
        let (mut last, start) = (LastCensus::default(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(last.recent(start), None);
        last.note(Census::default(), start);
        assert_eq!(last.recent(after(1)), None);
        let mut census = Census::default();
        census.users.all = 3;
        last.note(census, start);
        assert_eq!(last.recent(after(400)), Some((census, Duration::from_millis(600))));
        assert_eq!(last.recent(after(1000)), None);
        assert_eq!(last.census(), census);
        last.outdate();
        assert_eq!((last.recent(after(400)), last.census()), (None, census));
        last.note(census, start);
        assert!(last.recent(after(400)).is_some());
    }
}
