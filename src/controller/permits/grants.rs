//! What gives permits, or has to be waited for: the rate limits, and for creates what became of those before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acs_identity::Operation;
use acs_identity::limiter::{Limiter, Permit};
use tokio::sync::Notify;

use super::creates::{Creates, UnderWay};
use crate::decide::Bottleneck;

/// See the module's page.
pub struct Grants {
    pub limiter: Limiter,
    pub creates: Creates,
}

/// When it is somebody's turn.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// About when.
    pub at: Instant,
    /// What there is to wait for.
    pub behind: Bottleneck,
}

/// Permits for calls together.
pub struct Grant {
    pub permit: Permit,
    /// Until the create among them is over.
    pub create: Option<UnderWay>,
}

impl Grants {
    /// Those of `limiter`, where there is room for so many calls at a time. `changed` is told when there may be more.
    pub fn new(limiter: Limiter, room: usize, changed: &Arc<Notify>) -> Self {
        Self {
            limiter,
            creates: Creates::within(room, Arc::clone(changed)),
        }
    }

    /// Permits for these calls together, or about when there may be any.
    pub fn try_acquire(&mut self, calls: &[Operation], now: Instant) -> Result<Grant, Instant> {
        let is_create = calls.contains(&Operation::Create);
        if is_create && let Some(opens) = self.creates.opens_at(now) {
            return Err(opens);
        }
        let permit = self.limiter.try_acquire(calls, now)?;
        let create = is_create.then(|| self.creates.permit(now));
        Ok(Grant { permit, create })
    }

    /// The turn of who waits for these calls, behind so many others.
    pub fn turn(&self, calls: &[Operation], ahead: usize, now: Instant) -> Turn {
        let paces = calls.iter().filter_map(|call| self.limiter.pace(*call));
        let pace: Duration = paces.max().unwrap_or_default();
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let is_doubtful = calls.contains(&Operation::Create) && self.creates.are_doubtful(now);
        let held_back = self.creates.opens_at(now).filter(|_| is_doubtful);
        let opens = self.limiter.throttled_until(now).max(held_back).unwrap_or(now);
        Turn {
            // The next permit is not there yet.
            at: opens + pace.saturating_mul(ahead.saturating_add(1)),
            behind: if is_doubtful {
                Bottleneck::DoubtfulCreates
            } else {
                Bottleneck::RateLimits
            },
        }
    }
}
