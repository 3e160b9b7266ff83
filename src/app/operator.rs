//! The parts of the running operator, put together.

use std::{sync::Arc, time::Duration};

use acs_identity::{BuildError, Transport};
use futures::{
    FutureExt,
    future::{Fuse, FusedFuture},
};
use kube::Client;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    RunError,
    caches::Caches,
    leadership::{Leadership, instance},
    parts::Parts,
    watches::{self, Watching},
};
use crate::{
    cli::{Settings, WatchNamespaces},
    clock::Clock,
    cluster::{
        ObjectKey, Scope,
        events::EventRecorder,
        fence::fenced,
        lease::{Hold, LeaseLost},
        writes::Writes,
    },
    controller::{
        connections::{ClientMaker, Connections, Environment, release_leftovers},
        permits::{Attendant, line::Urgency},
        queue::{Lane, WorkQueue},
        report::Report,
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
    hold: Hold,
    election: Fuse<JoinHandle<Result<(), LeaseLost>>>,
    resign: CancellationToken,
    stop: CancellationToken,
}

/// What the operator is made of that comes from outside.
pub(super) struct Surroundings<'a> {
    pub(super) settings: &'a Settings,
    pub(super) kube: Client,
    pub(super) leadership: Leadership,
    pub(super) environment: Option<Arc<Environment>>,
    pub(super) clients: ClientMaker,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) watching: Watching,
}

impl Operator {
    /// Starts to watch, competes once everything is listed that can be, and works once it leads.
    pub(super) fn start(with: Surroundings<'_>, stop: &CancellationToken) -> Self {
        let settings = with.settings;
        // What ends for another reason than a signal ends its parts in the same way.
        let stop = stop.child_token();
        let hold = with.leadership.hold.clone();
        // From here on there is no other way to the API server.
        let kube = fenced(with.kube, hold.clone());
        let whole_cluster = settings.watch_namespaces == WatchNamespaces::All;
        let scopes = scopes(&settings.watch_namespaces);
        let (caches, feeds) = Caches::new(scopes.clone(), whole_cluster);
        let (events, event_task) = EventRecorder::new(kube.clone(), with.clock.clone(), instance());
        let connection_queue = Arc::new(WorkQueue::new());
        let declared = caches.declared(with.environment, whole_cluster);
        let queue = Arc::new(WorkQueue::new());
        let parts = Parts {
            connections: Arc::new(Connections::new(
                declared,
                Arc::clone(&connection_queue),
                attendant(&queue, &with.metrics),
                with.clock.clone(),
                settings.workers.get(),
            )),
            queue,
            connection_queue,
            memories: Arc::default(),
            unfinished: TaskTracker::new(),
            writes: Writes::new(kube.clone()),
            hold: hold.clone(),
            report: Arc::new(Report::new(with.metrics.clone(), events)),
            metrics: with.metrics,
            clock: with.clock,
            caches,
        };
        let leads = hold.clone();
        parts.metrics.leader.ask(move || leads.is_held());
        super::samples::offer(&parts.metrics, &parts.caches.users, &parts.queue, &parts.connections);
        let users = parts.user_workers();
        let connections = parts.connection_workers(kube.clone(), with.clients, settings, &stop);
        let triggers = parts.triggers();
        let watches = watches::spawn(&kube, feeds, &triggers, with.watching, &stop);
        tracing::info!(namespaces = %settings.watch_namespaces, "watching CommunicationUsers, their Secrets and connections");
        let (queue, connection_queue) = (Arc::clone(&parts.queue), Arc::clone(&parts.connection_queue));
        let unfinished = parts.unfinished.clone();
        let (resign, caches) = (CancellationToken::new(), parts.caches.clone());
        let ready = async move { caches.wait_listed(whole_cluster).await };
        let election = with.leadership.compete(ready, resign.clone()).fuse();
        let (count, stopped, leads) = (settings.workers.get(), stop.clone(), hold.clone());
        let workers = tokio::spawn(async move {
            let begins = async {
                parts.caches.wait_listed(whole_cluster).await;
                leads.begun().await;
            };
            if stopped.run_until_cancelled(begins).await.is_none() {
                return;
            }
            parts.caches.tell(count, whole_cluster);
            triggers.take_over();
            let leftovers = async {
                let release = release_leftovers(&parts.connections, &parts.writes, &scopes);
                stopped.run_until_cancelled(release).await;
                Ok(())
            };
            // Where one is dead, the others are no operator: this task ends, which is noticed.
            if let Err(died) = tokio::try_join!(users.run(count), connections.run(CONNECTION_WORKERS), leftovers) {
                tracing::error!(error = died.to_string(), "workers cannot go on");
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
            hold,
            election,
            resign,
            stop,
        }
    }

    /// Returns when the lease is lost, or a part ends that never should.
    pub(super) async fn failed(&mut self) -> RunError {
        tokio::select! {
            _ = &mut self.workers => RunError::Died("the workers"),
            _ = &mut self.watches => RunError::Died("the watches"),
            _ = &mut self.events => RunError::Died("the writer of events"),
            ended = &mut self.election => match ended {
                Ok(Err(lost)) => lost.into(),
                Ok(Ok(())) | Err(_) => RunError::Died("the election"),
            },
        }
    }

    /// Starts nothing new, and gives up soon what can be begun again; waits at most `limit` for what can't be, a create with its record
    /// and a revocation; then the lease is given back. Without the lease runs end by themselves at their next step, and only these are
    /// finished.
    ///
    /// # Errors
    /// When the lease was lost meanwhile.
    pub(super) async fn drain(mut self, limit: Duration) -> Result<(), LeaseLost> {
        self.stop.cancel();
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
                calls_under_way = self.unfinished.len(),
                "not everything under way has finished; what a create leaves behind is counted as a suspected orphan by \
                 the next process"
            );
            self.workers.abort();
        }
        self.watches.abort();
        self.stop_events.cancel();
        if self.hold.is_held() {
            ended(&mut self.events).await;
        } else {
            self.events.abort();
        }
        self.resign.cancel();
        if self.election.is_terminated() {
            return Ok(());
        }
        self.election.await.unwrap_or(Ok(()))
    }
}

