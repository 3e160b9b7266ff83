//! Permits for calls to one ACS resource, and the line of those that have to wait for one.
//!
//! An object that must wait is told about when its turn comes, and waits in no worker: it is [called](Attendant) when its permits
//! are there, which are kept for it as long as they are good. Who goes first, [`Line`] says. A call that begins later waits for another
//! permit, at the place in the line that it had, which is kept for [`HELD`]. Besides the limits, `creates` holds creates back.

mod creates;
mod grants;
pub mod line;
mod space;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acs_identity::limiter::{BudgetShare, Limiter, Permit, RateLimits, WINDOW};
use acs_identity::{Error, FailureClass, Operation};
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout_at};

use self::creates::UnderWay;
pub use self::grants::Turn;

use self::grants::{Grant, Grants};
use self::line::{Line, Next, Urgency, Waiter};
use self::space::Waits;
use super::room::{Room, Taken};
use crate::cluster::ObjectKey;
use crate::telemetry::metrics::LimiterMetrics;

/// How long an object that was called has its place in the line kept for it. What it was called for is kept as long as that is good, and
/// workers get to it sooner, unless the API server keeps all of them waiting.
pub const HELD: Duration = Duration::from_secs(10);

/// Guards the calls through one connection.
pub struct Permits {
    inner: Mutex<Inner>,
    changed: Arc<Notify>,
    attendant: Attendant,
}

/// Who is told of those that wait.
#[derive(Clone)]
pub struct Attendant {
    /// Calls an object whose permits have come: it has to ask again.
    pub call: Call,
    /// Who counts.
    pub metrics: LimiterMetrics,
}

type Call = Arc<dyn Fn(&ObjectKey, Urgency) + Send + Sync>;

struct Inner {
    grants: Grants,
    line: Line<ObjectKey>,
    /// What is kept for those that were called.
    held: HashMap<ObjectKey, Held>,
    /// Whether a task calls those that wait.
    is_served: bool,
}

/// What is kept for an object that was called.
struct Held {
    kept: Kept,
    since: Instant,
}

enum Kept {
    /// As long as it is good.
    Pass(Pass),
    /// After that its place in the line.
    Place(Waiter),
}

impl Held {
    /// When it becomes less, or nothing.
    fn ends(&self) -> Instant {
        match &self.kept {
            Kept::Pass(pass) => pass.permit.fresh_until(),
            Kept::Place(_) => self.since + HELD,
        }
    }
}

/// Who asks for permits, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The object.
    pub key: &'a ObjectKey,
    /// The calls, for which permits are taken together.
    pub calls: &'static [Operation],
    /// How urgent they are.
    pub urgency: Urgency,
}

/// Permits for calls, and room for one at a time.
#[must_use = "permits that are not used are lost from the budget"]
pub struct Pass {
    /// The permits.
    pub permit: Permit,
    /// Held until the first call is over.
    _room: Option<Taken>,
    /// The same of a create.
    _create: Option<UnderWay>,
    /// Whose it is, with the calls that it is good for.
    waiter: Waiter,
}

impl Pass {
    fn new(grant: Grant, waiter: Waiter) -> Self {
        Self {
            permit: grant.permit,
            _room: Some(grant.room),
            _create: grant.create,
            waiter,
        }
    }

    /// Waits for a request that comes before the call. Where it is not good any more before that ends, it is but a place in the line from
    /// then on: room that is not used is others'.
    pub async fn held_during<T>(self, request: impl Future<Output = T>) -> (Self, T) {
        tokio::pin!(request);
        let fresh_until = self.permit.fresh_until();
        if let Ok(done) = timeout_at(fresh_until.into(), &mut request).await {
            return (self, done);
        }
        let place = self.without_room();
        (place, request.await)
    }

    fn without_room(self) -> Self {
        Self {
            _room: None,
            _create: None,
            ..self
        }
    }

    /// Whether it is good for these calls: the next ones of those that it was taken for.
    fn covers(&self, calls: &[Operation]) -> bool {
        self.waiter.calls.starts_with(calls)
    }

