//! The Secrets that connections name: each is watched by itself, by its name, so that a right on just these Secrets is
//! enough, and nothing else is ever read.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Client, Resource};
use tokio_util::sync::CancellationToken;

use crate::cluster::cache::{Cache, FirstList};
use crate::cluster::watch::Watch;
use crate::cluster::{CredentialSecret, ObjectKey, Scope};

/// Told of the connections whose Secret changed.
type OnChange = Arc<dyn Fn(&ObjectKey) + Send + Sync>;

/// See the module's page.
pub struct CredentialSecrets {
    client: Client,
    on_change: OnChange,
    stop: CancellationToken,
    watched: Mutex<HashMap<ObjectKey, Watched>>,
}

struct Watched {
    cache: Arc<Cache<CredentialSecret>>,
    /// The connections that name it.
    wanted_by: Arc<Mutex<BTreeSet<ObjectKey>>>,
    stop: CancellationToken,
}

/// What is known of a Secret.
pub enum Lookup {
    /// The first list is not complete.
    Pending,
    /// There is none.
    Absent,
    /// The operator may not read it.
    Refused,
    /// This.
    Found(Arc<CredentialSecret>),
}

impl CredentialSecrets {
    /// Watches until `stop`; `on_change` is told which connection is to be looked at.
    pub fn new(client: Client, on_change: OnChange, stop: CancellationToken) -> Self {
        Self {
            client,
            on_change,
            stop,
            watched: Mutex::default(),
        }
    }

    /// The Secret that a connection names now; it is watched from now on, and what the connection named before is not, unless
    /// others do.
    pub fn named_by(&self, connection: &ObjectKey, secret: &ObjectKey) -> Lookup {
        let mut watched = self.lock();
        drop_interest(&mut watched, connection, Some(secret));
        let watched = watched.entry(secret.clone()).or_insert_with(|| self.watch(secret));
        lock(&watched.wanted_by).insert(connection.clone());
        match (watched.cache.get(secret), watched.cache.first_list(secret)) {
            (Some(found), _) => Lookup::Found(found),
            (None, FirstList::Complete) => Lookup::Absent,
            (None, FirstList::Refused) => Lookup::Refused,
            (None, FirstList::Awaited | FirstList::Failing) => Lookup::Pending,
        }
    }

    /// The connections that name a Secret.
    pub fn wanted_by(&self, secret: &ObjectKey) -> BTreeSet<ObjectKey> {
        let watched = self.lock();
        watched
            .get(secret)
            .map(|watched| lock(&watched.wanted_by).clone())
            .unwrap_or_default()
    }

    /// A connection names no Secret any more.
    pub fn dropped_by(&self, connection: &ObjectKey) {
        drop_interest(&mut self.lock(), connection, None);
    }

    /// Takes a write of ours to the metadata of a Secret that had this version before. Its values are taken to be as they were in that
    /// one: where another one is at hand, the watch tells the whole of what was written.
    pub fn written(&self, secret: &ObjectKey, version: &str, metadata: ObjectMeta) {
        let watched = self.lock();
        let Some(Watched { cache, wanted_by, .. }) = watched.get(secret) else {
            return;
        };
        let since = cache.epoch();
        let before = cache.get(secret);
        if let Some(before) = before.filter(|before| before.meta().resource_version.as_deref() == Some(version)) {
            let mut secret = CredentialSecret::clone(&before);
            *secret.meta_mut() = metadata;
            cache.apply_own_write(since, secret);
            // Others may go by its finalizer.
            self.teller(wanted_by)();
        }
    }

    /// The Secret of this uid is gone, as the API server says: until the watch tells it too, it would be let go again and again.
    pub fn gone(&self, secret: &ObjectKey, uid: &str) {
        let watched = self.lock();
        if let Some(Watched { cache, wanted_by, .. }) = watched.get(secret)
            && cache.apply_own_delete(secret, uid).is_some()
        {
            self.teller(wanted_by)();
        }
    }

    fn watch(&self, secret: &ObjectKey) -> Watched {
        let namespace = secret.namespace().unwrap_or_default();
        let (cache, feeds) = Cache::new([Scope::Namespace(namespace.into())], []);
        let wanted_by = Arc::new(Mutex::new(BTreeSet::new()));
        let stop = self.stop.child_token();
        for feed in feeds {
            let watch = Watch::named(self.client.clone(), feed, secret.name());
            let (cache, secret, tell) = (Arc::clone(&cache), secret.clone(), self.teller(&wanted_by));
            let on_change = tell.clone();
            tokio::spawn(watch.run(move |_| on_change(), stop.clone()));
            let stopped = stop.clone();
            // An empty first list is no change, nor is one that is refused.
            let first_list = async move {
                let is_answer = |list| matches!(list, FirstList::Complete | FirstList::Refused);
                cache.first_list_is(&secret, is_answer).await;
                tell();
                if !cache.is_synced() {
                    cache.wait_synced().await;
                    tell();
                }
            };
            tokio::spawn(async move { stopped.run_until_cancelled(first_list).await });
        }
        Watched { cache, wanted_by, stop }
    }

    fn teller(&self, wanted_by: &Arc<Mutex<BTreeSet<ObjectKey>>>) -> Arc<dyn Fn() + Send + Sync> {
        let (on_change, wanted_by) = (Arc::clone(&self.on_change), Arc::clone(wanted_by));
        Arc::new(move || {
            let connections = lock(&wanted_by).clone();
            for connection in &connections {
                on_change(connection);
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, Watched>> {
        lock(&self.watched)
    }
}

fn drop_interest(watched: &mut HashMap<ObjectKey, Watched>, connection: &ObjectKey, but: Option<&ObjectKey>) {
    watched.retain(|secret, watched| {
        let mut wanted_by = lock(&watched.wanted_by);
        if Some(secret) != but && wanted_by.remove(connection) && wanted_by.is_empty() {
            watched.stop.cancel();
            return false;
        }
        true
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