/// Who has users looked at whose permits have come.
fn attendant(queue: &Arc<WorkQueue<ObjectKey>>, metrics: &Metrics) -> Attendant {
    let queue = Arc::clone(queue);
    Attendant {
        call: Arc::new(move |user, urgency| {
            // A herd of renewals that are called one after the other is not what a user waits for; but while one of them waits for
            // its look, nobody else of its connection has its permits, and the room for its call.
            let lane = match urgency {
                Urgency::Expired | Urgency::Urgent => Lane::Urgent,
                Urgency::Routine { .. } => Lane::Called,
            };
            queue.add_now(user.clone(), lane);
        }),
        metrics: metrics.limiter.clone(),
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    /// All of it ends when it is asked to, and nothing by itself but the watches, which have died.
    fn whose_watches_died() -> Operator {
        let (stop, stop_events, resign) = (
            CancellationToken::new(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let until = |token: &CancellationToken| tokio::spawn(token.clone().cancelled_owned());
        let resigned = resign.clone();
        Operator {
            queue: Arc::default(),
            connection_queue: Arc::default(),
            workers: until(&stop),
            watches: tokio::spawn(async {}),
            events: until(&stop_events),
            unfinished: TaskTracker::new(),
            hold: Hold::without_election(),
            election: tokio::spawn(async move {
                resigned.cancelled().await;
                Ok(())
            })
            .fuse(),
            stop_events,
            resign,
            stop,
        }
    }

    #[tokio::test]
    async fn renewals_whose_turn_comes_go_behind_what_users_wait_for_and_before_those_whose_turn_is_to_come() {
        let queue = Arc::new(WorkQueue::new());
        let attendant = attendant(&queue, &Metrics::new(Clock::system()));
        let renewal = Urgency::Routine {
            expires: Timestamp::UNIX_EPOCH,
        };
        let [first, due, new, expired] =
            ["first", "due", "new", "expired"].map(|name| ObjectKey::namespaced("team", name));
        queue.add_now(first.clone(), Lane::Routine);
        for (user, urgency) in [(&due, renewal), (&new, Urgency::Urgent), (&expired, Urgency::Expired)] {
            (attendant.call)(user, urgency);
        }
        for user in [new, expired, due, first] {
            assert_eq!(queue.next().await, Some(user));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_a_part_dies_the_others_end_as_on_a_signal_before_the_limit() {
        let mut operator = whose_watches_died();
        assert!(matches!(operator.failed().await, RunError::Died("the watches")));
        let limit = Duration::from_hours(1);
        let drained = timeout(limit / 2, operator.drain(limit)).await;
        assert!(drained.expect("it waits for the limit").is_ok());
    }
}
