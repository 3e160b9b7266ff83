//! The keyed work queue: which object is looked at next, and when.
//!
//! [`Schedule`] is the pure core, which is told the time; [`WorkQueue`] lets workers wait on it.
//!
//! # Guarantees
//! - A key is never handed to two workers at once. Added while it runs, it runs again afterwards.
//! - Nothing added is lost, and nothing is handed out before it is due.
//! - Among the keys that are due the more urgent [`Lane`] goes first. Within a lane the namespaces [take turns](super::turns), and within
//!   a namespace the earlier due time goes first, then the one that was added first. So no number of objects of one namespace keeps
//!   those of another waiting, however long each of its runs takes.
//! - No lane starves another for good: after [`FAIR_SHARE`] turns in a row in which the due keys of a less urgent lane were
//!   passed over, that lane gets a turn. So a tenant who edits objects in a loop delays the renewals of others but can't
//!   stop them.
//! - No timer runs for longer than [`LONGEST_WAIT`].

mod pending;
mod schedule;
#[cfg(test)]
mod tests;

use std::{
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

pub use schedule::{Depth, Next, Schedule};

use super::turns::Owned;

/// How urgent a look at an object is. Declared from the most to the least urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Something changed: a user is waiting.
    Urgent,
    /// What it stood in line for is kept for it, and for nobody else meanwhile: among thousands of routine looks that
    /// would be for long.
    Called,
    /// A timer came due, or the process has just started.
    Routine,
}

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Urgent, Self::Called, Self::Routine];

    /// The lane's name, as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Called => "called",
            Self::Routine => "routine",
        }
    }
}

/// How many turns in a row may pass over the due keys of a less urgent lane.
pub const FAIR_SHARE: u32 = 15;

/// The longest a key waits for its timer. A later due time is moved up to this, which costs a look that finds nothing
/// to do.
///
/// The clock behind [`Instant`] stands still while the machine is suspended, so a timer of many hours could be many
/// hours late; and an event that got lost for any reason is made good within this time.
pub const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// A [`Schedule`] that many workers may wait on. There is one timer for the whole queue, however many keys it holds.
#[derive(Debug)]
pub struct WorkQueue<K> {
    schedule: Mutex<Schedule<K>>,
    /// Held by the one worker that watches the clock; the others queue up behind it. With a single waiter there is no
    /// wake-up that could go to the wrong one, and a waiter that is cancelled hands over by releasing the lock.
    head: tokio::sync::Mutex<()>,
    changed: Notify,
    closed: CancellationToken,
}

impl<K: Clone + Eq + Hash + Owned> WorkQueue<K> {
    /// An empty queue.
    pub fn new() -> Self {
        Self {
            schedule: Mutex::new(Schedule::new()),
            head: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
            closed: CancellationToken::new(),
        }
    }

    /// Asks for a look at `key` at `due`. While the key is pending, the earlier time and the more urgent lane win, each
    /// by itself; while it runs, it is kept for afterwards.
    pub fn add(&self, key: K, lane: Lane, due: Instant) {
        self.lock().add(key, lane, due, Instant::now());
        self.changed.notify_one();
    }

    /// Asks for a look at `key` as soon as its turn comes.
    pub fn add_now(&self, key: K, lane: Lane) {
        self.add(key, lane, Instant::now());
    }

    /// Waits for a key whose time has come and hands it out; it is running until [`Self::done`]. `None` once the queue
    /// is closed.
    ///
    /// Cancel safe: a dropped wait takes no key with it.
    pub async fn next(&self) -> Option<K> {
        let _head = self.head.lock().await;
        loop {
            if self.closed.is_cancelled() {
                return None;
            }
            let due = match self.lock().take(Instant::now()) {
                Next::Ready(key) => return Some(key),
                Next::At(due) => Some(due),
                Next::Idle => None,
            };
            // A change between the look above and the wait below is not lost: `notify_one` leaves a permit.
            match due {
                Some(due) => {
                    tokio::select! {
                        () = self.changed.notified() => {}
                        () = tokio::time::sleep_until(due) => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// Ends the run of `key` and asks for its next look, if any. A request that came in meanwhile is joined with it as
    /// in [`Self::add`].
    pub fn done(&self, key: &K, next: Option<(Lane, Instant)>) {
        self.lock().done(key, next, Instant::now());
        self.changed.notify_one();
    }

    /// Drops whatever is pending for `key`: its object is gone. A run that is under way ends as usual, and the next
    /// look that it asks for is ignored; what is added from now on counts.
    pub fn forget(&self, key: &K) {
        self.lock().forget(key);
    }

    /// How much waits in each lane.
    pub fn len_by_lane(&self) -> [(Lane, Depth); Lane::ALL.len()] {
        let (schedule, now) = (self.lock(), Instant::now());
        Lane::ALL.map(|lane| (lane, schedule.depth(lane, now)))
    }

    /// How many keys are running.
    pub fn running(&self) -> usize {
        self.lock().running()
    }

    /// Ends the handing out: every [`Self::next`] that waits, and every later one, returns `None`. Runs under way are
    /// not touched.
    pub fn close(&self) {
        self.closed.cancel();
        self.changed.notify_one();
    }

    /// Waits until it is closed.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    fn lock(&self) -> MutexGuard<'_, Schedule<K>> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash + Owned> Default for WorkQueue<K> {
    fn default() -> Self {
        Self::new()
    }
}
