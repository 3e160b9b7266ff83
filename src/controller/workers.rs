//! The workers: they take objects from the queue and run reconciles, each in a seat, and guarded against hanging and panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::connections::Keeper;
use super::queue::{Lane, WorkQueue};
use super::reconcile::{Ending, Reconcile};
use super::seats::{Seat, Seats};
use crate::cluster::ObjectKey;
use crate::telemetry::metrics::{ReconcileMetrics, ReconcileOutcome};

/// A run that takes longer is given up. Longer than the longest call, a create, with its record.
const LONGEST_RUN: Duration = Duration::from_mins(2);

/// How long runs under way have when there is to be no other. Nearly all end by themselves in that time; the rest waits for a server
/// that may not answer at all, and meanwhile another replica could work. What must not be cut off is a task of its own.
const LAST_MOMENTS: Duration = Duration::from_secs(1);

/// When to look again at an object whose run panicked, hung, or was overtaken by changes.
const AFTER_FAULT: Duration = Duration::from_secs(30);
const AFTER_CONTENTION: Duration = Duration::from_secs(1);

/// What workers do with an object.
pub trait Work: Send + Sync + 'static {
    /// Works on it until nothing is due. May be dropped at any await.
    fn run(&self, key: &ObjectKey, seat: &mut Seat) -> impl Future<Output = Ending> + Send;
    /// The time.
    fn now(&self) -> Timestamp;
}

