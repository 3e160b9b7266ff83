//! Looks after one connection at a time: looks, decides, acts, until nothing is due.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use acs_identity::{Client, Credential as AcsCredential, Observer, Operation, RetryPolicy, Transport};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::object::HasStatus;
use serde::de::DeserializeOwned;

use super::credential::{EndpointRule, NotLoaded, load};
use super::entry::{Entry, Standing, Ways};
use super::secrets::{CredentialSecrets, Lookup};
use super::source::{Place, Source};
use super::{Connections, key_of};
use crate::api::{
    ClusterCommunicationConnection, CommunicationConnection, CommunicationUser, ConnectionStatus, names,
    names::finalizer, whole_seconds,
};
use crate::clock::Clock;
use crate::cluster::cache::{Cache, Epoch};
use crate::cluster::writes::{Target, WriteError, Writes};
use crate::cluster::{ObjectKey, Scope};
use crate::controller::queue::{Lane, WorkQueue};
use crate::controller::reconcile::Ending;
use crate::controller::report::Report;
use crate::controller::sources::UserCache;
use crate::decide::connection::{
    ConnectionDecision, ConnectionObject, ConnectionStep, Credential, ObservedConnection, SecretState, Users,
    WriteTrouble, decide_connection, verdict,
};

/// No path of decisions is this long.
const MOST_STEPS: usize = 16;

/// Pauses after failed writes, doubling.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(30);

/// Makes clients.
pub struct ClientMaker {
    /// The connections to ACS.
    pub transport: Transport,
    /// Who counts calls.
    pub observer: Arc<dyn Observer>,
}

/// See the module's page.
pub struct Keeper {
    /// The connections.
    pub connections: Arc<Connections>,
    /// Who uses them.
    pub users: Arc<UserCache>,
    /// The users to be looked at.
    pub user_queue: Arc<WorkQueue<ObjectKey>>,
    /// Their credentials.
    pub secrets: Arc<CredentialSecrets>,
    /// Where a credential may be sent to.
    pub rule: EndpointRule,
    /// Makes clients of them.
    pub clients: ClientMaker,
    /// The API server.
    pub writes: Writes,
    /// Who is told.
    pub report: Arc<Report>,
    /// How often a good credential is proven again; `None`: never.
    pub probe_interval: Option<SignedDuration>,
    /// The clock.
    pub clock: Clock,
}

/// What came of a step.
enum Done {
    Yes,
    /// A write failed.
    No(WriteError),
    /// The rate limits have no room.
    NotBefore(Instant),
}

impl Keeper {
    /// Looks after one connection.
    pub async fn run(&self, key: &ObjectKey) -> Ending {
        for _ in 0..MOST_STEPS {
            let Some(source) = self.connections.source(key) else {
                return self.gone(key);
            };
            let entry = self.connections.entry(key);
            let o = self.look(&source, &entry);
            if entry.stands(standing(&o)) {
                self.wake_users(key);
            }
            let step = match decide_connection(&o, self.clock.now()) {
                ConnectionDecision::Do(step) => step,
                ConnectionDecision::Settled { wake_at } => {
                    let in_trouble = !verdict(&o).ready;
                    return Ending::Settled { wake_at, in_trouble };
                }
            };
            match self.perform(&source, &entry, &step).await {
                Done::Yes => entry.remember(|memory| memory.trouble = None),
                Done::NotBefore(turn) => return Ending::InLine { turn },
                Done::No(error) => self.failed(key, &entry, &error),
            }
        }
        Ending::Contended
    }

    /// What is known of the connection now, with its credential loaded as it lies there.
    fn look(&self, source: &Source, entry: &Arc<Entry>) -> ObservedConnection {
        entry.limit(&source.settings, Instant::now());
        let former_place = entry.place(source.place());
        let lookup = match source.place() {
            Some(place) => self.secrets.named_by(&source.key, &place.secret()),
            None => {
                self.secrets.dropped_by(&source.key);
                Lookup::Absent
            }
        };
        let secret = match &lookup {
            Lookup::Found(secret) => Some(secret),
            Lookup::Absent | Lookup::Pending => None,
        };
        if !matches!(lookup, Lookup::Pending) {
            let loaded = load(source, secret.map(|secret| &**secret), &self.rule);
            entry.load(self.ways(loaded));
        }
        let (credential, health, memory) = entry.known();
        let users = self.count(source, entry);
        ObservedConnection {
            object: object(source, self.connections.declared.holds_cluster_connections),
            credential: credential.unwrap_or(Credential::Pending),
            secret: secret.map(|secret| self.secret_state(secret.meta())),
            former_secret: former_place.map(|place| former(&place)),
            users,
            health,
            memory,
            probe_interval: self.probe_interval,
        }
    }

