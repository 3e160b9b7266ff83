//! The watches, what they set in motion, and who is told how they are.

mod health;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Client, api::PartialObjectMeta};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use self::health::Watched;
use crate::{
    admin::Gate,
    api::{ClusterCommunicationConnection, CommunicationConnection, CommunicationUser, names},
    cluster::{cache::Feed, watch::Watch},
    controller::triggers::Triggers,
    telemetry::metrics::WatchMetrics,
};

/// Who is told how the watches are.
pub(super) struct Watching {
    pub(super) gate: Gate,
    pub(super) metrics: WatchMetrics,
}

/// What is watched.
pub(super) struct Feeds {
    pub(super) users: Vec<Feed<CommunicationUser>>,
    pub(super) secrets: Vec<Feed<PartialObjectMeta<Secret>>>,
    pub(super) connections: Vec<Feed<CommunicationConnection>>,
    pub(super) cluster_connections: Vec<Feed<ClusterCommunicationConnection>>,
    pub(super) namespaces: Vec<Feed<PartialObjectMeta<Namespace>>>,
    /// Whether the operator is not ready without the cluster-scoped kinds. Where it serves some namespaces only, it may have no
    /// right to them.
    pub(super) needs_cluster_scoped: bool,
}

/// Watches until `stop`.
pub(super) fn spawn(
    client: &Client,
    feeds: Feeds,
    triggers: &Triggers,
    watching: Watching,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let (mut tasks, mut watched) = (JoinSet::new(), Vec::new());
    for feed in feeds.users {
        let (watch, triggers) = (Watch::objects(client.clone(), feed), triggers.clone());
        watched.push(Watched::new("CommunicationUser", watch.state()));
        tasks.spawn(watch.run(move |change| triggers.user(&change), stop.clone()));
    }
    let ours = format!("{}={}", names::MANAGED_BY_LABEL, names::MANAGED_BY_VALUE);
    for feed in feeds.secrets {
        let (watch, triggers) = (Watch::metadata(client.clone(), feed, &ours), triggers.clone());
        watched.push(Watched::new("Secret", watch.state()));
        tasks.spawn(watch.run(move |change| triggers.secret(&change), stop.clone()));
    }
    for feed in feeds.connections {
        let (watch, triggers) = (Watch::objects(client.clone(), feed), triggers.clone());
        watched.push(Watched::new("CommunicationConnection", watch.state()));
        tasks.spawn(watch.run(move |change| triggers.connection(&change), stop.clone()));
    }
    for feed in feeds.cluster_connections {
        let (watch, triggers) = (Watch::objects(client.clone(), feed), triggers.clone());
        if feeds.needs_cluster_scoped {
            watched.push(Watched::new("ClusterCommunicationConnection", watch.state()));
        }
        tasks.spawn(watch.run(move |change| triggers.connection(&change), stop.clone()));
    }
    for feed in feeds.namespaces {
        let (watch, triggers) = (Watch::metadata(client.clone(), feed, ""), triggers.clone());
        if feeds.needs_cluster_scoped {
            watched.push(Watched::new("Namespace", watch.state()));
        }
        tasks.spawn(watch.run(move |change| triggers.namespace(&change), stop.clone()));
    }
    let told = health::tell(watched, watching);
    tokio::spawn(async move {
        tokio::select! {
            () = told => {}
            // One that ends, other than all together on `stop`, is missed by the whole operator.
            _ = tasks.join_next() => {}
        }
    })
}
