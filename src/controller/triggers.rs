//! What makes an object be looked at: a change of it, or of its Secret.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::ResourceExt;
use kube::api::PartialObjectMeta;

use super::connections::{Connections, key_of};
use super::memory::Memories;
use super::neighbours::Neighbours;
use super::queue::{Lane, WorkQueue};
use super::report::Report;
use super::sources::UserCache;
use crate::api::{CommunicationUser, names::secret_annotation};
use crate::cluster::ObjectKey;
use crate::cluster::cache::Change;
use crate::cluster::lease::Hold;
use crate::decide::{OpenAttempt, User, controller};

/// Turns changes into work.
#[derive(Clone)]
pub struct Triggers {
    /// Where the work goes.
    pub queue: Arc<WorkQueue<ObjectKey>>,
    /// Forgets objects that are gone.
    pub memories: Arc<Memories>,
    /// Who is told of what goes with them.
    pub report: Arc<Report>,
    /// The CommunicationUsers.
    pub users: Arc<UserCache>,
    /// Who else is concerned by a change of one.
    pub neighbours: Neighbours,
    /// The connections.
    pub connections: Arc<Connections>,
    /// Where work on connections goes.
    pub connection_queue: Arc<WorkQueue<ObjectKey>>,
    /// Whether this replica leads: before, changes make no work, and none piles up.
    pub hold: Hold,
}

impl Triggers {
    /// This replica leads from now on: everything is looked at.
    pub fn take_over(&self) {
        self.users.for_each(|key, user| {
            self.queue.add_now(key.clone(), Lane::Routine);
            if let Some(connection) = key_of(user) {
                self.connection_queue.add_now(connection, Lane::Urgent);
            }
        });
        self.connections
            .for_each_declared(|connection| self.connection_queue.add_now(connection, Lane::Urgent));
    }

    /// A CommunicationUser changed.
    pub fn user(&self, change: &Change<CommunicationUser>) {
        if let Some(old) = change.old()
            && change.current().is_none_or(|new| new.metadata.uid != old.metadata.uid)
        {
            self.gone(old);
        }
        if !self.hold.is_held() {
            return;
        }
        if change.current().is_some() {
            self.queue.add_now(change.key().clone(), Lane::Urgent);
        } else {
            self.queue.forget(change.key());
            let connection = change.old().and_then(|user| key_of(user));
            self.connections.leave_line(change.key(), connection.as_ref());
        }
        self.neighbours.tell(change);
    }

    /// An object is gone. Of an attempt in doubt nothing else tells now; one under way ends by itself, and tells then.
    fn gone(&self, object: &CommunicationUser) {
        let user = User::parse(object);
        let memory = self.memories.recall(&user.uid);
        self.memories.forget(&user.uid);
        if self.hold.is_held()
            && let Some(open) = memory.open_attempt(&user).filter(OpenAttempt::is_in_doubt)
        {
            let access = self.connections.resolve(object).access;
            self.report.suspected_orphan(&user, open.uuid, access.as_deref());
        }
    }

    /// A connection of either kind changed.
    pub fn connection<K>(&self, change: &Change<K>) {
        if !self.hold.is_held() {
            return;
        }
        self.connection_queue.add_now(change.key().clone(), Lane::Urgent);
    }

    /// A namespace changed: whom its users may use may depend on its labels, and what goes with it is kept.
    pub fn namespace(&self, change: &Change<PartialObjectMeta<Namespace>>) {
        if !self.hold.is_held() {
            return;
        }
        let name = change.key().name();
        self.users.for_each(|key, user| {
            if key.namespace() == Some(name) {
                self.queue.add_now(key.clone(), Lane::Routine);
                if let Some(connection) = key_of(user) {
                    self.connection_queue.add_now(connection, Lane::Routine);
                }
            }
        });
    }

    /// A Secret changed: its owner is looked at, and whoever it says it was made for.
    pub fn secret(&self, change: &Change<PartialObjectMeta<Secret>>) {
        if !self.hold.is_held() {
            return;
        }
        for secret in [change.old(), change.current()].into_iter().flatten() {
            for key in owners(secret) {
                self.queue.add_now(key, Lane::Urgent);
            }
        }
    }
}

fn owners(secret: &PartialObjectMeta<Secret>) -> Vec<ObjectKey> {
    let namespace = secret.namespace().unwrap_or_default();
    let named = secret
        .annotations()
        .get(secret_annotation::USER)
        .and_then(|user| user.split_once('/'));
    let named = named
        .filter(|(stated, _)| *stated == namespace)
        .map(|(_, name)| name.to_owned());
    let mut all: Vec<_> = controller(&secret.metadata)
        .map(|owner| owner.name.clone())
        .into_iter()
        .chain(named)
        .collect();
    all.dedup();
    all.iter().map(|name| ObjectKey::namespaced(&namespace, name)).collect()
}
