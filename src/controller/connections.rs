//! The connections: what is declared, and what this process knows of each.

mod access;
mod budget;
mod census;
mod clock_skew;
mod credential;
mod entry;
mod keeper;
mod keyring;
mod known;
mod leftovers;
mod resolve;
mod secrets;
mod source;
mod standing;
mod tenants;
mod ways;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PartialObjectMeta;

pub use self::access::Access;
pub use self::credential::EndpointRule;
pub use self::keeper::{ClientMaker, Keeper};
pub use self::leftovers::release as release_leftovers;
pub use self::resolve::{Resolved, key_of};
pub use self::secrets::CredentialSecrets;
pub use self::source::Environment;

use self::entry::Entry;
use self::known::Questions;
use self::source::Source;
use super::permits::{Attendant, Permits};
use super::queue::{Lane, WorkQueue};
use super::room::Rooms;
use super::sources::UserCache;
use crate::api::{ClusterCommunicationConnection, CommunicationConnection, names};
use crate::clock::Clock;
use crate::cluster::ObjectKey;
use crate::cluster::cache::Cache;
use crate::telemetry::metrics::ConnectionSample;

/// What is declared: the objects of both kinds, who uses them, what allows namespaces to do so, and the environment.
#[derive(Clone)]
pub struct Declared {
    /// The CommunicationUsers.
    pub users: Arc<UserCache>,
    /// The CommunicationConnections.
    pub namespaced: Arc<Cache<CommunicationConnection>>,
    /// The ClusterCommunicationConnections.
    pub cluster: Arc<Cache<ClusterCommunicationConnection>>,
    /// The namespaces with their labels. None where they may not be read: then no selector selects any, but an empty one.
    pub namespaces: Arc<Cache<PartialObjectMeta<Namespace>>>,
    /// The connection of the environment.
    pub environment: Option<Arc<Environment>>,
    /// Whether cluster connections are written to. Where an operator serves some namespaces only, others use them as well.
    pub holds_cluster_connections: bool,
}

/// All connections that the operator knows.
pub struct Connections {
    declared: Declared,
    /// The connection of the environment.
    environment: Option<Arc<Source>>,
    entries: Mutex<HashMap<ObjectKey, Arc<Entry>>>,
    /// The connections to be looked at.
    queue: Arc<WorkQueue<ObjectKey>>,
    clock: Clock,
    /// When this process began.
    since: Timestamp,
    rooms: Rooms,
    /// Who calls the users that wait for permits.
    attendant: Attendant,
    /// Those of which it was not known whether there are any.
    questions: Arc<Questions>,
}

impl Connections {
    /// The connections that are declared; `queue` takes those that are to be looked at. `workers` work on their users.
    pub fn new(
        declared: Declared,
        queue: Arc<WorkQueue<ObjectKey>>,
        attendant: Attendant,
        clock: Clock,
        workers: usize,
    ) -> Self {
        Self {
            environment: declared.environment.as_ref().map(Source::environment).map(Arc::new),
            declared,
            entries: Mutex::default(),
            queue,
            since: clock.now(),
            rooms: Rooms::new(workers),
            attendant,
            questions: Arc::default(),
            clock,
        }
    }

    /// Follows the limits that are declared. Whether there were others before.
    fn limit(&self, source: &Source, entry: &Entry) -> bool {
        entry.limit(&source.settings, Instant::now(), |limiter| {
            let room_for = |operation| self.rooms.for_users(&source.key, operation);
            Permits::new(limiter, room_for, self.attendant.clone())
        })
    }

    /// A user needs no permits now: its place in the line of its connection, or of whichever it stands in, is for others.
    pub fn leave_line(&self, user: &ObjectKey, connection: Option<&ObjectKey>) {
        if let Some(connection) = connection {
            if let Some(entry) = self.find(connection) {
                entry.leave_line(user);
            }
            return;
        }
        let entries: Vec<_> = self
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect();
        for entry in entries {
            entry.leave_line(user);
        }
    }

    /// The connection as declared. Every look of every user asks for it: it is made once for each version of the object.
    fn source(&self, key: &ObjectKey) -> Option<Arc<Source>> {
        if key.namespace().is_some() {
            let object = self.declared.namespaced.get(key)?;
            let known = self.find(key).and_then(|entry| entry.source(&object.metadata));
            return known.or_else(|| Some(Arc::new(Source::namespaced(&object))));
        }
        if let Some(object) = self.declared.cluster.get(key) {
            let known = self.find(key).and_then(|entry| entry.source(&object.metadata));
            return known.or_else(|| Some(Arc::new(Source::cluster(&object))));
        }
        let environment = self.environment.as_ref();
        environment.filter(|_| key.name() == names::DEFAULT_CONNECTION).cloned()
    }

    /// Whether a connection is ours to write to: status, events and finalizers.
    fn is_writable(&self, source: &Source) -> bool {
        let is_cluster = source.key.namespace().is_none();
        source.is_object() && (!is_cluster || self.declared.holds_cluster_connections)
    }

    /// Shows every connection that was looked at, as metrics see it.
    pub fn for_each(&self, visit: &mut dyn FnMut(ConnectionSample)) {
        let entries: Vec<_> = self
            .lock()
            .iter()
            .map(|(key, entry)| (key.clone(), Arc::clone(entry)))
            .collect();
        for (key, entry) in entries {
            if self.source(&key).is_some()
                && let Some(sample) = entry.sample(&key)
            {
                visit(sample);
            }
        }
    }

    /// Shows every connection that is declared.
    pub fn for_each_declared(&self, mut visit: impl FnMut(ObjectKey)) {
        self.declared.namespaced.for_each(|key, _| visit(key.clone()));
        self.declared.cluster.for_each(|key, _| visit(key.clone()));
        if self.declared.environment.is_some() {
            visit(ObjectKey::cluster_scoped(names::DEFAULT_CONNECTION));
        }
    }

    /// Whether a namespace is being deleted as a whole, as far as the watch has told.
    fn namespace_goes(&self, namespace: &str) -> bool {
        let known = self.declared.namespaces.get(&ObjectKey::cluster_scoped(namespace));
        known.is_some_and(|known| known.metadata.deletion_timestamp.is_some())
    }

    fn find(&self, key: &ObjectKey) -> Option<Arc<Entry>> {
        self.lock().get(key).cloned()
    }

    fn entry(&self, key: &ObjectKey) -> Arc<Entry> {
        Arc::clone(self.lock().entry(key.clone()).or_default())
    }

    /// The entry of exactly this connection: another one of its name, or the environment in its place, has nothing in common
    /// with it.
    fn entry_of(&self, source: &Arc<Source>) -> Arc<Entry> {
        let mut entries = self.lock();
        let entry = entries.entry(source.key.clone()).or_default();
        if !entry.declare(source) {
            *entry = Arc::default();
            entry.declare(source);
        }
        Arc::clone(entry)
    }

    fn forget(&self, key: &ObjectKey) {
        self.lock().remove(key);
    }

    /// Asks for a look at a connection.
    fn look(&self, key: &ObjectKey) -> Arc<dyn Fn() + Send + Sync> {
        let (queue, key) = (Arc::clone(&self.queue), key.clone());
        Arc::new(move || queue.add_now(key.clone(), Lane::Urgent))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectKey, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
