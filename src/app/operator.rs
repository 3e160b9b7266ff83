//! The parts of the running operator, put together.

use std::{sync::Arc, time::Duration};

use acs_identity::{BuildError, Transport};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Client, api::PartialObjectMeta};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::watches::{self, Feeds, Watching};
use crate::{
    api::{ClusterCommunicationConnection, CommunicationConnection},
    cli::{EndpointPolicy, Settings, WatchNamespaces},
    clock::Clock,
    cluster::{ObjectKey, Scope, cache::Cache, events::EventRecorder, writes::Writes},
    controller::{
        act::Act,
        connections::{ClientMaker, Connections, CredentialSecrets, Declared, EndpointRule, Environment, Keeper},
        memory::Memories,
        observe::Observe,
        queue::{Lane, WorkQueue},
        reconcile::Reconcile,
        report::Report,
        sources::{SecretCache, UserCache, identity_index, owner_index},
        triggers::Triggers,
        workers::Workers,
    },
    telemetry::Metrics,
};

/// Connections worked on at the same time. Most have nothing to do but to be proven now and then.
const CONNECTION_WORKERS: usize = 4;

/// An operator that works. It is stopped by [`drain`](Self::drain), never by dropping it.
pub(super) struct Operator {
    queue: Arc<WorkQueue<ObjectKey>>,
    connection_queue: Arc<WorkQueue<ObjectKey>>,
    workers: JoinHandle<()>,
    watches: JoinHandle<()>,
    events: JoinHandle<()>,
    stop_events: CancellationToken,
    unfinished: TaskTracker,
}

/// What the operator is made of that comes from outside.
pub(super) struct Surroundings<'a> {
    pub(super) settings: &'a Settings,
    pub(super) kube: Client,
    pub(super) environment: Option<Arc<Environment>>,
    pub(super) clients: ClientMaker,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) watching: Watching,
}

impl Operator {
    /// Starts to watch, and to work once every cache is complete.
    pub(super) fn start(with: Surroundings<'_>, stop: &CancellationToken) -> Self {
        let Surroundings {
            settings,
            kube,
            environment,
            clients,
            metrics,
            clock,
            watching,
        } = with;
        let (queue, connection_queue) = (Arc::new(WorkQueue::new()), Arc::new(WorkQueue::new()));
        let memories = Arc::new(Memories::default());
        let unfinished = TaskTracker::new();
        let whole_cluster = settings.watch_namespaces == WatchNamespaces::All;
        let (caches, feeds) = caches(scopes(&settings.watch_namespaces), whole_cluster);
        let Caches {
            users,
            secrets,
            connections: namespaced,
            cluster_connections: cluster,
            namespaces,
        } = caches;
        let (events, event_task) = EventRecorder::new(kube.clone(), clock.clone(), instance());
        let declared = Declared {
            namespaced: Arc::clone(&namespaced),
            cluster: Arc::clone(&cluster),
            namespaces: Arc::clone(&namespaces),
            environment,
            holds_cluster_connections: whole_cluster,
        };
        let connections = Arc::new(Connections::new(declared, Arc::clone(&connection_queue), clock.clone()));
        let (writes, report) = (
            Writes::new(kube.clone()),
            Arc::new(Report {
                metrics: metrics.clone(),
                events,
            }),
        );
        let keeper = Keeper {
            connections: Arc::clone(&connections),
            users: Arc::clone(&users),
            user_queue: Arc::clone(&queue),
            secrets: Arc::new(credential_secrets(&kube, &connection_queue, stop)),
            rule: endpoint_rule(settings.endpoints.clone()),
            clients,
            writes: writes.clone(),
            report: Arc::clone(&report),
            probe_interval: settings.probe_interval.and_then(|interval| interval.try_into().ok()),
            clock: clock.clone(),
        };
        let act = Act {
            report: Arc::clone(&report),
            writes,
            users: Arc::clone(&users),
            secrets: Arc::clone(&secrets),
            memories: Arc::clone(&memories),
            unfinished: unfinished.clone(),
            clock: clock.clone(),
        };
        let observe = Observe {
            users: Arc::clone(&users),
            secrets: Arc::clone(&secrets),
            connections: Arc::clone(&connections),
            memories: Arc::clone(&memories),
        };
        let reconcile = Reconcile {
            observe,
            act: Arc::new(act),
            report,
            memories: Arc::clone(&memories),
            clock,
        };
        super::samples::offer(&metrics, &users, &queue);
        let user_workers = Workers {
            queue: Arc::clone(&queue),
            work: Arc::new(reconcile),
            metrics: metrics.reconciles.clone(),
        };
        let connection_workers = Workers {
            queue: Arc::clone(&connection_queue),
            work: Arc::new(keeper),
            metrics: metrics.reconciles.clone(),
        };
        let triggers = Triggers {
            queue: Arc::clone(&queue),
            memories,
            users: Arc::clone(&users),
            connections,
            connection_queue: Arc::clone(&connection_queue),
        };
        let watches = watches::spawn(&kube, feeds, &triggers, watching, stop);
        tracing::info!(namespaces = %settings.watch_namespaces, "watching CommunicationUsers, their Secrets and connections");
        let count = settings.workers.get();
        let stopped = stop.clone();
        let workers = tokio::spawn(async move {
            let synced = async {
                users.wait_synced().await;
                secrets.wait_synced().await;
                namespaced.wait_synced().await;
                if whole_cluster {
                    cluster.wait_synced().await;
                    namespaces.wait_synced().await;
                }
            };
            if stopped.run_until_cancelled(synced).await.is_some() {
                tracing::info!(
                    users = users.len(),
                    secrets = secrets.len(),
                    connections = namespaced.len() + cluster.len(),
                    workers = count,
                    "every object is listed, work begins"
                );
                let connections = Arc::new(connection_workers).run(CONNECTION_WORKERS);
                tokio::join!(Arc::new(user_workers).run(count), connections);
            }
        });
        let stop_events = CancellationToken::new();
        let events = tokio::spawn(event_task.run(stop_events.clone()));
        Self {
            queue,
            connection_queue,
            workers,
            watches,
            events,
            stop_events,
            unfinished,
        }
    }

