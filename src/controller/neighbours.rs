//! Who else has to be looked at when a CommunicationUser changes.

use std::sync::Arc;

use super::connections::key_of;
use super::queue::{Lane, WorkQueue};
use super::rivals::claim;
use super::sources::{IDENTITY_INDEX, UserCache, held_identity};
use crate::api::CommunicationUser;
use crate::cluster::ObjectKey;
use crate::cluster::cache::Change;

/// Has those looked at who go by an object that is not their own: other users of its identity, and its connection. They are told of each
/// change once, by the watch or by what this process wrote, whichever is first.
#[derive(Clone)]
pub struct Neighbours {
    /// The CommunicationUsers.
    pub users: Arc<UserCache>,
    /// Where other users are put.
    pub queue: Arc<WorkQueue<ObjectKey>>,
    /// Where connections are put.
    pub connection_queue: Arc<WorkQueue<ObjectKey>>,
}

impl Neighbours {
    /// Tells all that a change concerns.
    pub fn tell(&self, change: &Change<CommunicationUser>) {
        let (before, now) = (change.old().map(|user| &**user), change.current().map(|user| &**user));
        self.tell_claimants(change.key(), before, now);
        self.tell_connections(before, now);
    }

    /// Who claims the same identity may have it now, or has it no more.
    fn tell_claimants(&self, own: &ObjectKey, before: Option<&CommunicationUser>, now: Option<&CommunicationUser>) {
        let (before, now) = (before.and_then(claim), now.and_then(claim));
        if before == now {
            return;
        }
        let left = before.filter(|before| now.is_none_or(|now| now.identity != before.identity));
        for claim in left.into_iter().chain(now) {
            let others = self.users.find(IDENTITY_INDEX, claim.identity);
            let others = others.iter().map(|other| ObjectKey::of(&**other));
            for other in others.filter(|other| other != own) {
                self.queue.add_now(other, Lane::Routine);
            }
        }
    }

    /// A connection goes by who uses it, who of them is to be deleted, and what they hold of a former resource.
    fn tell_connections(&self, before: Option<&CommunicationUser>, now: Option<&CommunicationUser>) {
        let seen = |user: &CommunicationUser| (key_of(user), user.metadata.deletion_timestamp.is_some());
        let gave_up = |user: &CommunicationUser| held_identity(user).is_some() && now.and_then(held_identity).is_none();
        if before.map(seen) == now.map(seen) && !before.is_some_and(gave_up) {
            return;
        }
        let (before, now) = (before.and_then(key_of), now.and_then(key_of));
        let left = before.filter(|before| now.as_ref() != Some(before));
        for connection in left.into_iter().chain(now) {
            self.connection_queue.add_now(connection, Lane::Urgent);
        }
    }
}
