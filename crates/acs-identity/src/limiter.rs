//! Staying inside the service's rate limits, restarts included.
//!
//! The service counts requests of each operation over 30 seconds ([`RateLimits`]). A [`Limiter`] hands out [`Permit`]s so
//! that **in no 30-second window more requests than the budget are permitted**. It is a pure state machine: it does not
//! wait, spawn or read a clock. Queues, lanes and timers are put around it.
//!
//! # How the budget holds over a restart
//!
//! Each operation has a bucket that holds at most a few permits (a fiftieth of the budget) and fills evenly. Whoever
//! takes all there is, at any moment, gets at most one full bucket and then what flows in; over 30 seconds that is the
//! budget. Counting requests in a sliding window would allow the same sum in a burst, but then a new process that does not
//! know its predecessor's burst would have to be silent for 30 seconds.
//!
//! **A new limiter starts with empty buckets.** An empty bucket is never fuller than the one the predecessor left, and
//! it fills no faster. So all permits of all predecessors and this one together are at most what a single limiter that
//! ran all the time could have given, however often the process restarted. And yet a newcomer is served practically at
//! once: the first permit flows in after 1/budget of the window, 67 ms for 500 per 30 seconds. (A budget of 5 takes 6 seconds:
//! fewer cannot hold, since the predecessor may just have used its own.)
//!
//! It follows that a limiter must be made at the moment its process takes over, not while another one still sends.
//!
//! # Requests on their way
//!
//! The service counts when requests arrive. Permits are therefore spread over 33 seconds, so that requests stay inside
//! its window too when some arrive up to three seconds later after their permit than others: connections have to be made, and an issue
//! whose permit was taken together with that of a revocation waits until the revocation's second has passed.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use acs_identity::Operation;
//! use acs_identity::limiter::{BudgetShare, Limiter, RateLimits};
//!
//! let start = Instant::now();
//! let half = BudgetShare::percent(50).ok_or("1 to 100")?;
//! let mut limiter = Limiter::new(&RateLimits::default(), half, start);
//!
//! // Too soon: told when to ask again.
//! let earliest = limiter.try_acquire(&[Operation::Revoke, Operation::Issue], start).unwrap_err();
//! assert!(earliest < start + Duration::from_millis(150));
//!
//! let permit = limiter.try_acquire(&[Operation::Revoke, Operation::Issue], earliest).map_err(|_| "refused")?;
//! // The service answered 429: nothing more until it allows.
//! limiter.throttled(&permit, Some(Duration::from_secs(7)), earliest);
//! assert_eq!(limiter.try_acquire(&[Operation::Create], earliest).unwrap_err(), earliest + Duration::from_secs(7));
//! # Ok::<(), &str>(())
//! ```

mod bucket;
mod budget;
mod gate;

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use bucket::{Bucket, TRAVEL};
pub use budget::{BudgetShare, RateLimits};
use gate::Gate;

use crate::Operation;

/// The window over which the service counts.
pub const WINDOW: Duration = Duration::from_secs(30);

/// How long a permit is good: a request that begins later is not in the window that it was permitted for. Half a second less than
/// what the limiter allows for the way to the service.
const FRESH: Duration = TRAVEL.checked_sub(Duration::from_millis(500)).unwrap();

/// Hands out permits for requests to one resource. See the [module](self) for what it guarantees.
#[derive(Debug)]
pub struct Limiter {
    /// See [`bucket_of`].
    buckets: [Bucket; 4],
    gate: Gate,
}

/// Which bucket an operation takes permits from. A probe is a revocation for the service. `None`: no limit is documented.
const fn bucket_of(operation: Operation) -> Option<usize> {
    match operation {
        Operation::Create => Some(0),
        Operation::Issue => Some(1),
        Operation::Revoke | Operation::Probe => Some(2),
        Operation::Delete => Some(3),
        Operation::Get => None,
    }
}

/// The limits of the buckets.
const fn in_order(limits: &RateLimits) -> [NonZeroU32; 4] {
    [limits.create, limits.issue, limits.revoke, limits.delete]
}

