//! Carries out steps. What to do is decided elsewhere; here is only how.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use acs_identity::Operation;
use jiff::Timestamp;
use kube::Resource;
use kube::core::object::HasStatus;
use serde::de::DeserializeOwned;

use super::Keeper;
use crate::api::{
    ClusterCommunicationConnection, CommunicationConnection, ConnectionStatus, Verdict, names, names::finalizer,
};
use crate::cluster::cache::{Cache, Epoch};
use crate::cluster::writes::{Target, WriteError};
use crate::cluster::{ObjectKey, Scope};
use crate::controller::connections::Connections;
use crate::controller::connections::entry::Entry;
use crate::controller::connections::source::Source;
use crate::controller::permits::Permits;
use crate::controller::queue::{Lane, WorkQueue};
use crate::decide::connection::{ConnectionStep, SecretState};

/// What came of a step.
pub(super) enum Done {
    Yes,
    /// A write failed.
    No(WriteError),
    /// The rate limits have no room.
    NotBefore(Instant),
}

/// What a write met.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Met {
    /// The version that it was for.
    Written,
    /// Another version, or nothing: it was not carried out.
    Another,
}

impl Keeper {
    /// Carries out one step.
    pub(super) async fn perform(&self, source: &Source, entry: &Arc<Entry>, step: &ConnectionStep) -> Done {
        match step {
            ConnectionStep::Guard => {
                let mut finalizers = source.metadata.finalizers.clone().unwrap_or_default();
                finalizers.push(finalizer::IN_USE.to_owned());
                self.set_finalizers(source, &finalizers).await
            }
            ConnectionStep::Release => {
                let held = source.metadata.finalizers.iter().flatten();
                self.set_finalizers(source, &finalizer::without(finalizer::IN_USE, held))
                    .await
            }
            ConnectionStep::GuardSecret(secret) => {
                let mut finalizers = secret.finalizers.clone();
                finalizers.push(finalizer::CREDENTIAL_IN_USE.to_owned());
                self.set_secret_finalizers(secret, &finalizers).await
            }
            ConnectionStep::ReleaseSecret(secret) => self.release_secret(&source.key, entry, secret).await,
            ConnectionStep::ReleaseDeletedSecret(secret) => match self.writes.namespace_goes(&secret.namespace).await {
                // It stays guarded until nobody needs it any more.
                Ok(true) => {
                    entry.note_goes_with_namespace(&secret.uid);
                    Done::Yes
                }
                // Where namespaces may not be read, a rotation must not hang: what the Secret held stays in memory.
                Ok(false) | Err(WriteError::Refused(_)) => self.release_secret(&source.key, entry, secret).await,
                Err(error) => Done::No(error),
            },
            ConnectionStep::Probe { credential } => self.probe(source, entry, credential),
            ConnectionStep::CountUsers => match self.count_live(source).await {
                Ok(count) => {
                    let now = self.clock.now();
                    entry.remember(|memory| memory.still_used = Some((count, now)));
                    Done::Yes
                }
                Err(error) => Done::No(error),
            },
            ConnectionStep::WriteStatus(status) => self.write_status(source, entry, status).await,
        }
    }

    /// Begins a probe. Its end is told by another look: a host that leaves it unanswered keeps no other connection waiting.
    fn probe(&self, source: &Source, entry: &Arc<Entry>, credential: &str) -> Done {
        let Some((client, permits)) = entry.client(credential) else {
            return Done::Yes;
        };
        let take = |permits: &Permits| permits.take_at_once(Operation::Probe, Instant::now());
        let mut permit = match take(&permits) {
            Ok(permit) => permit,
            Err(turn) => return Done::NotBefore(turn),
        };
        let under_way = UnderWay::begin(Arc::clone(entry), &self.connections, &source.key, self.clock.now());
        let room = self.connections.rooms.for_probes(&source.key);
        let (connection, credential, clock) = (source.label(), credential.to_owned(), self.clock.clone());
        tokio::spawn(async move {
            let _room = room.take().await;
            if !under_way.is_wanted() {
                return;
            }
            if !permit.is_fresh(Instant::now()) {
                match take(&permits) {
                    Ok(another) => permit = another,
                    Err(turn) => return under_way.wait(turn),
                }
            }
            let answer = client.probe().await;
            permits.answered(&permit, &answer, Instant::now());
            match &answer {
                Ok(()) => tracing::debug!(%connection, credential, "credential proven"),
                Err(error) => tracing::debug!(%connection, credential, %error, "credential not proven"),
            }
            under_way
                .entry
                .probed(under_way.began, &credential, &answer, clock.now());
        });
        Done::Yes
    }

