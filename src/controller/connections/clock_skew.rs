//! How far the clock of a connection's ACS resource is ahead of the operator's: every answer tells by its `Date`.

use std::sync::{Arc, Mutex, PoisonError};

use acs_identity::{Error, Exchange, Observer};
use jiff::SignedDuration;

/// A refusal while the clocks differ by more than this says nothing of the credential: signatures carry the time.
const TOLERATED: SignedDuration = SignedDuration::from_mins(2);

/// What the last answer told; nothing before the first.
#[derive(Default)]
pub struct ClockSkew(Mutex<Option<SignedDuration>>);

impl ClockSkew {
    /// How far the clock of ACS was ahead in the last answer, good to a second or so.
    pub fn last(&self) -> Option<SignedDuration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, skew: SignedDuration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(skew);
    }
}

/// Observes the calls of one connection, and lets another observer see them too.
pub struct SkewObserver {
    /// Where it is noted.
    pub skew: Arc<ClockSkew>,
    /// Who observes as well.
    pub then: Arc<dyn Observer>,
}

impl Observer for SkewObserver {
    fn on_exchange(&self, exchange: &Exchange<'_>) {
        if let Some(skew) = exchange.clock_skew {
            self.skew.note(skew);
        }
        self.then.on_exchange(exchange);
    }
}

/// Whether the clocks may be to blame for a refusal.
pub fn may_be_to_blame(refusal: &Error) -> bool {
    refusal.clock_skew().is_some_and(|skew| skew.abs() > TOLERATED)
}

/// What ACS said when it refused a credential, with the clocks where they may be to blame.
pub fn refusal_words(refusal: &Error) -> String {
    match refusal.clock_skew().filter(|_| may_be_to_blame(refusal)) {
        Some(skew) => format!(
            "{}; the operator's clock differs from that of ACS by {skew:#}",
            refusal.fault()
        ),
        None => refusal.fault().to_string(),
    }
}
