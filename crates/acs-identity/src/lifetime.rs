//! How long a token is asked to live.

use std::time::Duration;

/// A token lifetime the service accepts: whole minutes, 60 to 1440 (documented by Microsoft; 59 and 1441 are refused in
/// the recordings of the official SDKs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenLifetime {
    minutes: u16,
}

/// The lifetime is not one that the service accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token lifetime is whole minutes, 60 (1 hour) to 1440 (24 hours)")]
pub struct TokenLifetimeError;

impl TokenLifetime {
    /// One hour.
    pub const MIN: Self = Self { minutes: 60 };
    /// 24 hours; also what the service gives when no lifetime is asked for.
    pub const MAX: Self = Self { minutes: 1440 };

    /// Takes 60 to 1440 minutes.
    ///
    /// # Errors
    /// [`TokenLifetimeError`] outside of that.
    pub const fn from_minutes(minutes: u16) -> Result<Self, TokenLifetimeError> {
        if minutes < Self::MIN.minutes || minutes > Self::MAX.minutes {
            return Err(TokenLifetimeError);
        }
        Ok(Self { minutes })
    }

    /// The lifetime in minutes.
    pub const fn as_minutes(self) -> u16 {
        self.minutes
    }

    /// The lifetime as a duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_mins(self.minutes as u64)
    }
}

impl TryFrom<Duration> for TokenLifetime {
    type Error = TokenLifetimeError;

    fn try_from(duration: Duration) -> Result<Self, Self::Error> {
        let seconds = duration.as_secs();
        if duration.subsec_nanos() != 0 || !seconds.is_multiple_of(60) {
            return Err(TokenLifetimeError);
        }
        u16::try_from(seconds / 60)
            .map_err(|_| TokenLifetimeError)
            .and_then(Self::from_minutes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_minutes_from_one_hour_to_a_day_are_accepted() {
        for (seconds, minutes) in [(3600, 60), (5400, 90), (86400, 1440)] {
            let lifetime = TokenLifetime::try_from(Duration::from_secs(seconds)).unwrap();
            assert_eq!(
                (lifetime.as_minutes(), lifetime.as_duration()),
                (minutes, Duration::from_secs(seconds))
            );
        }
        for bad in [0, 3540, 3599, 3601, 86401, 86460, u64::MAX] {
            assert!(TokenLifetime::try_from(Duration::from_secs(bad)).is_err(), "{bad}");
        }
        assert!(TokenLifetime::try_from(Duration::from_millis(3_600_001)).is_err());
    }
}