impl Work for Reconcile {
    fn run(&self, key: &ObjectKey, seat: &mut Seat) -> impl Future<Output = Ending> + Send {
        Self::run(self, key, seat)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Work for Keeper {
    fn run(&self, key: &ObjectKey, _: &mut Seat) -> impl Future<Output = Ending> + Send {
        Self::run(self, key)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// A worker ended by a panic outside of what is guarded for an object, and with it all of its queue.
#[derive(Debug, thiserror::Error)]
#[error("a worker died")]
pub struct WorkerDied(#[source] JoinError);

/// The workers of one queue.
pub struct Workers<W> {
    /// Whose objects they take.
    pub queue: Arc<WorkQueue<ObjectKey>>,
    /// What they do with them.
    pub work: Arc<W>,
    /// Who counts.
    pub metrics: ReconcileMetrics,
    /// What must not be cut off, and the runs that it belongs to.
    pub unfinished: TaskTracker,
}

impl<W: Work> Workers<W> {
    /// Works on `count` objects at a time until the queue is closed. Runs under way then have a moment to end, and another one after
    /// all that must not be cut off; the rest is given up.
    ///
    /// # Errors
    /// When a worker dies. The others are ended with it.
    pub async fn run(self: Arc<Self>, count: usize) -> Result<(), WorkerDied> {
        let mut runs = JoinSet::new();
        self.begin(&mut runs, &Seats::new(count)).await?;
        self.end(runs).await
    }

    /// Begins runs until the queue is closed.
    async fn begin(self: &Arc<Self>, runs: &mut JoinSet<()>, seats: &Seats) -> Result<(), WorkerDied> {
        let next = self.next(seats);
        tokio::pin!(next);
        loop {
            tokio::select! {
                biased;
                // Noticed by `next` too, but for as long as that waits for a seat.
                () = self.queue.closed() => return Ok(()),
                Some(ended) = runs.join_next() => ended.map_err(WorkerDied)?,
                taken = &mut next => {
                    let Some((key, seat)) = taken else { return Ok(()) };
                    runs.spawn(Arc::clone(self).work_on(key, seat));
                    next.set(self.next(seats));
                }
            }
        }
    }

    async fn end(&self, mut runs: JoinSet<()>) -> Result<(), WorkerDied> {
        loop {
            if let Ok(ended) = timeout(LAST_MOMENTS, all_ended(&mut runs)).await {
                return ended;
            }
            if self.unfinished.is_empty() {
                break;
            }
            // No other replica can work meanwhile anyway, so the runs that wait for it may record what came of it.
            self.unfinished.wait().await;
        }
        tracing::info!(
            runs = runs.len(),
            "what waits for an answer is given up, and is begun again by the next process"
        );
        runs.shutdown().await;
        Ok(())
    }

    /// The next object, once there is a seat to work on it. No seat is kept free for one that may come.
    async fn next(&self, seats: &Seats) -> Option<(ObjectKey, Seat)> {
        let key = self.queue.next().await?;
        Some((key, seats.take().await))
    }

    async fn work_on(self: Arc<Self>, key: ObjectKey, mut seat: Seat) {
        let next = self.guarded(&key, &mut seat).await;
        self.queue.done(&key, next);
    }

    /// One run; a panic in it is a fault of that object only.
    async fn guarded(&self, key: &ObjectKey, seat: &mut Seat) -> Option<(Lane, Instant)> {
        let begun = Instant::now();
        let run = AssertUnwindSafe(timeout(LONGEST_RUN, self.work.run(key, seat))).catch_unwind();
        let (outcome, next) = match run.await {
            Ok(Ok(ending)) => self.follow_up(ending),
            Ok(Err(_)) => {
                tracing::error!(object = %key, limit_s = LONGEST_RUN.as_secs(), "a reconcile took too long and was given up");
                (ReconcileOutcome::TimedOut, Some((Lane::Routine, AFTER_FAULT)))
            }
            Err(_) => {
                tracing::error!(object = %key, "a reconcile panicked; the object is tried again, others go on");
                (ReconcileOutcome::Panicked, Some((Lane::Routine, AFTER_FAULT)))
            }
        };
        self.metrics.finished(outcome, begun.elapsed());
        next.map(|(lane, wait)| (lane, Instant::now() + wait))
    }

    /// What a run that ended so counts as, and when its object is looked at again.
    fn follow_up(&self, ending: Ending) -> (ReconcileOutcome, Option<(Lane, Duration)>) {
        match ending {
            Ending::Settled { wake_at, unmet } => {
                let outcome = unmet.map_or(ReconcileOutcome::Settled, |_| ReconcileOutcome::Waiting);
                let wait = wake_at.map(|at| until(at, self.work.now()));
                (outcome, wait.map(|wait| (unmet.unwrap_or(Lane::Routine), wait)))
            }
            Ending::InLine { turn } => {
                let wait = Instant::from_std(turn).saturating_duration_since(Instant::now());
                (ReconcileOutcome::Waiting, Some((Lane::Routine, wait)))
            }
            Ending::Gone => (ReconcileOutcome::Settled, None),
            Ending::Deposed => (ReconcileOutcome::Waiting, None),
            Ending::Overtaken => (ReconcileOutcome::Settled, Some((Lane::Urgent, Duration::ZERO))),
            Ending::Stuck => (ReconcileOutcome::Failed, Some((Lane::Routine, AFTER_FAULT))),
            Ending::Contended => (ReconcileOutcome::Failed, Some((Lane::Routine, AFTER_CONTENTION))),
        }
    }
}

async fn all_ended(runs: &mut JoinSet<()>) -> Result<(), WorkerDied> {
    while let Some(ended) = runs.join_next().await {
        ended.map_err(WorkerDied)?;
    }
    Ok(())
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{clock::Clock, telemetry::Metrics};

    /// Its clock panics: outside of what is guarded for an object.
    struct Broken;

    impl Work for Broken {
        async fn run(&self, _: &ObjectKey, _: &mut Seat) -> Ending {
            Ending::Settled {
                wake_at: Some(Timestamp::UNIX_EPOCH),
                unmet: None,
            }
        }

        fn now(&self) -> Timestamp {
            panic!("broken for this test")
        }
    }

    /// The rate limits have no room for the time that a permit takes to flow in.
    struct InLine(Mutex<Vec<Instant>>);

    const TURN: Duration = Duration::from_millis(67);

    impl Work for InLine {
        async fn run(&self, _: &ObjectKey, _: &mut Seat) -> Ending {
            let now = Instant::now();
            self.0.lock().unwrap().push(now);
            let turn = (now + TURN).into_std();
            Ending::InLine { turn }
        }

        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    /// Panics over one object, and never ends with another.
    #[derive(Default)]
    struct Fragile(Mutex<Vec<String>>);

    impl Fragile {
        fn runs(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Work for Fragile {
        async fn run(&self, key: &ObjectKey, _: &mut Seat) -> Ending {
            self.0.lock().unwrap().push(key.name().to_owned());
            match key.name() {
                "panics" => panic!("for this test"),
                "hangs" => std::future::pending().await,
                _ => Ending::Settled {
                    wake_at: None,
                    unmet: None,
                },
            }
        }

        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_told_its_turn_is_worked_on_again_just_then() {
        let work = Arc::new(InLine(Mutex::default()));
        let workers = Arc::new(Workers {
            queue: Arc::new(WorkQueue::new()),
            work: Arc::clone(&work),
            metrics: Metrics::new(Clock::system()).reconciles,
            unfinished: TaskTracker::new(),
        });
        workers
            .queue
            .add_now(ObjectKey::cluster_scoped("contoso"), Lane::Urgent);
        let _ = timeout(TURN * 10, workers.run(1)).await;
        let runs = work.0.lock().unwrap();
        assert!((9..=11).contains(&runs.len()), "{runs:?}");
    }

    /// What one worker runs within this time, with one object that is fine after the one of this name.
    async fn runs_with(name: &str, within: Duration) -> Vec<String> {
        let workers = Arc::new(Workers {
            queue: Arc::new(WorkQueue::new()),
            work: Arc::new(Fragile::default()),
            metrics: Metrics::new(Clock::system()).reconciles,
            unfinished: TaskTracker::new(),
        });
        for name in [name, "alice"] {
            workers
                .queue
                .add_now(ObjectKey::namespaced("team-a", name), Lane::Urgent);
        }
        let running = tokio::spawn(Arc::clone(&workers).run(1));
        tokio::time::sleep(within).await;
        running.abort();
        workers.work.runs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_over_one_object_keeps_nobody_else_waiting_and_that_one_is_tried_again() {
        let runs = runs_with("panics", AFTER_FAULT + Duration::from_secs(1)).await;
        assert_eq!(runs, ["panics", "alice", "panics"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_hangs_is_given_up_for_the_sake_of_the_others_and_tried_again() {
        let runs = runs_with("hangs", LONGEST_RUN + AFTER_FAULT + Duration::from_secs(1)).await;
        assert_eq!(runs, ["hangs", "alice", "hangs"]);
    }

    /// With all seats taken, and others waiting for one.
    #[tokio::test(start_paused = true)]
    async fn when_the_queue_is_closed_runs_that_hang_are_given_up_after_moments() {
        let workers = Arc::new(Workers {
            queue: Arc::new(WorkQueue::new()),
            work: Arc::new(Fragile::default()),
            metrics: Metrics::new(Clock::system()).reconciles,
            unfinished: TaskTracker::new(),
        });
        for namespace in ["team-a", "team-b", "team-c"] {
            let hangs = ObjectKey::namespaced(namespace, "hangs");
            workers.queue.add_now(hangs, Lane::Urgent);
        }
        let running = tokio::spawn(Arc::clone(&workers).run(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let closed = Instant::now();
        workers.queue.close();
        running.await.unwrap().unwrap();
        assert_eq!(closed.elapsed(), LAST_MOMENTS);
        assert_eq!(workers.work.runs(), ["hangs"]);
    }

    /// Waits in the one way that leaves its seat, and has something to do afterwards.
    struct Recording(Mutex<Vec<&'static str>>, TaskTracker);

    impl Work for Recording {
        async fn run(&self, _: &ObjectKey, seat: &mut Seat) -> Ending {
            let create = self.1.spawn(tokio::time::sleep(LAST_MOMENTS * 5));
            let _ = seat.leave_for(create).await;
            self.0.lock().unwrap().push("created");
            tokio::time::sleep(LAST_MOMENTS / 2).await;
            self.0.lock().unwrap().push("recorded");
            std::future::pending().await
        }

        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    /// With another object that waits for the seat.
    #[tokio::test(start_paused = true)]
    async fn what_must_not_be_cut_off_is_recorded_before_its_run_is_given_up() {
        let unfinished = TaskTracker::new();
        let workers = Arc::new(Workers {
            queue: Arc::new(WorkQueue::new()),
            work: Arc::new(Recording(Mutex::default(), unfinished.clone())),
            metrics: Metrics::new(Clock::system()).reconciles,
            unfinished: unfinished.clone(),
        });
        for name in ["alice", "bob"] {
            let key = ObjectKey::namespaced("team-a", name);
            workers.queue.add_now(key, Lane::Urgent);
        }
        let running = tokio::spawn(Arc::clone(&workers).run(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
        workers.queue.close();
        unfinished.close();
        running.await.unwrap().unwrap();
        assert_eq!(*workers.work.0.lock().unwrap(), ["created", "recorded"]);
    }

    #[tokio::test]
    async fn the_death_of_one_worker_is_told_though_the_others_could_go_on() {
        let queue = Arc::new(WorkQueue::new());
        queue.add_now(ObjectKey::namespaced("team-a", "alice"), Lane::Urgent);
        let workers = Arc::new(Workers {
            queue,
            work: Arc::new(Broken),
            metrics: Metrics::new(Clock::system()).reconciles,
            unfinished: TaskTracker::new(),
        });
        let ended = timeout(Duration::from_mins(1), workers.run(3)).await;
        assert!(ended.expect("it ends").is_err());
    }
}
