//! Gathers what a decision may see of one object.

use std::sync::Arc;

use super::connections::{Access, Connections, key_of};
use super::memory::Memories;
use super::rivals;
use super::sources::{OWNER_INDEX, SecretCache, UserCache};
use crate::cluster::ObjectKey;
use crate::decide::{Observed, OwnedSecret, SecretView, ThisRun, User};

/// Looks at an object through the caches: no request is made.
pub struct Observe {
    /// The objects.
    pub users: Arc<UserCache>,
    /// The Secrets.
    pub secrets: Arc<SecretCache>,
    /// The connections.
    pub connections: Arc<Connections>,
    /// What the process remembers.
    pub memories: Arc<Memories>,
}

/// What was seen, and what is needed to act on it.
pub struct Sight {
    /// What decisions see.
    pub observed: Observed,
    /// Its connection.
    pub connection: Option<ObjectKey>,
    /// The way to ACS of its connection, when that can be used.
    pub access: Option<Arc<Access>>,
}

/// What the watch tells of an object that is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It stays, or goes as it was seen to.
    AsSeen,
    /// It is to be deleted, which it was not when it was looked at.
    Leaving,
    /// There is no such object, or another one has its name.
    Gone,
}

impl Presence {
    /// What became known since `user` was looked at.
    pub fn of(user: &User, users: &UserCache) -> Self {
        let now = users.get(&ObjectKey::namespaced(&user.namespace, &user.name));
        match now.as_ref().map(|object| &object.metadata) {
            Some(now) if now.uid.as_ref() != Some(&user.uid) => Self::Gone,
            Some(now) if now.deletion_timestamp.is_some() && !user.deleting => Self::Leaving,
            Some(_) => Self::AsSeen,
            None => Self::Gone,
        }
    }
}

impl Observe {
    /// The object as known now; `None` when there is none.
    pub fn look(&self, key: &ObjectKey) -> Option<Sight> {
        let object = self.users.get(key)?;
        let user = User::parse(&object);
        let name = user.secret_name();
        let secret = self.secrets.get(&ObjectKey::namespaced(&user.namespace, name));
        let secret = secret.map_or(SecretView::NotSeen, |secret| SecretView::of(&secret.metadata, &user));
        let owned = self.secrets.find(OWNER_INDEX, &user.uid);
        let others = owned
            .iter()
            .map(|other| OwnedSecret::of(&other.metadata))
            .filter(|other| other.version.name != name);
        let other_secrets = others.collect();
        let resolved = self.connections.resolve(&object);
        let mut memory = self.memories.recall(&user.uid);
        memory.forget_all_but(user.identity_id());
        let observed = Observed {
            user,
            secret,
            other_secrets,
            rival: rivals::rival(&self.users, &object),
            connection: resolved.view,
            memory,
            this_run: ThisRun::default(),
        };
        Some(Sight {
            observed,
            connection: key_of(&object),
            access: resolved.access,
        })
    }
}
