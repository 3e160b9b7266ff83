//! Requests for the Lease. Each has a time of its own, and every write names the version that it is based on.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{LeaseSettings, trouble::Trouble};
use crate::{
    api::names,
    cluster::{ObjectKey, Scope, cache::Cache, watch::Watch},
};

/// The Lease, as it is known through a watch and the answers to our own requests.
pub(super) struct LeaseObject {
    key: ObjectKey,
    api: Api<Lease>,
    cache: Arc<Cache<Lease>>,
    changed: Arc<Notify>,
    _watch: (DropGuard, JoinHandle<()>),
}

impl LeaseObject {
    /// Watches it from now on.
    pub(super) fn watch(client: &Client, settings: &LeaseSettings) -> Self {
        let (cache, feeds) = Cache::new([Scope::Namespace(settings.namespace.as_str().into())], []);
        let (changed, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let watches = feeds
            .into_iter()
            .map(|feed| Watch::named(client.clone(), feed, &settings.name));
        let watches: Vec<_> = watches
            .map(|watch| {
                let changed = Arc::clone(&changed);
                watch.run(move |_| changed.notify_one(), stop.clone())
            })
            .collect();
        let task = tokio::spawn(async move {
            futures::future::join_all(watches).await;
        });
        Self {
            key: ObjectKey::namespaced(&settings.namespace, &settings.name),
            api: Api::namespaced(client.clone(), &settings.namespace),
            cache,
            changed,
            _watch: (stop.drop_guard(), task),
        }
    }

    /// What is known.
    pub(super) fn known(&self) -> Option<Arc<Lease>> {
        self.cache.get(&self.key)
    }

    /// Waits until the watch tells of a change.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Asks what there is now.
    pub(super) async fn look(&self, within: Duration) -> Result<(), Trouble> {
        let since = self.cache.epoch();
        match self.answer(within, self.api.get_opt(self.key.name())).await? {
            Some(lease) => drop(self.cache.apply_own_write(since, lease)),
            None => {
                if let Some(known) = self.known() {
                    let uid = known.metadata.uid.as_deref().unwrap_or_default();
                    self.cache.apply_own_delete(&self.key, uid);
                }
            }
        }
        Ok(())
    }

    /// Writes these members of the spec into this version. What there is then.
    pub(super) async fn patch(&self, version: &str, spec: Value, within: Duration) -> Result<Arc<Lease>, Trouble> {
        let since = self.cache.epoch();
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": spec});
        let params = PatchParams {
            field_manager: Some(names::FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let (name, patch) = (self.key.name(), Patch::Merge(patch));
        let written = self.answer(within, self.api.patch(name, &params, &patch)).await?;
        Ok(self.cache.apply_own_write(since, written).0)
    }

    /// Creates a Lease with this spec, where there is none. What there is then.
    pub(super) async fn create(&self, spec: LeaseSpec, within: Duration) -> Result<Arc<Lease>, Trouble> {
        let since = self.cache.epoch();
        let mut lease = Lease {
            spec: Some(spec),
            ..Lease::default()
        };
        lease.metadata.name = Some(self.key.name().to_owned());
        let params = PostParams {
            field_manager: Some(names::FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let written = self.answer(within, self.api.create(&params, &lease)).await?;
        Ok(self.cache.apply_own_write(since, written).0)
    }

    async fn answer<T>(
        &self,
        within: Duration,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Trouble> {
        match timeout(within, request).await {
            Ok(answer) => answer.map_err(|error| Trouble::of(&error, &self.key)),
            Err(_) => Err(Trouble::Unavailable("no answer in time".to_owned())),
        }
    }
}
