//! The watches, what they set in motion, and who is told how they are.

mod health;

use k8s_openapi::api::core::v1::Secret;
use kube::{Client, api::PartialObjectMeta};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use self::health::Watched;
use crate::{
    admin::Gate,
    api::{CommunicationUser, names},
    cluster::{cache::Feed, watch::Watch},
    controller::triggers::Triggers,
    telemetry::metrics::WatchMetrics,
};

/// Who is told how the watches are.
pub(super) struct Watching {
    pub(super) gate: Gate,
    pub(super) metrics: WatchMetrics,
}

/// Watches until `stop`.
pub(super) fn spawn(
    client: &Client,
    users: Vec<Feed<CommunicationUser>>,
    secrets: Vec<Feed<PartialObjectMeta<Secret>>>,
    triggers: &Triggers,
    watching: Watching,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let (mut tasks, mut watched) = (JoinSet::new(), Vec::new());
    for feed in users {
        let (watch, triggers) = (Watch::objects(client.clone(), feed), triggers.clone());
        watched.push(Watched::new("CommunicationUser", watch.state()));
        tasks.spawn(watch.run(move |change| triggers.user(&change), stop.clone()));
    }
    let ours = format!("{}={}", names::MANAGED_BY_LABEL, names::MANAGED_BY_VALUE);
    for feed in secrets {
        let (watch, triggers) = (Watch::metadata(client.clone(), feed, &ours), triggers.clone());
        watched.push(Watched::new("Secret", watch.state()));
        tasks.spawn(watch.run(move |change| triggers.secret(&change), stop.clone()));
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
