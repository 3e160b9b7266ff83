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
            users: Arc::clone(&self.users),
            namespaced: Arc::clone(&self.connections),
            cluster: Arc::clone(&self.cluster_connections),
            namespaces: Arc::clone(&self.namespaces),
            environment,
            holds_cluster_connections: whole_cluster,
        }
    }

    /// Waits until the first lists are complete, but for those that can't be had for now: nothing that they don't concern
    /// waits for them, and what they bring later is worked on then.
    pub(super) async fn wait_listed(&self, whole_cluster: bool) {
        self.users.wait_attempted().await;
        self.secrets.wait_attempted().await;
        self.connections.wait_attempted().await;
        if whole_cluster {
            self.cluster_connections.wait_attempted().await;
            self.namespaces.wait_attempted().await;
        }
    }

    /// Says in the log what is listed.
    pub(super) fn tell(&self, workers: usize, whole_cluster: bool) {
        let (users, secrets) = (self.users.len(), self.secrets.len());
        let connections = self.connections.len() + self.cluster_connections.len();
        let namespaced = self.users.is_synced() && self.secrets.is_synced() && self.connections.is_synced();
        let others = self.cluster_connections.is_synced() && self.namespaces.is_synced();
        if namespaced && (others || !whole_cluster) {
            tracing::info!(
                users,
                secrets,
                connections,
                workers,
                "every object is listed, work begins"
            );
        } else {
            tracing::warn!(
                users,
                secrets,
                connections,
                workers,
                "work begins, although not everything could be listed: what is missing is worked on once it is listed"
            );
        }
    }
}
