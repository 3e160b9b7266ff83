//! What gives permits, or has to be waited for: room for a call, the rate limits, and for creates what became of those before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acs_identity::Operation;
use acs_identity::limiter::{Limiter, Permit};
use tokio::sync::Notify;

use super::creates::{Creates, UnderWay};
use super::space::Space;
use crate::controller::room::{Room, Taken};
use crate::decide::Bottleneck;

/// Nobody can tell how long a call hangs. Whoever waits for its room asks again after this time.
const LONG: Duration = Duration::from_secs(15);

/// See the module's page.
pub struct Grants {
    pub limiter: Limiter,
    pub creates: Creates,
    pub space: Space,
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
    /// Until the first call is over.
    pub room: Taken,
    /// Until the create among them is over.
    pub create: Option<UnderWay>,
}

impl Grants {
    /// Those of `limiter`, where there is so much room. `changed` is told when there may be more.
    pub fn new(limiter: Limiter, room_for: impl Fn(Operation) -> Room, changed: &Arc<Notify>) -> Self {
        let space = Space::new(room_for);
        Self {
            limiter,
            creates: Creates::within(space.size(Operation::Create), Arc::clone(changed)),
            space,
        }
    }

    /// Permits for these calls together, with room for the first of them, or about when there may be any.
    pub fn try_acquire(&mut self, calls: &[Operation], now: Instant) -> Result<Grant, Instant> {
        let is_create = calls.contains(&Operation::Create);
        if is_create && let Some(opens) = self.creates.opens_at(now) {
            return Err(opens);
        }
        let first = calls.first().copied().unwrap_or(Operation::Issue);
        let room = self.space.try_take(first).ok_or(now + LONG)?;
        let permit = self.limiter.try_acquire(calls, now)?;
        self.space.begun(first, now);
        let create = is_create.then(|| self.creates.permit(now));
        Ok(Grant { permit, room, create })
    }

    /// The turn of who waits for these calls, behind so many others.
    pub fn turn(&self, calls: &[Operation], ahead: usize, now: Instant) -> Turn {
        let paces = calls.iter().filter_map(|call| self.limiter.pace(*call));
        let pace: Duration = paces.max().unwrap_or_default();
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let is_doubtful = calls.contains(&Operation::Create) && self.creates.are_doubtful(now);
        let held_back = self.creates.opens_at(now).filter(|_| is_doubtful);
        let is_hanging = calls.first().is_some_and(|first| self.space.is_hanging(*first, now));
        let room = is_hanging.then(|| now + LONG);
        let opens = self.limiter.throttled_until(now).max(held_back).max(room);
        Turn {
            // The next permit is not there yet.
            at: opens.unwrap_or(now) + pace.saturating_mul(ahead.saturating_add(1)),
            behind: if is_doubtful {
                Bottleneck::DoubtfulCreates
            } else if is_hanging {
                Bottleneck::UnansweredCalls
            } else {
                Bottleneck::RateLimits
            },
        }
    }
}
