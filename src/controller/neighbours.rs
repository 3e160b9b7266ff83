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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};
    use tokio::time::timeout;

    use super::*;
    use crate::cluster::Scope;
    use crate::cluster::cache::Cache;
    use crate::controller::sources::identity_index;

    const ID: &str = "8:acs:11111111-2222-3333-4444-555555555555_0001";

    fn user(name: &str, connection: &str, status: &Value) -> CommunicationUser {
        serde_json::from_value(json!({
            "apiVersion": "acs-operator.dev/v1beta1", "kind": "CommunicationUser",
            "metadata": {"name": name, "namespace": "team", "uid": name, "resourceVersion": "1"},
            "spec": {"connectionRef": {"name": connection}},
            "status": status,
        }))
        .unwrap()
    }

    /// Alice, who uses contoso and holds an identity that she adopted.
    fn alice() -> CommunicationUser {
        user(
            "alice",
            "contoso",
            &json!({"identity": {"id": ID, "origin": "Adopted"}}),
        )
    }

    /// Whom a change of alice concerns, while bob claims the same identity.
    async fn told(change: Change<CommunicationUser>) -> Vec<String> {
        let (users, feeds) = Cache::new([Scope::Namespace("team".into())], [identity_index()]);
        let bob = user("bob", "fabrikam", &json!({"identity": {"id": ID, "origin": "Adopted"}}));
        feeds[0].apply(Event::Apply(bob));
        let neighbours = Neighbours {
            users,
            queue: Arc::default(),
            connection_queue: Arc::default(),
        };
        neighbours.tell(&change);
        let mut told = Vec::new();
        for queue in [&neighbours.queue, &neighbours.connection_queue] {
            while let Ok(Some(key)) = timeout(Duration::ZERO, queue.next()).await {
                told.push(key.name().to_owned());
            }
        }
        told
    }

    async fn told_when_alice_becomes(new: CommunicationUser) -> Vec<String> {
        let (key, old, new) = (ObjectKey::of(&new), Arc::new(alice()), Arc::new(new));
        told(Change::Modified { key, old, new }).await
    }

    #[tokio::test]
    async fn who_claims_an_identity_is_looked_at_when_another_gets_it_is_proven_to_have_it_or_loses_it() {
        let (key, new) = (ObjectKey::of(&alice()), Arc::new(alice()));
        assert_eq!(told(Change::Added { key, new }).await, ["bob", "contoso"]);
        let proven = json!({"identity": {"id": ID, "origin": "Adopted"}, "token": {"scopes": ["voip"]}});
        assert_eq!(
            told_when_alice_becomes(user("alice", "contoso", &proven)).await,
            ["bob"]
        );
        let (key, old) = (ObjectKey::of(&alice()), Arc::new(alice()));
        assert_eq!(told(Change::Deleted { key, old }).await, ["bob", "contoso"]);
    }

    #[tokio::test]
    async fn a_connection_is_looked_at_when_a_user_comes_goes_is_to_go_or_gives_up_its_identity() {
        assert_eq!(
            told_when_alice_becomes(user("alice", "contoso", &json!({}))).await,
            ["bob", "contoso"],
            "an abandoned identity"
        );
        let mut leaving = alice();
        leaving.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-11-26T08:00:00Z")).unwrap());
        assert_eq!(told_when_alice_becomes(leaving).await, ["contoso"]);
        let mut elsewhere = alice();
        elsewhere.spec.connection_ref = user("alice", "tailspin", &json!({})).spec.connection_ref;
        let mut both = told_when_alice_becomes(elsewhere).await;
        both.sort();
        assert_eq!(both, ["contoso", "tailspin"]);
    }

    #[tokio::test]
    async fn nobody_is_looked_at_for_what_concerns_nobody_else() {
        let mut labelled = alice();
        labelled.metadata.labels = Some([("tier".to_owned(), "gold".to_owned())].into());
        assert!(told_when_alice_becomes(labelled).await.is_empty());
    }
}