/// Allows one request of each operation that was asked for, now: for as long as it is [fresh](Self::is_fresh).
#[derive(Debug)]
#[must_use = "a permit that is not used is lost from the budget"]
pub struct Permit {
    granted_at: Instant,
}

impl Permit {
    /// Whether a request that begins at `now` is still covered. One that is not needs another permit.
    pub fn is_fresh(&self, now: Instant) -> bool {
        now <= self.fresh_until()
    }

    /// The last instant at which a request may begin that it covers.
    pub fn fresh_until(&self) -> Instant {
        self.granted_at + FRESH
    }
}

impl Limiter {
    /// A limiter with empty buckets, for a process that takes over at `now`.
    pub fn new(limits: &RateLimits, share: BudgetShare, now: Instant) -> Self {
        Self {
            buckets: in_order(limits).map(|limit| Bucket::empty(share.of(limit), now)),
            gate: Gate::default(),
        }
    }

    /// Follows other limits. Operations whose budget stays keep their permits, the others begin anew with an empty bucket, and a
    /// 429 holds everything back as long as it did.
    pub fn adjust(&mut self, limits: &RateLimits, share: BudgetShare, now: Instant) {
        for (bucket, limit) in self.buckets.iter_mut().zip(in_order(limits)) {
            let budget = share.of(limit);
            if bucket.budget() != budget.get() {
                *bucket = Bucket::empty(budget, now);
            }
        }
    }

    /// Takes a permit for each of these operations, or none at all.
    ///
    /// Operations that the service counts as one are permitted once, however often they are named. No limit is documented for
    /// [`Operation::Get`]; only the gate holds it back.
    ///
    /// # Errors
    /// The earliest instant at which the same request can succeed, always after `now`. It can become later when others take permits or
    /// the service throttles.
    pub fn try_acquire(&mut self, operations: &[Operation], now: Instant) -> Result<Permit, Instant> {
        let mut is_wanted = [false; 4];
        for bucket in operations.iter().filter_map(|operation| bucket_of(*operation)) {
            is_wanted[bucket] = true;
        }
        let wanted = || is_wanted.iter().enumerate().filter(|(_, is_wanted)| **is_wanted);
        let waits = wanted().filter_map(|(bucket, _)| self.buckets[bucket].available_at(now));
        if let Some(earliest) = waits.chain(self.gate.opens_at(now)).max() {
            return Err(earliest);
        }
        for (bucket, _) in wanted() {
            self.buckets[bucket].take(now);
        }
        Ok(Permit { granted_at: now })
    }

    /// The service answered a request of this permit with 429: no permits until it allows again.
    ///
    /// Without a `retry_after` the wait is 2 seconds, and doubles up to 20 with every permit that is throttled after
    /// the last wait was over. Several answers to requests that were under way together count as one.
    pub fn throttled(&mut self, permit: &Permit, retry_after: Option<Duration>, now: Instant) {
        self.gate.close(permit.granted_at, retry_after, now);
    }

    /// The service answered a request of this permit with anything but 429.
    pub fn served(&mut self, permit: &Permit) {
        self.gate.served(permit.granted_at);
    }

    /// When the service's last 429 stops holding everything back, if it still does.
    pub fn throttled_until(&self, now: Instant) -> Option<Instant> {
        self.gate.opens_at(now)
    }

    /// Requests of this operation that are permitted in a window of 30 seconds; `None`: any number.
    pub fn budget(&self, operation: Operation) -> Option<u32> {
        self.bucket(operation).map(Bucket::budget)
    }

    /// The time in which one permit of this operation flows in: the pace at which any number of waiters can be served.
    /// `None`: no limit.
    pub fn pace(&self, operation: Operation) -> Option<Duration> {
        self.bucket(operation).map(Bucket::interval)
    }

    fn bucket(&self, operation: Operation) -> Option<&Bucket> {
        Some(&self.buckets[bucket_of(operation)?])
    }
}
