//! One watch that feeds a cache until it is told to stop.
//!
//! # Guarantees
//! - A watch that fails is tried again, for ever, with its own back-off: one that is forbidden slows no other.
//! - An object that can't be decoded is left out with a log line for each of its versions; it doesn't stop the others.
//! - [`WatchState`] tells whether the watch works, for the metrics and for readiness.

mod backoff;
mod fault;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod health;
mod impatient;
mod place;
mod subject;
#[cfg(test)]
mod tests;
mod unreadable;

use std::{fmt::Debug, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use kube::{
    Api, Client, Resource,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event},
};
use serde::de::DeserializeOwned;
use tokio::{sync::watch as latest, time};
use tokio_util::sync::CancellationToken;

use self::{
    fault::{is_lost, is_refusal},
    health::Health,
    impatient::{TakenUp, impatient},
    place::Place,
    subject::Subject,
    unreadable::Unreadable,
};
use super::{
    ObjectKey,
    cache::{Change, Feed, FirstList},
    received::{PAGE_SIZE, Received},
};

pub use health::WatchState;

/// The API server ends a watch after this time and it is taken up again where it was. A connection that died without a
/// word is noticed as late as that.
const WATCH_SECONDS: u32 = 60;

/// A first list that has failed for longer than this holds up nothing any more.
const BEARABLE: Duration = Duration::from_secs(30);

type Deliveries<K> = BoxStream<'static, watcher::Result<Event<Received<K>>>>;

/// A watch on the objects of one kind in one [`Scope`](super::Scope).
pub struct Watch<K> {
    begin: Box<dyn FnMut() -> Deliveries<K> + Send>,
    deliveries: Deliveries<K>,
    taken_up: TakenUp,
    feed: Feed<K>,
    health: Health,
    unreadable: Unreadable,
}

impl<K> Watch<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
{
    /// A watch on whole objects. Cluster-scoped ones are all in [`Scope::Cluster`](super::Scope::Cluster).
    pub fn objects(client: Client, feed: Feed<K>) -> Self
    where
        K: Resource<Scope: Place> + DeserializeOwned,
    {
        Self::selected(client, feed, config())
    }

    /// A watch on the one object of this name in the feed's namespace. The right to list and watch that name is enough
    /// (`resourceNames` in RBAC). The cache of the feed holds nothing else of the namespace.
    pub fn named(client: Client, feed: Feed<K>, name: &str) -> Self
    where
        K: Resource<Scope: Place> + DeserializeOwned,
    {
        Self::selected(client, feed, config().fields(&format!("metadata.name={name}")))
    }

    fn selected(client: Client, feed: Feed<K>, config: watcher::Config) -> Self
    where
        K: Resource<Scope: Place> + DeserializeOwned,
    {
        let (client, taken_up) = impatient(client);
        let api: Api<Received<K>> = K::Scope::api(client, feed.scope());
        let begin = move || watcher::watcher(api.clone(), config.clone()).boxed();
        Self::over(begin, taken_up, feed, Subject::of::<K>())
    }

    /// `begin` lists, and goes on from there.
    fn over(
        mut begin: impl FnMut() -> Deliveries<K> + Send + 'static,
        taken_up: TakenUp,
        feed: Feed<K>,
        subject: Subject,
    ) -> Self {
        let health = Health::new(subject, feed.scope().clone());
        Self {
            deliveries: begin(),
            begin: Box::new(begin),
            taken_up,
            feed,
            unreadable: Unreadable::default(),
            health,
        }
    }

    /// The kind that is watched, in the plural: `communicationusers`.
    pub fn resource(&self) -> &str {
        self.health.resource()
    }

    /// How the watch is doing, now and from now on.
    pub fn state(&self) -> latest::Receiver<WatchState> {
        self.health.state()
    }

    /// Watches, and hands on what changed in the cache, until `stop`.
    pub async fn run(mut self, mut on_change: impl FnMut(Change<K>) + Send, stop: CancellationToken) {
        loop {
            let silent_until = self.health.silent_until();
            let delivery = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                delivery = self.deliveries.next() => delivery,
                Ok(()) = self.taken_up.changed() => {
                    self.health.taken_up();
                    continue;
                }
                () = time::sleep_until(silent_until.unwrap_or_else(time::Instant::now)), if silent_until.is_some() => {
                    self.health.was_silent();
                    continue;
                }
            };
            match delivery {
                Some(Ok(event)) => self.take_in(event).into_iter().for_each(&mut on_change),
                Some(Err(error)) => {
                    if is_lost(&error) {
                        self.deliveries = (self.begin)();
                    }
                    // What was heard of the one that failed says nothing of the next.
                    self.taken_up.mark_unchanged();
                    let pause = self.health.failed(&error);
                    if is_refusal(&error) {
                        self.feed.first_list(FirstList::Refused);
                    } else if self.health.down_for() > BEARABLE {
                        self.feed.first_list(FirstList::Failing);
                    }
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = time::sleep(pause) => {}
                    }
                }
                None => return,
            }
        }
    }

    fn take_in(&mut self, event: Event<Received<K>>) -> Vec<Change<K>> {
        match &event {
            Event::Init => self.health.lists(),
            Event::InitApply(_) => {}
            Event::InitDone | Event::Apply(_) | Event::Delete(_) => self.health.works(),
        }
        let changes = match event {
            Event::Init => self.apply(Event::Init),
            Event::InitDone => self.apply(Event::InitDone),
            Event::InitApply(object) => self.decoded(object, Event::InitApply),
            Event::Apply(object) => self.decoded(object, Event::Apply),
            Event::Delete(Received(Ok(object))) => self.apply(Event::Delete(object)),
            Event::Delete(Received(Err(invalid))) => {
                let key = ObjectKey::from_meta(&invalid.metadata);
                self.unreadable.gone(&key);
                self.feed.unreadable_deleted(key, &invalid.metadata)
            }
        };
        self.health.unreadable(self.unreadable.len());
        changes
    }

    fn decoded(&mut self, object: Received<K>, event: fn(K) -> Event<K>) -> Vec<Change<K>> {
        match object.0 {
            Ok(object) => self.apply(event(object)),
            Err(invalid) => {
                let key = ObjectKey::from_meta(&invalid.metadata);
                self.unreadable.found(self.health.resource(), &key, &invalid);
                self.feed.unreadable(key);
                Vec::new()
            }
        }
    }

    fn apply(&mut self, event: Event<K>) -> Vec<Change<K>> {
        self.unreadable.follow(&event);
        self.feed.apply(event)
    }
}

impl<R> Watch<PartialObjectMeta<R>>
where
    R: Resource<DynamicType = (), Scope: Place> + Clone + Debug + Send + Sync + 'static,
{
    /// A watch on the metadata of the objects that match `labels`, all of them when it is empty: nothing else is sent.
    pub fn metadata(client: Client, feed: Feed<PartialObjectMeta<R>>, labels: &str) -> Self {
        Self::selected(client, feed, config().labels(labels))
    }
}

fn config() -> watcher::Config {
    watcher::Config::default().page_size(PAGE_SIZE).timeout(WATCH_SECONDS)
}