    async fn write_status(&self, source: &Source, entry: &Entry, status: &ConnectionStatus) -> Done {
        let written = if source.key.namespace().is_some() {
            self.patch_status(&self.connections.declared.namespaced, source, status)
                .await
        } else {
            self.patch_status(&self.connections.declared.cluster, source, status)
                .await
        };
        match written {
            Ok(Met::Written) => {}
            Ok(Met::Another) => return Done::Yes,
            Err(error) => return Done::No(error),
        }
        let now = self.clock.now();
        entry.remember(|memory| memory.counted = Some(now));
        if let Some(told) = Verdict::told_by(&status.conditions) {
            let before = Verdict::told_by(&source.status.conditions);
            self.report.connection(&self.subject(source), before.as_ref(), &told);
        }
        Done::Yes
    }

    async fn patch_status<K>(
        &self,
        cache: &Cache<K>,
        source: &Source,
        status: &ConnectionStatus,
    ) -> Result<Met, WriteError>
    where
        K: Kind + HasStatus<Status = ConnectionStatus>,
    {
        let since = cache.epoch();
        let written = self
            .writes
            .patch_status::<K>(&target(source), &source.status, status)
            .await;
        self.take(cache, since, source, written).await
    }

    /// A write goes into the cache, and so does what it met instead of what was expected, with which all is decided anew.
    async fn take<K: Kind>(
        &self,
        cache: &Cache<K>,
        since: Epoch,
        source: &Source,
        written: Result<K, WriteError>,
    ) -> Result<Met, WriteError> {
        let Target {
            namespace,
            name,
            uid,
            resource_version,
        } = target(source);
        let (met, stored) = match written {
            Err(WriteError::Conflict) => (Met::Another, self.writes.read_object::<K>(namespace, name, uid).await),
            written => (Met::Written, written),
        };
        let is_as_expected = |object: &K| object.meta().resource_version.as_deref() == Some(resource_version);
        match stored {
            Ok(object) if met == Met::Another && is_as_expected(&object) => Err(WriteError::conflict_over_nothing()),
            Ok(object) => {
                cache.apply_own_write(since, object);
                Ok(met)
            }
            Err(WriteError::Gone) => {
                cache.apply_own_delete(&source.key, uid);
                Ok(Met::Another)
            }
            Err(error) => Err(error),
        }
    }

    /// How many users the API server has at this moment.
    async fn count_live(&self, source: &Source) -> Result<usize, WriteError> {
        let (kind, name) = (source.kind(), source.key.name());
        if let Some(namespace) = source.key.namespace() {
            return self
                .writes
                .count_users(&Scope::Namespace(namespace.into()), kind, name)
                .await;
        }
        let named = self.writes.count_users(&Scope::Cluster, kind, name).await?;
        if name != names::DEFAULT_CONNECTION {
            return Ok(named);
        }
        Ok(named + self.writes.count_users_without_reference(&Scope::Cluster).await?)
    }

    async fn set_finalizers(&self, source: &Source, finalizers: &[String]) -> Done {
        let written = if source.key.namespace().is_some() {
            self.patch_finalizers(&self.connections.declared.namespaced, source, finalizers)
                .await
        } else {
            self.patch_finalizers(&self.connections.declared.cluster, source, finalizers)
                .await
        };
        written.map_or_else(Done::No, |_| Done::Yes)
    }