    /// What is left when the first call is over: the permits for those that follow, for which no room is kept.
    pub fn rest(self) -> Option<Self> {
        let (_, calls) = self.waiter.calls.split_first()?;
        let waiter = self.waiter.turned_to(calls, self.waiter.urgency);
        (!calls.is_empty()).then(|| Self {
            waiter,
            ..self.without_room()
        })
    }
}

impl Permits {
    /// Permits within the budget of `limiter`, for as many calls of each operation at a time as there is room.
    pub fn new(limiter: Limiter, room_for: impl Fn(Operation) -> Room, attendant: Attendant) -> Self {
        let changed = Arc::new(Notify::new());
        Self {
            inner: Mutex::new(Inner {
                grants: Grants::new(limiter, room_for, &changed),
                line: Line::default(),
                held: HashMap::new(),
                is_served: false,
            }),
            changed,
            attendant,
        }
    }

    /// Permits for these calls together, or a place in the line. What it has `in_hand`, or is kept for it, is used where it is
    /// good for them. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// About when its turn comes. It is called then; to ask again before does no harm.
    pub fn take(self: &Arc<Self>, ask: Ask<'_>, in_hand: Option<Pass>, now: Instant) -> Result<Pass, Turn> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let kept = inner.held.remove(ask.key).map(|held| held.kept);
        let place = match in_hand.map(Kept::Pass).or(kept) {
            Some(Kept::Pass(pass)) if pass.covers(ask.calls) && pass.permit.is_fresh(now) => return Ok(pass),
            Some(Kept::Pass(pass)) => Some(pass.waiter),
            Some(Kept::Place(waiter)) => Some(waiter),
            None => None,
        };
        if let Some(place) = place.filter(|place| place.calls.starts_with(ask.calls)) {
            let waiter = place.turned_to(ask.calls, ask.urgency);
            inner.line.put_back(ask.key.clone(), waiter);
        }
        if !inner.line.is_behind(ask.key, ask.calls, ask.urgency)
            && let Ok(grant) = inner.grants.try_acquire(ask.calls, now)
        {
            // It may have waited for other calls than it makes now.
            let waiter = inner.line.serve(ask.key, ask.calls, ask.urgency);
            let waiter = waiter.map(|waiter| waiter.turned_to(ask.calls, ask.urgency));
            let waiter = waiter.unwrap_or_else(|| inner.line.newcomer(ask.calls, ask.urgency, now));
            self.waited(&waiter, now);
            return Ok(Pass::new(grant, waiter));
        }
        inner.line.join(ask.key.clone(), ask.calls, ask.urgency, now);
        if !std::mem::replace(&mut inner.is_served, true) {
            tokio::spawn(Serving(Arc::clone(self)).serve());
        }
        self.changed.notify_one();
        let ahead = inner.line.ahead(ask.key);
        Err(inner.grants.turn(ask.calls, ahead, now))
    }

    /// An object that needs no permits now: its place in the line, and what is kept for it, are others'.
    pub fn leave(&self, key: &ObjectKey) {
        let mut inner = self.lock();
        inner.line.leave(key);
        if inner.held.remove(key).is_some() {
            self.changed.notify_one();
        }
    }

    /// Follows other limits. Those that wait keep their places, and what ACS asked to wait for still holds everything back.
    pub fn adjust(&self, limits: &RateLimits, share: BudgetShare, now: Instant) {
        self.lock().grants.limiter.adjust(limits, share, now);
        self.changed.notify_one();
    }

    /// A permit for a call that no object waits for.
    ///
    /// # Errors
    /// When to ask again.
    pub fn take_at_once(&self, operation: Operation, now: Instant) -> Result<Permit, Instant> {
        self.lock().grants.limiter.try_acquire(&[operation], now)
    }

    /// The same, as soon as there is one.
    pub async fn wait_for(&self, operation: Operation) -> Permit {
        loop {
            match self.take_at_once(operation, now()) {
                Ok(permit) => return permit,
                Err(turn) => sleep_until(turn.into()).await,
            }
        }
    }

