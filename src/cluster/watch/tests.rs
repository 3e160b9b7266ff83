//! The watch over scripted deliveries, under paused time.

mod requests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, channel::mpsc, lock::Mutex, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    core::Status,
    runtime::watcher::{self, Event},
};
use serde_json::json;
use tokio::{sync::watch as latest, task::JoinHandle, time};
use tokio_util::sync::CancellationToken;

use super::{Subject, Watch, WatchState};
use crate::cluster::{ObjectKey, Scope, cache::Cache, received::Received};

type Delivery = watcher::Result<Event<Received<ConfigMap>>>;

const MOMENT: Duration = Duration::from_millis(1);

struct Rig {
    server: mpsc::UnboundedSender<Delivery>,
    takes_up: latest::Sender<()>,
    cache: Arc<Cache<ConfigMap>>,
    state: latest::Receiver<WatchState>,
    /// How often the watch began with a list.
    begun: Arc<AtomicUsize>,
    changes: mpsc::UnboundedReceiver<String>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Rig {
    fn start() -> Self {
        let (cache, mut feeds) = Cache::new([Scope::Cluster], []);
        let (server, deliveries) = mpsc::unbounded();
        let (deliveries, begun) = (Arc::new(Mutex::new(deliveries)), Arc::new(AtomicUsize::new(0)));
        let begins = Arc::clone(&begun);
        let begin = move || {
            begins.fetch_add(1, Ordering::Relaxed);
            let next = |deliveries: Arc<Mutex<mpsc::UnboundedReceiver<Delivery>>>| async {
                let delivery = deliveries.lock().await.next().await?;
                Some((delivery, deliveries))
            };
            stream::unfold(Arc::clone(&deliveries), next).boxed()
        };
        let (takes_up, taken_up) = latest::channel(());
        let watch = Watch::over(begin, taken_up, feeds.remove(0), Subject::of::<ConfigMap>());
        let (report, changes) = mpsc::unbounded();
        let (state, stop) = (watch.state(), CancellationToken::new());
        let on_change = move |change: crate::cluster::cache::Change<ConfigMap>| {
            report.unbounded_send(change.key().to_string()).unwrap();
        };
        let task = tokio::spawn(watch.run(on_change, stop.clone()));
        Self {
            server,
            takes_up,
            cache,
            state,
            begun,
            changes,
            stop,
            task,
        }
    }

    async fn deliver(&self, delivery: Delivery) {
        self.server.unbounded_send(delivery).unwrap();
        time::sleep(MOMENT).await;
    }

    async fn list(&self, objects: impl IntoIterator<Item = Received<ConfigMap>>) {
        self.deliver(Ok(Event::Init)).await;
        for object in objects {
            self.deliver(Ok(Event::InitApply(object))).await;
        }
        self.deliver(Ok(Event::InitDone)).await;
    }

    fn is_up(&self) -> bool {
        self.state.borrow().up
    }

    fn changed(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.changes.try_recv().ok()).collect()
    }

    fn held(&self) -> Option<String> {
        let held = self.cache.get(&ObjectKey::namespaced("a", "a"))?;
        held.metadata.resource_version.clone()
    }
}

fn decode(version: u32, data: &serde_json::Value) -> Received<ConfigMap> {
    let metadata = json!({"namespace": "a", "name": "a", "uid": "u", "resourceVersion": version.to_string()});
    serde_json::from_value(json!({"metadata": metadata, "data": data})).unwrap()
}

fn readable(version: u32) -> Received<ConfigMap> {
    decode(version, &json!({"key": "value"}))
}

fn unreadable(version: u32) -> Received<ConfigMap> {
    decode(version, &json!("not a map"))
}

fn status(code: u16) -> Box<Status> {
    Status::failure("no", "Some").with_code(code).boxed()
}

fn list_fails() -> Delivery {
    Err(watcher::Error::InitialListFailed(kube::Error::Api(status(403))))
}

