//! How many requests of a kind are served in a time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Requests per window. `None` is no limit, `Some(0)` refuses all.
///
/// The defaults are those Microsoft documents: 1000 creates, 1000 creates with a token, 1000 issues, 500 revocations and
/// 500 deletes in 30 seconds. Whether the service's windows slide is not documented; these do, which is the harder case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Length of the window.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub window: Duration,
    /// Creates without a token.
    pub create: Option<u32>,
    /// Creates with a token.
    pub create_with_token: Option<u32>,
    /// Issues.
    pub issue: Option<u32>,
    /// Revocations.
    pub revoke: Option<u32>,
    /// Deletes.
    pub delete: Option<u32>,
    /// Whether a refused request counts too. Microsoft's general advice on 429 says that all requests count.
    pub count_refused: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            create: Some(1000),
            create_with_token: Some(1000),
            issue: Some(1000),
            revoke: Some(500),
            delete: Some(500),
            count_refused: true,
        }
    }
}

impl Limits {
    /// No limits at all.
    pub fn none() -> Self {
        Self {
            create: None,
            create_with_token: None,
            issue: None,
            revoke: None,
            delete: None,
            ..Self::default()
        }
    }

    fn of(&self, bucket: Bucket) -> Option<u32> {
        match bucket {
            Bucket::Create => self.create,
            Bucket::CreateWithToken => self.create_with_token,
            Bucket::Issue => self.issue,
            Bucket::Revoke => self.revoke,
            Bucket::Delete => self.delete,
        }
    }
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bucket {
    Create,
    CreateWithToken,
    Issue,
    Revoke,
    Delete,
}

/// Counts requests in sliding windows.
pub(crate) struct RateLimits {
    limits: Limits,
    /// When the requests that count were made, oldest first.
    counted: HashMap<Bucket, VecDeque<Duration>>,
}

impl RateLimits {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            counted: HashMap::new(),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Changes the limits; what was counted stays counted.
    pub(crate) fn set(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Counts a request made at `now`, or says how long to wait until one would be served.
    pub(crate) fn admit(&mut self, bucket: Bucket, now: Duration) -> Result<(), Duration> {
        let Some(limit) = self.limits.of(bucket) else {
            return Ok(());
        };
        let window = self.limits.window;
        let counted = self.counted.entry(bucket).or_default();
        while counted.front().is_some_and(|made| made.saturating_add(window) <= now) {
            counted.pop_front();
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let full = counted.len() >= limit;
        if !full || self.limits.count_refused {
            counted.push_back(now);
        }
        if !full {
            return Ok(());
        }
        // A place is free again once fewer than `limit` of those counted are still in the window.
        let blocking = if limit == 0 {
            counted.back()
        } else {
            counted.get(counted.len() - limit)
        };
        Err(blocking.map_or(window, |made| made.saturating_add(window).saturating_sub(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn limited(issue: u32, count_refused: bool) -> RateLimits {
        RateLimits::new(Limits {
            issue: Some(issue),
            count_refused,
            ..Limits::default()
        })
    }

    #[test]
    fn the_documented_limits_are_the_defaults() {
        let limits = Limits::default();
        assert_eq!((limits.create, limits.issue), (Some(1000), Some(1000)));
        assert_eq!(
            (limits.revoke, limits.delete, limits.window),
            (Some(500), Some(500), at(30))
        );
    }

    #[test]
    fn no_window_of_thirty_seconds_serves_more_than_the_limit() {
        let mut limits = limited(2, false);
        assert_eq!(limits.admit(Bucket::Issue, at(0)), Ok(()));
        assert_eq!(limits.admit(Bucket::Issue, at(20)), Ok(()));
        assert_eq!(limits.admit(Bucket::Issue, at(21)), Err(at(9)));
        assert_eq!(limits.admit(Bucket::Issue, at(30)), Ok(()));
        assert_eq!(limits.admit(Bucket::Issue, at(31)), Err(at(19)));
    }

    #[test]
    fn a_client_that_keeps_hammering_is_kept_out() {
        let mut limits = limited(1, true);
        assert_eq!(limits.admit(Bucket::Issue, at(0)), Ok(()));
        assert_eq!(limits.admit(Bucket::Issue, at(29)), Err(at(30)));
        assert_eq!(limits.admit(Bucket::Issue, at(30)), Err(at(30)));
        assert_eq!(limits.admit(Bucket::Issue, at(60)), Ok(()));
    }

    #[test]
    fn the_told_wait_is_enough() {
        for (limit, count_refused) in [(1, true), (3, true), (1, false), (3, false)] {
            let mut limits = limited(limit, count_refused);
            let mut now = at(0);
            for _ in 0..50 {
                now += Duration::from_millis(700);
                if let Err(wait) = limits.admit(Bucket::Issue, now) {
                    now += wait;
                    assert_eq!(limits.admit(Bucket::Issue, now), Ok(()), "limit {limit}");
                }
            }
        }
    }

    #[test]
    fn operations_do_not_use_up_each_others_limits() {
        let mut limits = limited(1, true);
        assert_eq!(limits.admit(Bucket::Issue, at(0)), Ok(()));
        assert_eq!(limits.admit(Bucket::Create, at(0)), Ok(()));
        assert!(limits.admit(Bucket::Issue, at(0)).is_err());
    }

    #[test]
    fn none_is_no_limit_and_zero_refuses_all() {
        let mut none = RateLimits::new(Limits::none());
        assert!((0..10_000).all(|_| none.admit(Bucket::Issue, at(0)).is_ok()));
        assert_eq!(limited(0, true).admit(Bucket::Issue, at(5)), Err(at(30)));
        assert_eq!(limited(0, false).admit(Bucket::Issue, at(5)), Err(at(30)));
    }
}