    /// Returns when a part ends that never should.
    pub(super) async fn died(&mut self) -> &'static str {
        tokio::select! {
            _ = &mut self.workers => "the workers",
            _ = &mut self.watches => "the watches",
            _ = &mut self.events => "the writer of events",
        }
    }

    /// Starts nothing new, lets what is under way finish for at most `limit`, a create with its record above all.
    pub(super) async fn drain(mut self, limit: Duration) {
        self.queue.close();
        self.connection_queue.close();
        self.unfinished.close();
        let finished = async {
            ended(&mut self.workers).await;
            self.unfinished.wait().await;
        };
        if timeout(limit, finished).await.is_err() {
            tracing::warn!(
                limit_s = limit.as_secs(),
                creates_under_way = self.unfinished.len(),
                "not everything under way has finished; what a create leaves behind is counted as a suspected orphan by \
                 the next process"
            );
            self.workers.abort();
        }
        self.watches.abort();
        self.stop_events.cancel();
        ended(&mut self.events).await;
    }
}

/// Waits for a task that may have been waited for before.
async fn ended(task: &mut JoinHandle<()>) {
    if !task.is_finished() {
        // How it ends does not matter any more.
        let _ = task.await;
    }
}

/// The way to ACS for every connection.
///
/// # Errors
/// When no HTTP client can be set up.
pub(super) fn client_maker(settings: &Settings, metrics: &Metrics) -> Result<ClientMaker, BuildError> {
    let mut transport = Transport::builder().user_agent(concat!("acs-operator/", env!("CARGO_PKG_VERSION")));
    if let Some(file) = &settings.ca_file {
        transport = transport.trust_pem(&file.pem)?;
    }
    Ok(ClientMaker {
        transport: transport.build()?,
        observer: Arc::new(metrics.acs.clone()),
    })
}

/// The connection of the environment, if there is one.
pub(super) fn environment(settings: &mut Settings, own_namespace: &str) -> Option<Arc<Environment>> {
    let Some(default) = settings.default_connection.take() else {
        tracing::info!(
            "COMMUNICATION_SERVICES_CONNECTION_STRING is not set: CommunicationUsers without connectionRef need a \
             ClusterCommunicationConnection named default"
        );
        return None;
    };
    let (namespaces, own_namespace) = (default.namespaces, own_namespace.to_owned());
    tracing::info!(
        endpoint = %default.connection.endpoint, api_version = %default.api_version,
        namespaces = namespaces.shown(&own_namespace),
        "COMMUNICATION_SERVICES_CONNECTION_STRING is the default connection, unless there is a ClusterCommunicationConnection \
         named default"
    );
    Some(Arc::new(Environment {
        connection: default.connection,
        api_version: default.api_version,
        allows: Box::new(move |namespace: &str| namespaces.allow(namespace, &own_namespace)),
    }))
}

/// What the settings say of the hosts that may see a signature.
fn endpoint_rule(policy: EndpointPolicy) -> EndpointRule {
    Box::new(move |endpoint| {
        policy
            .check(endpoint)
            .map_err(|refused| format!("{refused}: {}", refused.remedy()))
    })
}

/// The caches that everything is looked at through.
struct Caches {
    users: Arc<UserCache>,
    secrets: Arc<SecretCache>,
    connections: Arc<Cache<CommunicationConnection>>,
    cluster_connections: Arc<Cache<ClusterCommunicationConnection>>,
    namespaces: Arc<Cache<PartialObjectMeta<Namespace>>>,
}

fn caches(scopes: Vec<Scope>, whole_cluster: bool) -> (Caches, Feeds) {
    let (users, user_feeds) = Cache::new(scopes.clone(), [identity_index()]);
    let (secrets, secret_feeds) = Cache::new(scopes.clone(), [owner_index()]);
    let (connections, connection_feeds) = Cache::new(scopes, []);
    let (cluster_connections, cluster_feeds) = Cache::new([Scope::Cluster], []);
    let (namespaces, namespace_feeds) = Cache::new([Scope::Cluster], []);
    let caches = Caches {
        users,
        secrets,
        connections,
        cluster_connections,
        namespaces,
    };
    let feeds = Feeds {
        users: user_feeds,
        secrets: secret_feeds,
        connections: connection_feeds,
        cluster_connections: cluster_feeds,
        namespaces: namespace_feeds,
        needs_cluster_scoped: whole_cluster,
    };
    (caches, feeds)
}

fn credential_secrets(kube: &Client, queue: &Arc<WorkQueue<ObjectKey>>, stop: &CancellationToken) -> CredentialSecrets {
    let queue = Arc::clone(queue);
    let look = move |connection: &ObjectKey| queue.add_now(connection.clone(), Lane::Urgent);
    CredentialSecrets::new(kube.clone(), Arc::new(look), stop.clone())
}

/// The parts of the cluster to watch.
pub(super) fn scopes(namespaces: &WatchNamespaces) -> Vec<Scope> {
    match namespaces {
        WatchNamespaces::All => vec![Scope::Cluster],
        WatchNamespaces::Only(names) => names
            .iter()
            .map(|name| Scope::Namespace(name.as_str().into()))
            .collect(),
    }
}

/// Who reports events. In a pod the host name is the pod's name.
fn instance() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "acs-operator".to_owned()
    } else {
        name.to_owned()
    }
}