fn watch_fails() -> Delivery {
    Err(watcher::Error::WatchStartFailed(kube::Error::Api(status(503))))
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_and_what_changes_reaches_the_cache_and_the_caller() {
    let mut rig = Rig::start();
    assert!(!rig.is_up());
    rig.list([readable(1)]).await;
    assert!(rig.is_up() && rig.cache.is_synced());
    assert_eq!(
        (rig.held().as_deref(), rig.changed()),
        (Some("1"), vec!["a/a".to_owned()])
    );
    rig.deliver(Ok(Event::Apply(readable(2)))).await;
    rig.deliver(Ok(Event::Apply(readable(2)))).await;
    assert_eq!((rig.held().as_deref(), rig.changed().len()), (Some("2"), 1));
    rig.deliver(Ok(Event::Delete(readable(3)))).await;
    assert_eq!((rig.held(), rig.changed().len()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_watch_whose_lists_fail_is_down_and_is_tried_again_less_and_less_often() {
    let rig = Rig::start();
    let start = time::Instant::now();
    for _ in 0..10 {
        rig.server.unbounded_send(Ok(Event::Init)).unwrap();
        rig.server.unbounded_send(list_fails()).unwrap();
    }
    let mut state = rig.state.clone();
    let all = state.wait_for(|state| state.restarts == 10);
    time::timeout(Duration::from_mins(10), all).await.unwrap().unwrap();
    assert!(
        start.elapsed() > Duration::from_secs(40),
        "kube's own back-off begins anew with each list"
    );
    assert!(!rig.is_up());
    rig.list([]).await;
    time::sleep(Duration::from_secs(20)).await;
    assert!(rig.is_up());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_taken_up_again_without_news_counts_as_up_once_it_has_lasted() {
    let rig = Rig::start();
    rig.list([]).await;
    rig.deliver(watch_fails()).await;
    time::sleep(Duration::from_hours(1)).await;
    assert!(!rig.is_up(), "nobody has taken it up");
    rig.takes_up.send_replace(());
    time::sleep(Duration::from_secs(1)).await;
    rig.deliver(watch_fails()).await;
    time::sleep(Duration::from_hours(1)).await;
    assert!(!rig.is_up(), "it has not lasted");
    rig.takes_up.send_replace(());
    time::sleep(Duration::from_secs(3)).await;
    assert!(rig.is_up());
    assert_eq!(rig.state.borrow().restarts, 2);
}

#[tokio::test(start_paused = true)]
async fn that_a_watch_was_taken_up_before_it_failed_says_nothing_of_the_next() {
    let rig = Rig::start();
    rig.list([]).await;
    rig.takes_up.send_replace(());
    rig.deliver(watch_fails()).await;
    time::sleep(Duration::from_hours(1)).await;
    assert!(!rig.is_up());
}

#[tokio::test(start_paused = true)]
async fn during_a_list_silence_is_no_sign_of_life() {
    let rig = Rig::start();
    rig.list([]).await;
    rig.deliver(watch_fails()).await;
    time::sleep(Duration::from_secs(2)).await;
    rig.deliver(Ok(Event::Init)).await;
    rig.takes_up.send_replace(());
    time::sleep(Duration::from_hours(1)).await;
    assert!(!rig.is_up());
    rig.deliver(list_fails()).await;
    time::sleep(Duration::from_hours(1)).await;
    assert!(!rig.is_up());
}

#[tokio::test(start_paused = true)]
async fn an_event_shows_that_the_watch_works() {
    let rig = Rig::start();
    rig.list([]).await;
    rig.deliver(watch_fails()).await;
    time::sleep(Duration::from_secs(2)).await;
    rig.deliver(Ok(Event::Apply(readable(1)))).await;
    assert!(rig.is_up());
}

#[tokio::test(start_paused = true)]
async fn losing_the_place_in_the_history_does_not_count_as_down() {
    let rig = Rig::start();
    rig.list([]).await;
    rig.deliver(Err(watcher::Error::WatchError(status(410)))).await;
    assert!(rig.is_up());
    assert_eq!(rig.state.borrow().restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_whose_place_in_the_history_is_refused_lists_anew_instead_of_asking_for_it_for_ever() {
    let rig = Rig::start();
    rig.list([readable(1)]).await;
    rig.deliver(watch_fails()).await;
    time::sleep(Duration::from_mins(1)).await;
    assert_eq!(
        rig.begun.load(Ordering::Relaxed),
        1,
        "any other failure is tried again where it was"
    );
    let expired = watcher::Error::WatchStartFailed(kube::Error::Api(status(410)));
    rig.deliver(Err(expired)).await;
    time::sleep(Duration::from_mins(1)).await;
    assert_eq!(rig.begun.load(Ordering::Relaxed), 2);
    rig.list([readable(2)]).await;
    assert_eq!((rig.is_up(), rig.held().as_deref()), (true, Some("2")));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_takes_too_long_is_told() {
    let rig = Rig::start();
    rig.list([]).await;
    rig.deliver(Ok(Event::Init)).await;
    time::sleep(Duration::from_secs(20)).await;
    assert!(rig.is_up());
    time::sleep(Duration::from_secs(20)).await;
    assert!(!rig.is_up());
    assert!(
        rig.state
            .borrow()
            .fault
            .as_ref()
            .unwrap()
            .contains("a list has not been complete")
    );
    rig.deliver(Ok(Event::InitDone)).await;
    assert!(rig.is_up());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_decoded_is_counted_and_hides_nothing_else() {
    let mut rig = Rig::start();
    rig.list([readable(1)]).await;
    rig.changed();
    rig.deliver(Ok(Event::Apply(unreadable(2)))).await;
    rig.list([unreadable(2)]).await;
    assert_eq!(
        (rig.held().as_deref(), rig.changed().len()),
        (Some("1"), 0),
        "what was known stays"
    );
    assert_eq!(rig.state.borrow().unreadable, 1);

    rig.deliver(Ok(Event::Apply(readable(3)))).await;
    assert_eq!((rig.held().as_deref(), rig.state.borrow().unreadable), (Some("3"), 0));

    rig.deliver(Ok(Event::Apply(unreadable(4)))).await;
    rig.deliver(Ok(Event::Delete(unreadable(5)))).await;
    assert_eq!((rig.held(), rig.state.borrow().unreadable), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_object_that_is_no_longer_listed_is_no_longer_counted() {
    let rig = Rig::start();
    rig.list([unreadable(1)]).await;
    assert_eq!(rig.state.borrow().unreadable, 1);
    rig.list([]).await;
    assert_eq!(rig.state.borrow().unreadable, 0);
}

#[tokio::test(start_paused = true)]
async fn a_watch_stops_when_told_whatever_it_is_doing() {
    for failing in [false, true] {
        let rig = Rig::start();
        if failing {
            rig.deliver(list_fails()).await;
        }
        rig.stop.cancel();
        time::timeout(MOMENT, rig.task).await.unwrap().unwrap();
    }
}
