//! The parts that work is done with, and what is put together of them.

use std::sync::Arc;

use kube::Client;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::caches::Caches;
use crate::{
    cli::{EndpointPolicy, Settings},
    clock::Clock,
    cluster::{ObjectKey, lease::Hold, writes::Writes},
    controller::{
        act::Act,
        connections::{ClientMaker, Connections, CredentialSecrets, EndpointRule, Keeper},
        memory::Memories,
        neighbours::Neighbours,
        observe::Observe,
        queue::{Lane, WorkQueue},
        reconcile::Reconcile,
        report::Report,
        triggers::Triggers,
        workers::Workers,
    },
    telemetry::Metrics,
};

/// See the module's page.
pub(super) struct Parts {
    pub(super) caches: Caches,
    pub(super) connections: Arc<Connections>,
    pub(super) queue: Arc<WorkQueue<ObjectKey>>,
    pub(super) connection_queue: Arc<WorkQueue<ObjectKey>>,
    pub(super) memories: Arc<Memories>,
    pub(super) unfinished: TaskTracker,
    pub(super) writes: Writes,
    pub(super) hold: Hold,
    pub(super) report: Arc<Report>,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
}

impl Parts {
    /// Who works on CommunicationUsers.
    pub(super) fn user_workers(&self) -> Arc<Workers<Reconcile>> {
        let act = Act {
            report: Arc::clone(&self.report),
            writes: self.writes.clone(),
            users: Arc::clone(&self.caches.users),
            neighbours: self.neighbours(),
            secrets: Arc::clone(&self.caches.secrets),
            memories: Arc::clone(&self.memories),
            unfinished: self.unfinished.clone(),
            unrecorded: Arc::default(),
            clock: self.clock.clone(),
        };
        let observe = Observe {
            users: Arc::clone(&self.caches.users),
            secrets: Arc::clone(&self.caches.secrets),
            connections: Arc::clone(&self.connections),
            memories: Arc::clone(&self.memories),
        };
        let reconcile = Reconcile {
            observe,
            act: Arc::new(act),
            report: Arc::clone(&self.report),
            memories: Arc::clone(&self.memories),
            hold: self.hold.clone(),
            clock: self.clock.clone(),
        };
        Arc::new(Workers {
            queue: Arc::clone(&self.queue),
            work: Arc::new(reconcile),
            metrics: self.metrics.reconciles.clone(),
            unfinished: self.unfinished.clone(),
        })
    }

    /// Who works on connections.
    pub(super) fn connection_workers(
        &self,
        kube: Client,
        clients: ClientMaker,
        settings: &Settings,
        stop: &CancellationToken,
    ) -> Arc<Workers<Keeper>> {
        let queue = Arc::clone(&self.connection_queue);
        let look = move |connection: &ObjectKey| queue.add_now(connection.clone(), Lane::Urgent);
        let keeper = Keeper {
            connections: Arc::clone(&self.connections),
            users: Arc::clone(&self.caches.users),
            user_queue: Arc::clone(&self.queue),
            memories: Arc::clone(&self.memories),
            secrets: Arc::new(CredentialSecrets::new(kube, Arc::new(look), stop.clone())),
            rule: endpoint_rule(settings.endpoints.clone()),
            clients,
            writes: self.writes.clone(),
            report: Arc::clone(&self.report),
            hold: self.hold.clone(),
            probe_interval: settings.probe_interval.and_then(|interval| interval.try_into().ok()),
            clock: self.clock.clone(),
        };
        Arc::new(Workers {
            queue: Arc::clone(&self.connection_queue),
            work: Arc::new(keeper),
            metrics: self.metrics.reconciles.clone(),
            unfinished: self.unfinished.clone(),
        })
    }

    /// What makes them look.
    pub(super) fn triggers(&self) -> Triggers {
        Triggers {
            report: Arc::clone(&self.report),
            queue: Arc::clone(&self.queue),
            memories: Arc::clone(&self.memories),
            users: Arc::clone(&self.caches.users),
            neighbours: self.neighbours(),
            connections: Arc::clone(&self.connections),
            connection_queue: Arc::clone(&self.connection_queue),
            hold: self.hold.clone(),
        }
    }

    fn neighbours(&self) -> Neighbours {
        Neighbours {
            users: Arc::clone(&self.caches.users),
            queue: Arc::clone(&self.queue),
            connection_queue: Arc::clone(&self.connection_queue),
        }
    }
}

/// What the settings say of the hosts that may see a signature.
fn endpoint_rule(policy: EndpointPolicy) -> EndpointRule {
    Box::new(move |endpoint| {
        policy
            .check(endpoint)
            .map_err(|refused| format!("{refused}: {}", refused.remedy()))
    })
}
