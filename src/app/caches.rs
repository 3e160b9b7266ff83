//! The caches that everything is looked at through.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::PartialObjectMeta;

use super::watches::Feeds;
use crate::{
    api::{ClusterCommunicationConnection, CommunicationConnection},
    cluster::{Scope, cache::Cache},
    controller::{
        connections::{Declared, Environment},
        sources::{SecretCache, UserCache, identity_index, owner_index},
    },
};

/// See the module's page.
#[derive(Clone)]
pub(super) struct Caches {
    pub(super) users: Arc<UserCache>,
    pub(super) secrets: Arc<SecretCache>,
    connections: Arc<Cache<CommunicationConnection>>,
    cluster_connections: Arc<Cache<ClusterCommunicationConnection>>,
    namespaces: Arc<Cache<PartialObjectMeta<Namespace>>>,
}

impl Caches {
    /// Empty ones, and what is to be watched to fill them. An operator of chosen namespaces may have no right to what belongs to
    /// none, so it needs none of that to work.
    pub(super) fn new(scopes: Vec<Scope>, whole_cluster: bool) -> (Self, Feeds) {
        let (users, user_feeds) = Cache::new(scopes.clone(), [identity_index()]);
        let (secrets, secret_feeds) = Cache::new(scopes.clone(), [owner_index()]);
        let (connections, connection_feeds) = Cache::new(scopes, []);
        let (cluster_connections, cluster_feeds) = Cache::new([Scope::Cluster], []);
        let (namespaces, namespace_feeds) = Cache::new([Scope::Cluster], []);
        let caches = Self {
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

    /// What is declared in them.
    pub(super) fn declared(&self, environment: Option<Arc<Environment>>, whole_cluster: bool) -> Declared {
        Declared {
            namespaced: Arc::clone(&self.connections),
            cluster: Arc::clone(&self.cluster_connections),
            namespaces: Arc::clone(&self.namespaces),
            environment,
            holds_cluster_connections: whole_cluster,
        }
    }

    /// Waits until the first lists are complete.
    pub(super) async fn wait_synced(&self, whole_cluster: bool) {
        self.users.wait_synced().await;
        self.secrets.wait_synced().await;
        self.connections.wait_synced().await;
        if whole_cluster {
            self.cluster_connections.wait_synced().await;
            self.namespaces.wait_synced().await;
        }
    }

    /// Says in the log that they are.
    pub(super) fn tell(&self, workers: usize) {
        tracing::info!(
            users = self.users.len(),
            secrets = self.secrets.len(),
            connections = self.connections.len() + self.cluster_connections.len(),
            workers,
            "every object is listed, work begins"
        );
    }
}
