//! Permits for calls to one ACS resource, and turns for those that have to wait.
//!
//! An object that must wait is told when its turn comes and is put back into the queue until then, so it holds no worker.
//! Turns are given out one after the other, at the pace at which permits flow in: a herd does not come back all at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acs_identity::Operation;
use acs_identity::limiter::{BudgetShare, Limiter, Permit, RateLimits, WINDOW};

/// Guards the calls through one connection.
pub struct Permits(Mutex<Inner>);

struct Inner {
    limiter: Limiter,
    /// The last turn that was given out, for each operation.
    turns: HashMap<Operation, Instant>,
}

impl Permits {
    /// Permits within the budget of `limiter`.
    pub fn new(limiter: Limiter) -> Self {
        Self(Mutex::new(Inner {
            limiter,
            turns: HashMap::new(),
        }))
    }

    /// Follows other limits. Turns under the former are turns no more; what ACS asked to wait for still holds everything back.
    pub fn adjust(&self, limits: &RateLimits, share: BudgetShare, now: Instant) {
        let mut inner = self.lock();
        inner.limiter.adjust(limits, share, now);
        inner.turns.clear();
    }

    /// A permit for these calls together. Who `had_a_turn` that came too early, or was taken by someone else, is not put behind
    /// those who came later.
    ///
    /// # Errors
    /// When to ask again.
    pub fn take(&self, operations: &[Operation], had_a_turn: bool, now: Instant) -> Result<Permit, Instant> {
        let mut inner = self.lock();
        match inner.limiter.try_acquire(operations, now) {
            Ok(permit) => Ok(permit),
            Err(earliest) if had_a_turn => Err(earliest),
            Err(earliest) => {
                let operation = operations.first().copied().unwrap_or(Operation::Get);
                let pace = inner.limiter.pace(operation).unwrap_or_default();
                let behind = inner
                    .turns
                    .get(&operation)
                    .filter(|last| **last > now)
                    .map(|last| *last + pace);
                let turn = behind.map_or(earliest, |behind| behind.max(earliest));
                inner.turns.insert(operation, turn);
                Err(turn)
            }
        }
    }

    /// How many calls of this operation the budget allows for in a second.
    pub fn per_second(&self, operation: Operation) -> f64 {
        let budget = self.lock().limiter.budget(operation).unwrap_or(0);
        f64::from(budget) / WINDOW.as_secs_f64()
    }

    /// The service answered a call with something else than 429.
    pub fn served(&self, permit: &Permit) {
        self.lock().limiter.served(permit);
    }

    /// The service answered a call with 429.
    pub fn throttled(&self, permit: &Permit, retry_after: Option<Duration>, now: Instant) {
        self.lock().limiter.throttled(permit, retry_after, now);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_get_turns_one_after_the_other() {
        let start = Instant::now();
        let permits = Permits::new(Limiter::new(&RateLimits::default(), BudgetShare::ALL, start));
        let turns: Vec<_> = (0..100)
            .map(|_| permits.take(&[Operation::Create], false, start).unwrap_err())
            .collect();
        assert!(turns.windows(2).all(|pair| pair[1] >= pair[0] + WINDOW / 1000));
        assert!(turns[99] < start + Duration::from_secs(5), "{:?}", turns[99] - start);
    }

    #[test]
    fn a_turn_that_has_come_finds_a_permit_when_nobody_else_took_it() {
        let start = Instant::now();
        let permits = Permits::new(Limiter::new(&RateLimits::default(), BudgetShare::ALL, start));
        let turn = permits.take(&[Operation::Delete], false, start).unwrap_err();
        assert!(permits.take(&[Operation::Delete], false, turn).is_ok());
    }

    #[test]
    fn who_finds_no_permit_at_its_turn_is_not_put_behind_those_who_came_later() {
        let start = Instant::now();
        let permits = Permits::new(Limiter::new(&RateLimits::default(), BudgetShare::ALL, start));
        let first = permits.take(&[Operation::Create], false, start).unwrap_err();
        let later: Vec<_> = (0..10)
            .map(|_| permits.take(&[Operation::Create], false, start).unwrap_err())
            .collect();
        assert!(
            permits.take(&[Operation::Create], false, first).is_ok(),
            "somebody else was faster"
        );
        let again = permits.take(&[Operation::Create], true, first).unwrap_err();
        assert!(again <= later[0], "{:?} after {:?}", again - start, later[0] - start);
    }
}
