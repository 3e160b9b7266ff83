//! The watches, and what they set in motion.

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::PartialObjectMeta,
    runtime::{WatchStreamExt, watcher},
};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Gate,
    api::{CommunicationUser, names},
    cluster::{Scope, cache::Feed},
    controller::triggers::Triggers,
    telemetry::metrics::WatchMetrics,
};

/// Who is told how the watches are.
pub(super) struct Watching {
    pub(super) gate: Gate,
    pub(super) metrics: WatchMetrics,
}

pub(super) fn spawn(
    client: Client,
    users: Vec<Feed<CommunicationUser>>,
    secrets: Vec<Feed<PartialObjectMeta<Secret>>>,
    triggers: Triggers,
    watching: Watching,
    stop: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut all = JoinSet::new();
        for feed in users {
            let api: Api<CommunicationUser> = match feed.scope() {
                Scope::Cluster => Api::all(client.clone()),
                Scope::Namespace(n) => Api::namespaced(client.clone(), n),
            };
            let triggers = triggers.clone();
            all.spawn(async move {
                let mut stream = watcher(api, watcher::Config::default()).default_backoff().boxed();
                while let Some(event) = stream.next().await {
                    match event {
                        Ok(event) => {
                            for change in feed.apply(event) {
                                triggers.user(&change)
                            }
                        }
                        Err(error) => tracing::warn!(%error, "watch"),
                    }
                }
            });
        }
        for feed in secrets {
            let api: Api<PartialObjectMeta<Secret>> = match feed.scope() {
                Scope::Cluster => Api::all(client.clone()),
                Scope::Namespace(n) => Api::namespaced(client.clone(), n),
            };
            let triggers = triggers.clone();
            all.spawn(async move {
                let config = watcher::Config::default().labels(&format!(
                    "{}={}",
                    names::MANAGED_BY_LABEL,
                    names::MANAGED_BY_VALUE
                ));
                let mut stream = watcher(api, config).default_backoff().boxed();
                while let Some(event) = stream.next().await {
                    match event {
                        Ok(event) => {
                            for change in feed.apply(event) {
                                triggers.secret(&change)
                            }
                        }
                        Err(error) => tracing::warn!(%error, "watch"),
                    }
                }
            });
        }
        watching.gate.open();
        let _ = &watching.metrics;
        tokio::select! { () = stop.cancelled() => {}, _ = all.join_next() => {} }
    })
}