    async fn patch_finalizers<K: Kind>(
        &self,
        cache: &Cache<K>,
        source: &Source,
        finalizers: &[String],
    ) -> Result<Met, WriteError> {
        let since = cache.epoch();
        let written = self.writes.patch_metadata::<K>(&target(source), finalizers, &[]).await;
        self.take(cache, since, source, written).await
    }

    /// Takes our finalizer off a Secret, as it is now if that is not known.
    async fn release_secret(&self, connection: &ObjectKey, entry: &Entry, secret: &SecretState) -> Done {
        let mut secret = secret.clone();
        if secret.uid.is_empty() {
            match self.writes.read_secret_metadata(&secret.namespace, &secret.name).await {
                Ok(Some(metadata)) => secret = self.secret_state(connection, entry, &metadata),
                Ok(None) => secret.finalizers = Vec::new(),
                Err(error) => return Done::No(error),
            }
        }
        let done = if secret.is_guarded() {
            let others = finalizer::without(finalizer::CREDENTIAL_IN_USE, &secret.finalizers);
            self.set_secret_finalizers(&secret, &others).await
        } else {
            Done::Yes
        };
        if matches!(done, Done::Yes) {
            entry.left(&secret.namespace, &secret.name);
        }
        done
    }

    /// Takes our finalizer off the Secret of a connection that is gone.
    pub(super) async fn release_left(&self, connection: &ObjectKey, entry: &Entry) -> Done {
        let is_writable = connection.namespace().is_some() || self.connections.declared.holds_cluster_connections;
        let left = entry.place(None).filter(|_| is_writable);
        match left.map(|place| self.former(connection, &place)) {
            Some(secret) if secret.can_go() => self.release_secret(connection, entry, &secret).await,
            _ => Done::Yes,
        }
    }

    async fn set_secret_finalizers(&self, secret: &SecretState, finalizers: &[String]) -> Done {
        let SecretState {
            namespace,
            name,
            uid,
            resource_version,
            ..
        } = secret;
        let key = ObjectKey::namespaced(namespace, name);
        let written = self
            .writes
            .patch_secret_finalizers(namespace, name, uid, resource_version, finalizers)
            .await;
        match written {
            Ok(metadata) => {
                self.secrets.written(&key, resource_version, metadata);
                Done::Yes
            }
            // It went before.
            Err(WriteError::Gone) => {
                self.secrets.gone(&key, uid);
                Done::Yes
            }
            Err(error) => Done::No(error),
        }
    }
}

/// A probe under way. However its task ends, the connection is looked at again.
struct UnderWay {
    entry: Arc<Entry>,
    queue: Arc<WorkQueue<ObjectKey>>,
    connection: ObjectKey,
    began: Timestamp,
    /// When that is.
    look_at: Instant,
}

impl UnderWay {
    fn begin(entry: Arc<Entry>, connections: &Connections, connection: &ObjectKey, now: Timestamp) -> Self {
        entry.remember(|memory| memory.probing = Some(now));
        Self {
            entry,
            queue: Arc::clone(&connections.queue),
            connection: connection.clone(),
            began: now,
            look_at: Instant::now(),
        }
    }

    /// Ends without a proof; the connection is looked at then.
    fn wait(mut self, turn: Instant) {
        self.look_at = turn;
    }

    /// Whether nothing was changed since it began.
    fn is_wanted(&self) -> bool {
        self.entry.is_probing_since(self.began)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.entry.remember(|memory| {
            memory.probing.take_if(|began| *began == self.began);
        });
        self.queue
            .add(self.connection.clone(), Lane::Urgent, self.look_at.into());
    }
}

/// A kind of connection.
trait Kind: Resource<DynamicType = ()> + HasStatus + Clone + Debug + DeserializeOwned {}

impl Kind for CommunicationConnection {}
impl Kind for ClusterCommunicationConnection {}

fn target(source: &Source) -> Target<'_> {
    Target {
        namespace: source.key.namespace(),
        name: source.key.name(),
        uid: source.metadata.uid.as_deref().unwrap_or_default(),
        resource_version: source.metadata.resource_version.as_deref().unwrap_or_default(),
    }
}
