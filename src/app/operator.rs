//! The parts of the running operator, put together.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use acs_identity::{
    BuildError, Client as AcsClient, Credential, RetryPolicy, Transport,
    limiter::{BudgetShare, Limiter, RateLimits},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Client, api::PartialObjectMeta};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::watches::{self, Watching};
use crate::{
    api::CommunicationUser,
    cli::{Settings, WatchNamespaces},
    clock::Clock,
    cluster::{ObjectKey, Scope, cache::Cache, events::EventRecorder, writes::Writes},
    controller::{
        act::Act,
        connections::{Access, Connections, DefaultConnection},
        memory::Memories,
        observe::Observe,
        permits::Permits,
        queue::WorkQueue,
        reconcile::Reconcile,
        report::Report,
        sources::{identity_index, owner_index},
        triggers::Triggers,
        workers::Workers,
    },
    telemetry::Metrics,
};

/// The share of the documented rate limits that a connection uses when nothing else is said; the rest is for the other
/// programs that use the resource.
const DEFAULT_BUDGET: BudgetShare = match BudgetShare::percent(50) {
    Some(half) => half,
    None => BudgetShare::ALL,
};

/// An operator that works. It is stopped by [`drain`](Self::drain), never by dropping it.
pub(super) struct Operator {
    queue: Arc<WorkQueue<ObjectKey>>,
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
    pub(super) connections: Connections,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) watching: Watching,
}

impl Operator {
    /// Starts to watch, and to work once every cache is complete.
    pub(super) fn start(with: Surroundings<'_>, stop: &CancellationToken) -> Self {
        let queue = Arc::new(WorkQueue::new());
        let memories = Arc::new(Memories::default());
        let unfinished = TaskTracker::new();
        let scopes = scopes(&with.settings.watch_namespaces);
        let (users, user_feeds) = Cache::<CommunicationUser>::new(scopes.clone(), [identity_index()]);
        let (secrets, secret_feeds) = Cache::<PartialObjectMeta<Secret>>::new(scopes, [owner_index()]);
        let (events, event_task) = EventRecorder::new(with.kube.clone(), with.clock.clone(), instance());

        let report = Arc::new(Report {
            metrics: with.metrics.clone(),
            events,
        });
        let act = Act {
            report: Arc::clone(&report),
            writes: Writes::new(with.kube.clone()),
            users: Arc::clone(&users),
            secrets: Arc::clone(&secrets),
            memories: Arc::clone(&memories),
            unfinished: unfinished.clone(),
            clock: with.clock.clone(),
        };
        let observe = Observe {
            users: Arc::clone(&users),
            secrets: Arc::clone(&secrets),
            connections: Arc::new(with.connections),
            memories: Arc::clone(&memories),
        };
        let reconcile = Reconcile {
            observe,
            act: Arc::new(act),
            report,
            memories: Arc::clone(&memories),
            clock: with.clock,
        };
        let workers = Arc::new(Workers {
            queue: Arc::clone(&queue),
            reconcile: Arc::new(reconcile),
            metrics: with.metrics.reconciles.clone(),
        });
        super::samples::offer(&with.metrics, &users, &queue);
        let triggers = Triggers {
            queue: Arc::clone(&queue),
            memories,
        };
        let watches = watches::spawn(&with.kube, user_feeds, secret_feeds, &triggers, with.watching, stop);
        tracing::info!(namespaces = %with.settings.watch_namespaces, "watching CommunicationUsers and their Secrets");
        let count = with.settings.workers.get();
        let stopped = stop.clone();
        let workers = tokio::spawn(async move {
            let synced = async {
                users.wait_synced().await;
                secrets.wait_synced().await;
            };
            if stopped.run_until_cancelled(synced).await.is_some() {
                tracing::info!(
                    users = users.len(),
                    secrets = secrets.len(),
                    workers = count,
                    "every object is listed, work begins"
                );
                workers.run(count).await;
            }
        });
        let stop_events = CancellationToken::new();
        let events = tokio::spawn(event_task.run(stop_events.clone()));
        Self {
            queue,
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

/// The connection of the environment.
///
/// # Errors
/// When no HTTP client can be set up for it.
pub(super) fn connections(
    settings: &mut Settings,
    own_namespace: &str,
    metrics: &Metrics,
) -> Result<Connections, BuildError> {
    let Some(default) = settings.default_connection.take() else {
        tracing::warn!(
            "there is no default connection: COMMUNICATION_SERVICES_CONNECTION_STRING is not set, so CommunicationUsers \
             without connectionRef wait"
        );
        return Ok(Connections::new(None));
    };
    let mut transport = Transport::builder().user_agent(concat!("acs-operator/", env!("CARGO_PKG_VERSION")));
    if let Some(file) = &settings.ca_file {
        transport = transport.trust_pem(&file.pem)?;
    }
    let credential = Credential::AccessKey(default.connection.access_key);
    let client = AcsClient::builder(default.connection.endpoint, credential)
        .api_version(default.api_version)
        // Retries are scheduled by the queue, where they wait without holding a worker.
        .retry(RetryPolicy::none())
        .transport(transport.build()?)
        .observer(Arc::new(metrics.acs.clone()))
        .build()?;
    let (namespaces, own_namespace) = (default.namespaces, own_namespace.to_owned());
    tracing::info!(
        endpoint = %client.endpoint(), api_version = %client.api_version(), namespaces = namespaces.shown(&own_namespace),
        "the default connection is that of COMMUNICATION_SERVICES_CONNECTION_STRING"
    );
    let allows = Box::new(move |namespace: &str| namespaces.allow(namespace, &own_namespace));
    let limiter = Limiter::new(&RateLimits::default(), DEFAULT_BUDGET, Instant::now());
    let access = Arc::new(Access {
        client,
        permits: Permits::new(limiter),
    });
    Ok(Connections::new(Some(DefaultConnection { access, allows })))
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
