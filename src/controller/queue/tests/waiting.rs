//! Workers that wait on the queue, with the clock under the test's control.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, advance, timeout},
};

use super::super::{Depth, Lane, WorkQueue};

const MOMENT: Duration = Duration::from_millis(1);

/// Paused time runs ahead when nothing else can happen: a wait that would never end fails at once.
async fn ends<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_hours(2), future)
        .await
        .expect("it waits for ever")
}

fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_waiting_worker_gets_a_key_when_its_time_comes() {
    let queue = WorkQueue::new();
    let start = Instant::now();
    queue.add("a", Lane::Routine, in_seconds(30));
    assert_eq!(ends(queue.next()).await, Some("a"));
    assert!(start.elapsed() >= Duration::from_secs(30) && start.elapsed() < Duration::from_secs(31));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_worker_is_woken_by_an_earlier_key() {
    let queue = Arc::new(WorkQueue::new());
    queue.add("late", Lane::Routine, in_seconds(1000));
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move { (queue.next().await, Instant::now()) }
    });
    tokio::time::sleep(MOMENT).await;
    let due = in_seconds(5);
    queue.add("early", Lane::Routine, due);
    let (key, at) = ends(worker).await.unwrap();
    assert_eq!(key, Some("early"));
    assert!(at >= due && at < due + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_run_wakes_a_worker_that_waits() {
    let queue = Arc::new(WorkQueue::new());
    queue.add_now("a", Lane::Urgent);
    assert_eq!(ends(queue.next()).await, Some("a"));
    queue.add_now("a", Lane::Urgent);
    assert!(timeout(MOMENT, queue.next()).await.is_err(), "it still runs");
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await }
    });
    tokio::time::sleep(MOMENT).await;
    queue.done(&"a", None);
    assert_eq!(ends(worker).await.unwrap(), Some("a"));
}

/// Two workers wait when a timer is added, which wakes one of them. Whichever is then called away or gives up, the other
/// has to watch that timer.
#[tokio::test(start_paused = true)]
async fn a_timer_is_not_missed_when_the_worker_that_watched_it_goes_away() {
    for given_up in [None, Some(0), Some(1)] {
        let queue = Arc::new(WorkQueue::new());
        let mut workers: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { (queue.next().await, Instant::now()) })
            })
            .collect();
        tokio::time::sleep(MOMENT).await;
        let due = in_seconds(10);
        queue.add("early", Lane::Routine, due);
        tokio::time::sleep(MOMENT).await;
        match given_up {
            Some(worker) => workers.remove(worker).abort(),
            None => queue.add_now("at once", Lane::Urgent),
        }
        let mut seen = Vec::new();
        for worker in workers {
            seen.push(ends(worker).await.unwrap());
        }
        let (_, at) = seen
            .into_iter()
            .find(|(key, _)| *key == Some("early"))
            .expect("the timer was missed");
        assert!(at >= due && at < due + Duration::from_secs(1), "{given_up:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_takes_no_key_with_it() {
    let queue = WorkQueue::new();
    for _ in 0..100 {
        assert!(timeout(MOMENT, queue.next()).await.is_err());
    }
    queue.add_now("a", Lane::Urgent);
    assert_eq!(ends(queue.next()).await, Some("a"));
}

#[tokio::test(start_paused = true)]
async fn closing_sends_every_waiting_worker_home() {
    let queue = Arc::new(WorkQueue::<u32>::new());
    let mut workers = JoinSet::new();
    for _ in 0..32 {
        let queue = queue.clone();
        workers.spawn(async move { queue.next().await });
    }
    tokio::time::sleep(MOMENT).await;
    queue.close();
    while let Some(result) = ends(workers.join_next()).await {
        assert_eq!(result.unwrap(), None);
    }
    queue.add_now(1, Lane::Urgent);
    assert_eq!(queue.next().await, None, "nothing starts after the close");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_timers_all_fire_once_and_none_early() {
    let queue = Arc::new(WorkQueue::new());
    let start = Instant::now();
    for key in 0..100_000_u64 {
        queue.add(key, Lane::Routine, start + Duration::from_millis(key % 60_000));
    }
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let queue = queue.clone();
        workers.spawn(async move {
            let mut seen = Vec::new();
            while let Some(key) = queue.next().await {
                assert!(
                    start.elapsed() >= Duration::from_millis(key % 60_000),
                    "{key} came early"
                );
                queue.done(&key, None);
                seen.push(key);
            }
            seen
        });
    }
    tokio::time::sleep(Duration::from_secs(61)).await;
    queue.close();
    let seen: Vec<_> = ends(workers.join_all()).await.concat();
    assert_eq!(seen.len(), 100_000);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 100_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_real_threads_every_addition_is_followed_by_a_run_and_no_key_runs_twice_at_once() {
    const KEYS: usize = 8;
    const ADDITIONS: usize = 20_000;
    let queue = Arc::new(WorkQueue::<usize>::new());
    let last_added = Arc::new([const { AtomicUsize::new(0) }; KEYS]);
    let last_seen = Arc::new([const { AtomicUsize::new(0) }; KEYS]);
    let running = Arc::new([const { AtomicBool::new(false) }; KEYS]);
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let (queue, last_added, last_seen, running) =
            (queue.clone(), last_added.clone(), last_seen.clone(), running.clone());
        workers.spawn(async move {
            while let Some(key) = queue.next().await {
                assert!(!running[key].swap(true, SeqCst), "{key} runs twice");
                let seen = last_added[key].load(SeqCst);
                tokio::task::yield_now().await;
                last_seen[key].store(seen, SeqCst);
                running[key].store(false, SeqCst);
                queue.done(&key, None);
            }
        });
    }
    for addition in 1..=ADDITIONS {
        let key = addition % KEYS;
        last_added[key].store(addition, SeqCst);
        queue.add_now(key, Lane::Urgent);
        if addition % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let caught_up = async {
        while (0..KEYS).any(|key| last_seen[key].load(SeqCst) != last_added[key].load(SeqCst)) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), caught_up)
        .await
        .expect("an addition was lost");
    queue.close();
    timeout(Duration::from_secs(30), workers.join_all())
        .await
        .expect("a worker hangs");
}

#[tokio::test(start_paused = true)]
async fn the_metric_sees_what_is_due_and_what_waits_for_its_time() {
    let queue = WorkQueue::new();
    queue.add_now("a", Lane::Urgent);
    queue.add("b", Lane::Routine, in_seconds(5));
    let expected = |urgent, routine| {
        [
            (Lane::Urgent, urgent),
            (Lane::Called, Depth::default()),
            (Lane::Routine, routine),
        ]
    };
    let (due, later) = (Depth { due: 1, later: 0 }, Depth { due: 0, later: 1 });
    assert_eq!(queue.len_by_lane(), expected(due, later));
    advance(Duration::from_secs(6)).await;
    assert_eq!(queue.len_by_lane(), expected(due, due));
    assert_eq!(ends(queue.next()).await, Some("a"));
    assert_eq!(
        (queue.running(), queue.len_by_lane()),
        (1, expected(Depth::default(), due))
    );
}