    /// Clients for what was loaded.
    fn ways(&self, loaded: Result<super::credential::Loaded, NotLoaded>) -> Result<Ways, Credential> {
        let loaded = loaded.map_err(|why| match why {
            NotLoaded::Missing(why) => Credential::Missing(why),
            NotLoaded::Invalid(why) => Credential::Invalid(why),
            NotLoaded::Unsupported(why) => Credential::Unsupported(why),
        })?;
        let make = |credential: AcsCredential| {
            let fingerprint = credential.fingerprint().as_str().to_owned();
            let client = Client::builder(loaded.endpoint.clone(), credential)
                .api_version(loaded.api_version.clone())
                // Retries are scheduled by the queue, where they wait without holding a worker.
                .retry(RetryPolicy::none())
                .transport(self.clients.transport.clone())
                .observer(Arc::clone(&self.clients.observer))
                .build()
                .map_err(|error| Credential::Invalid(error.to_string()))?;
            Ok((fingerprint, client))
        };
        Ok(Ways {
            endpoint: loaded.endpoint.as_str().to_owned(),
            custom_ids: loaded.api_version.has_custom_id(),
            clients: loaded.credentials.into_iter().map(make).collect::<Result<_, _>>()?,
        })
    }

    fn secret_state(&self, metadata: &ObjectMeta) -> SecretState {
        let namespace = metadata.namespace.clone().unwrap_or_default();
        SecretState {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            finalizers: metadata.finalizers.clone().unwrap_or_default(),
            deleting: metadata.deletion_timestamp.is_some(),
            namespace_goes: self.connections.namespace_goes(&namespace),
            namespace,
        }
    }

    /// Its users, and how many of them wait for another token.
    fn count(&self, source: &Source, entry: &Entry) -> Users {
        let mut tokens_pending = 0;
        let good = entry.standing().and_then(|standing| standing.good);
        let now = self.clock.now();
        let valid_from = source.settings.tokens_valid_from.as_ref().map(|time| time.0);
        let valid_from = valid_from.filter(|from| *from <= now);
        let all = entry.count(
            || {
                let mut all = 0;
                self.users.for_each(|_, user| {
                    if key_of(user).as_ref() == Some(&source.key) {
                        all += 1;
                        tokens_pending += i32::from(waits_for_a_token(user, good.as_deref(), valid_from));
                    }
                });
                (all, tokens_pending)
            },
            Instant::now(),
        );
        Users {
            all: all.0,
            tokens_pending: all.1,
        }
    }