    /// How many calls of this operation the budget allows for in a second.
    pub fn per_second(&self, operation: Operation) -> f64 {
        let budget = self.lock().grants.limiter.budget(operation).unwrap_or(0);
        f64::from(budget) / WINDOW.as_secs_f64()
    }

    /// What the answer to a call says of the limits. Where none came, nothing was sent or it got lost: that says nothing of them.
    pub fn answered<T>(&self, permit: &Permit, answer: &Result<T, Error>, now: Instant) {
        match answer {
            Ok(_) => self.lock().grants.limiter.served(permit),
            Err(error) => match error.class() {
                FailureClass::Throttled { retry_after } => {
                    self.lock().grants.limiter.throttled(permit, retry_after, now);
                }
                _ if error.status().is_some() => self.lock().grants.limiter.served(permit),
                _ => {}
            },
        }
    }

    /// What a create that was sent at `begun` came to. One that never arrived says nothing.
    pub fn created<T>(&self, begun: Instant, answer: &Result<T, Error>, now: Instant) {
        let creates = &mut self.lock().grants.creates;
        match answer.as_ref().err().map(Error::class) {
            Some(FailureClass::InDoubt) => creates.doubted(begun, now),
            Some(FailureClass::NotSent | FailureClass::Withheld | FailureClass::Throttled { .. }) => {}
            _ => creates.answered(now),
        }
    }

    fn waited(&self, waiter: &Waiter, now: Instant) {
        let wait = now.saturating_duration_since(waiter.since);
        self.attendant.metrics.waited(waiter.urgency.lane(), wait);
    }

    /// Keeps permits for whose turn it is. Where there is no room, it is waited for.
    fn call_next(&self, waits: &mut Waits, now: Instant) -> Called {
        let mut inner = self.lock();
        inner.drop_what_was_not_fetched(now);
        let kept_until = inner.kept_until();
        let Inner {
            grants,
            line,
            held,
            is_served,
        } = &mut *inner;
        grants.space.look_anew();
        let next = line.next(|calls| grants.try_acquire(calls, now));
        if let Next::Served(key, waiter, grant) = next {
            self.waited(&waiter, now);
            let kept = Kept::Pass(Pass::new(grant, waiter));
            held.insert(key.clone(), Held { kept, since: now });
            return Called::Now(key, waiter.urgency);
        }
        grants.space.wait_where_short(waits);
        let again = match next {
            Next::At(at) => Some(at),
            Next::Nobody | Next::Served(..) => None,
        };
        if let Some(again) = [again, kept_until].into_iter().flatten().min() {
            return Called::NobodyBefore(again);
        }
        // Under the same lock as the look, so that whoever joins next has another one begin.
        *is_served = false;
        Called::Nobody
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that calls those that wait, as long as somebody does. However it ends, the next to ask has another one begin.
struct Serving(Arc<Permits>);

impl Serving {
    async fn serve(self) {
        let permits = &self.0;
        let mut waits = Waits::default();
        loop {
            let again = match permits.call_next(&mut waits, now()) {
                Called::Now(key, urgency) => {
                    (permits.attendant.call)(&key, urgency);
                    continue;
                }
                Called::NobodyBefore(again) => again,
                Called::Nobody => return,
            };
            tokio::select! {
                () = sleep_until(again.into()) => {}
                () = permits.changed.notified() => {}
                (operation, place) = waits.next() => permits.lock().grants.space.keep(operation, place),
            }
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().is_served = false;
        }
    }
}

/// Who was called.
enum Called {
    Now(ObjectKey, Urgency),
    NobodyBefore(Instant),
    /// Nobody waits, and nothing is kept.
    Nobody,
}

/// As the timers of the runtime count it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Inner {
    fn drop_what_was_not_fetched(&mut self, now: Instant) {
        for held in self.held.values_mut() {
            if let Kept::Pass(pass) = &held.kept
                && pass.permit.fresh_until() <= now
            {
                held.kept = Kept::Place(pass.waiter);
            }
        }
        self.held.retain(|_, held| held.since + HELD > now);
    }

    /// Until when something is kept.
    fn kept_until(&self) -> Option<Instant> {
        self.held.values().map(Held::ends).min()
    }
}