    async fn perform(&self, source: &Source, entry: &Entry, step: &ConnectionStep) -> Done {
        match step {
            ConnectionStep::Hold => {
                let mut finalizers = source.metadata.finalizers.clone().unwrap_or_default();
                finalizers.push(finalizer::IN_USE.to_owned());
                self.set_finalizers(source, &finalizers).await
            }
            ConnectionStep::Release => {
                let held = source.metadata.finalizers.iter().flatten();
                let others: Vec<_> = held.filter(|held| *held != finalizer::IN_USE).cloned().collect();
                self.set_finalizers(source, &others).await
            }
            ConnectionStep::HoldSecret(secret) => {
                let mut finalizers = secret.finalizers.clone();
                finalizers.push(finalizer::CREDENTIAL_IN_USE.to_owned());
                self.set_secret_finalizers(secret, &finalizers).await
            }
            ConnectionStep::ReleaseSecret(secret) => self.release_secret(entry, secret).await,
            ConnectionStep::ReleaseDeletedSecret(secret) => match self.writes.namespace_goes(&secret.namespace).await {
                // The watch will tell; until then it stays held.
                Ok(true) => {
                    self.connections.note_namespace_goes(&secret.namespace);
                    Done::Yes
                }
                // Where namespaces may not be read, a rotation must not hang: what the Secret held stays in memory.
                Ok(false) | Err(WriteError::Refused(_)) => self.release_secret(entry, secret).await,
                Err(error) => Done::No(error),
            },
            ConnectionStep::Probe { credential } => self.probe(source, entry, credential).await,
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

    async fn probe(&self, source: &Source, entry: &Entry, credential: &str) -> Done {
        let Some((client, permits)) = entry.client(credential) else {
            return Done::Yes;
        };
        let permit = match permits.take(&[Operation::Revoke], Instant::now()) {
            Ok(permit) => permit,
            Err(turn) => return Done::NotBefore(turn),
        };
        let answer = client.probe().await;
        match answer.as_ref().map_err(acs_identity::Error::class) {
            Err(acs_identity::FailureClass::Throttled { retry_after }) => {
                permits.throttled(&permit, retry_after, Instant::now());
            }
            _ => permits.served(&permit),
        }
        let (connection, before) = (source.label(), entry.standing());
        match &answer {
            Ok(()) => tracing::debug!(%connection, credential, "credential proven"),
            Err(error) => tracing::debug!(%connection, credential, %error, "credential not proven"),
        }
        drop(before);
        entry.probed(credential, &answer, self.clock.now());
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
        if let Err(error) = written {
            return Done::No(error);
        }
        let told = status.suspected_orphans.unwrap_or(0) - source.status.suspected_orphans.unwrap_or(0);
        let now = self.clock.now();
        entry.remember(|memory| {
            memory.suspected_orphans -= told;
            memory.counted = Some(now);
        });
        self.report
            .connection_status(source.kind(), &source.metadata, &source.status, status);
        Done::Yes
    }

    async fn patch_status<K>(
        &self,
        cache: &Cache<K>,
        source: &Source,
        status: &ConnectionStatus,
    ) -> Result<(), WriteError>
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

    /// A write goes into the cache, and so does what it met instead of what was expected.
    async fn take<K: Kind>(
        &self,
        cache: &Cache<K>,
        since: Epoch,
        source: &Source,
        written: Result<K, WriteError>,
    ) -> Result<(), WriteError> {
        let Target {
            namespace, name, uid, ..
        } = target(source);
        let written = match written {
            Err(WriteError::Conflict) => self.writes.read_object::<K>(namespace, name, uid).await,
            written => written,
        };
        match written {
            Ok(object) => {
                cache.apply_own_write(since, object);
                Ok(())
            }
            Err(WriteError::Gone) => {
                cache.apply_own_delete(&source.key, uid);
                Ok(())
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
        written.map_or_else(Done::No, |()| Done::Yes)
    }

    async fn patch_finalizers<K: Kind>(
        &self,
        cache: &Cache<K>,
        source: &Source,
        finalizers: &[String],
    ) -> Result<(), WriteError> {
        let since = cache.epoch();
        let written = self.writes.patch_metadata::<K>(&target(source), finalizers, &[]).await;
        let goes = finalizers.is_empty() && source.metadata.deletion_timestamp.is_some();
        let written = if goes && written.is_ok() {
            Err(WriteError::Gone)
        } else {
            written
        };
        self.take(cache, since, source, written).await
    }

    /// Takes our finalizer off a Secret, as it is now if that is not known.
    async fn release_secret(&self, entry: &Entry, secret: &SecretState) -> Done {
        let mut secret = secret.clone();
        if secret.uid.is_empty() {
            match self.writes.read_secret_metadata(&secret.namespace, &secret.name).await {
                Ok(Some(metadata)) => secret = self.secret_state(&metadata),
                Ok(None) => secret.finalizers = Vec::new(),
                Err(error) => return Done::No(error),
            }
        }
        let done = if secret.is_held() {
            let held = secret.finalizers.iter();
            let others: Vec<_> = held
                .filter(|held| *held != finalizer::CREDENTIAL_IN_USE)
                .cloned()
                .collect();
            self.set_secret_finalizers(&secret, &others).await
        } else {
            Done::Yes
        };
        if matches!(done, Done::Yes) {
            entry.left(&secret.namespace, &secret.name);
        }
        done
    }

    async fn set_secret_finalizers(&self, secret: &SecretState, finalizers: &[String]) -> Done {
        let SecretState {
            namespace,
            name,
            uid,
            resource_version,
            ..
        } = secret;
        let written = self
            .writes
            .patch_secret_finalizers(namespace, name, uid, resource_version, finalizers)
            .await;
        match written {
            Ok(metadata) => {
                self.secrets.written(&ObjectKey::namespaced(namespace, name), metadata);
                Done::Yes
            }
            // It went before.
            Err(WriteError::Gone) => Done::Yes,
            Err(error) => Done::No(error),
        }
    }

    fn failed(&self, key: &ObjectKey, entry: &Entry, error: &WriteError) {
        let now = self.clock.now();
        tracing::warn!(connection = %key, %error, "a connection could not be brought up to date, and is tried again");
        entry.remember(|memory| {
            let count = memory
                .trouble
                .as_ref()
                .map_or(0, |trouble| trouble.count)
                .saturating_add(1);
            let pause = (FIRST_PAUSE * (1 << (count - 1).min(10))).min(LONGEST_PAUSE);
            let retry_at = now.checked_add(pause).unwrap_or(Timestamp::MAX);
            memory.trouble = Some(WriteTrouble { count, retry_at });
        });
    }

    /// Its users have to be told; who goes may still need what it led to.
    fn gone(&self, key: &ObjectKey) -> Ending {
        self.secrets.dropped_by(key);
        let mut is_used = false;
        self.users
            .for_each(|_, user| is_used |= key_of(user).as_ref() == Some(key));
        if is_used {
            self.wake_users(key);
        } else {
            self.connections.forget(key);
        }
        Ending::Gone
    }

    /// Every user of a connection is looked at, those first whose token ends first.
    fn wake_users(&self, key: &ObjectKey) {
        let mut users = Vec::new();
        self.users.for_each(|user, object| {
            if key_of(object).as_ref() == Some(key) {
                users.push((expiry(object), user.clone()));
            }
        });
        users.sort();
        for (_, user) in users {
            self.user_queue.add_now(user, Lane::Routine);
        }
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

fn object(source: &Source, holds_cluster_connections: bool) -> ConnectionObject {
    let is_cluster = source.key.namespace().is_none();
    ConnectionObject {
        kind: source.kind(),
        name: source.key.name().to_owned(),
        generation: source.metadata.generation.unwrap_or_default(),
        deleting: source.metadata.deletion_timestamp.is_some(),
        finalizers: source.metadata.finalizers.clone().unwrap_or_default(),
        is_held: source.is_object() && (!is_cluster || holds_cluster_connections),
        method: source.method.name(),
        suspend: source.settings.suspend,
        status: source.status.clone(),
    }
}

/// The Secret at a place of which nothing else is known any more.
fn former(place: &Place) -> SecretState {
    SecretState {
        namespace: place.namespace.clone(),
        name: place.name.clone(),
        uid: String::new(),
        resource_version: String::new(),
        finalizers: vec![finalizer::CREDENTIAL_IN_USE.to_owned()],
        deleting: false,
        namespace_goes: false,
    }
}

fn standing(o: &ObservedConnection) -> Standing {
    let proven = o.health.proven();
    let fingerprints = o.fingerprints();
    Standing {
        verdict: verdict(o),
        resource_id: o.resource_id().map(str::to_owned),
        has_moved: o.has_moved(),
        is_suspended: o.object.suspend,
        is_leaving: o.object.deleting,
        is_held: o.is_guarded() || !o.object.is_held,
        good: proven.is_some().then(|| o.health.good(fingerprints)),
        in_use: o.in_use().cloned(),
        proven,
    }
}

fn waits_for_a_token(user: &CommunicationUser, good: Option<&[String]>, valid_from: Option<Timestamp>) -> bool {
    if user.spec.token.is_none() || user.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let status = user.status.as_ref();
    let Some(token) = status.and_then(|status| status.token.as_ref()) else {
        return false;
    };
    let retired = good
        .zip(token.credential.as_ref())
        .is_some_and(|(good, credential)| !good.contains(credential));
    let created = status.and_then(|status| status.identity.as_ref()?.creation_time.as_ref());
    let outdated = valid_from.is_some_and(|from| {
        let since = |time: Option<Timestamp>| time.is_some_and(|time| time >= whole_seconds(from));
        !since(token.revocation_time.as_ref().map(|time| time.0)) && !since(created.map(|time| time.0))
    });
    retired || outdated
}

fn expiry(user: &CommunicationUser) -> Option<Timestamp> {
    let token = user.status.as_ref()?.token.as_ref()?;
    Some(token.expiration_time.as_ref()?.0)
}
