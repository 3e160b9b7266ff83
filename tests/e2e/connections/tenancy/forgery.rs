//! A status that somebody wrote by hand.

use acs_emulator::TokenState;
use acs_operator::api::{CommunicationConnection, CommunicationUser, names::finalizer};
use acs_operator_testbed::{Place, identity, ready};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::super::{contoso, of_cluster, of_contoso, tokens, users_of_contoso, with};
use super::{a_second_later, own_connection, shared_connection, unharmed, victim_and_attacker};

/// Writes a status by hand, as whoever has the right to can.
async fn forge(place: &Place, name: &str, status: Value) -> kube::Result<CommunicationUser> {
    let patch = Patch::Merge(json!({"status": status}));
    place.users().patch_status(name, &PatchParams::default(), &patch).await
}

/// The record of an identity as if it had been made for this object.
fn as_its_own(user: &CommunicationUser, id: &str) -> Value {
    json!({"identity": {"id": id, "origin": "Created", "ownerUid": user.metadata.uid}, "observedGeneration": 1})
}

/// Whether the connection serves the namespace or not, and whatever role is bound in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_forges_an_identity_whatever_rights_there_are_in_a_namespace() {
    let (world, attacker) = victim_and_attacker().await;
    let admin = world.tenant(&world.neighbours[0], "admin").await.unwrap();
    let shared = shared_connection(&world, &[&world.namespace]).await;
    world.create("alice", of_cluster(&shared)).await.unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    let before = world.acs().last_call();
    let mallory = attacker.create("mallory", of_cluster(&shared)).await.unwrap();
    attacker.until_reason("mallory", "ConnectionNotAllowed").await.unwrap();
    for tenant in [&admin, &attacker] {
        let refused = forge(tenant, "mallory", as_its_own(&mallory, &identity(&alice).unwrap())).await;
        assert!(
            matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403),
            "{refused:?}"
        );
    }
    // The finalizer alone, which makes a deletion the operator's business, leads to nothing.
    let guarded = json!({"metadata": {"finalizers": [finalizer::IDENTITY]}});
    attacker.patch("mallory", guarded).await.unwrap();
    attacker.delete("mallory").await.unwrap();
    attacker.until_gone("mallory").await.unwrap();
    assert!(world.resource.work_since(before).is_empty());
    unharmed(&world, &alice).await;
}

/// As a backup tool does it that restores into another namespace, and knows little of the identity.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_younger_object_in_another_namespace_with_the_record_of_an_identity_neither_uses_nor_deletes_it() {
    let (world, attacker) = victim_and_attacker().await;
    let shared = shared_connection(&world, &[&world.namespace, &attacker.namespace]).await;
    world.create("alice", of_cluster(&shared)).await.unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    let id = identity(&alice).unwrap();
    a_second_later(&world).await;
    let suspended = json!({"suspend": true, "identity": {"deletionPolicy": "Delete"}});
    let copy = attacker
        .create("copy", with(of_cluster(&shared), suspended))
        .await
        .unwrap();
    attacker.until_reason("copy", "Suspended").await.unwrap();
    let before = world.acs().last_call();
    let administrator = &world.neighbours[0];
    forge(administrator, "copy", as_its_own(&copy, &id)).await.unwrap();
    attacker
        .patch("copy", json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    attacker.until_reason("copy", "IdentityInUse").await.unwrap();
    attacker.delete("copy").await.unwrap();
    attacker.until_gone("copy").await.unwrap();
    assert!(world.resource.work_since(before).is_empty());
    unharmed(&world, &alice).await;
}

/// A time that lies ahead would say of every token that it comes after the revocation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_record_of_a_revocation_keeps_no_token_over_break_glass() {
    let (world, attacker) = victim_and_attacker().await;
    let shared = shared_connection(&world, &[&attacker.namespace]).await;
    attacker.create("mallory", of_cluster(&shared)).await.unwrap();
    attacker.until_reason("mallory", "TokenIssued").await.unwrap();
    let old = tokens(&attacker, &["mallory"]).await.remove(0);
    a_second_later(&world).await;
    let forged = json!({"token": {"revocationTime": "2126-11-26T08:00:00Z", "issueTime": "2126-11-26T08:00:00Z"}});
    let refused = forge(&attacker, "mallory", forged).await.unwrap_err();
    assert!(format!("{refused:?}").contains("assignidentity"), "{refused:?}");
    let now = jiff::Timestamp::from_second(world.acs().now().as_second()).unwrap();
    let patch = Patch::Merge(json!({"spec": {"tokensValidFrom": now.to_string()}}));
    world
        .cluster_connections()
        .patch(&shared, &PatchParams::default(), &patch)
        .await
        .unwrap();
    let revoked = async || Ok(world.acs().token_state(&old) == TokenState::Revoked);
    world.eventually("the token is still good", revoked).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_status_of_a_connection_proves_nothing_and_is_put_right() {
    let (world, attacker) = victim_and_attacker().await;
    contoso(&world, &world.resource).await;
    let alice = users_of_contoso(&world, &["alice"]).await.remove(0);
    let own = world.another_resource().await.unwrap();
    own_connection(&attacker, &own).await;
    let before = world.acs().last_call();
    let forged = json!({"status": {
        "endpoint": world.resource.url(), "resourceId": world.acs().resource_id().to_string(), "credential": "forged",
    }});
    let params = PatchParams::default();
    attacker
        .connections()
        .patch_status("contoso", &params, &Patch::Merge(forged))
        .await
        .unwrap();
    let adopter = json!({"identity": {"id": identity(&alice).unwrap(), "deletionPolicy": "Delete"}});
    attacker.create("mallory", with(of_contoso(), adopter)).await.unwrap();
    let refused = |user: &CommunicationUser| ready(user).is_some_and(|(is, _)| is == "False");
    attacker.until("mallory", "refused", refused).await.unwrap();
    attacker.delete("mallory").await.unwrap();
    attacker.until_gone("mallory").await.unwrap();
    let right = |connection: &CommunicationConnection| {
        let status = connection.status.as_ref().unwrap();
        let endpoint = status.endpoint.as_deref().unwrap_or_default();
        endpoint.trim_end_matches('/') == own.url() && status.credential.as_deref() != Some("forged")
    };
    attacker.until_connection("contoso", "put right", right).await.unwrap();
    assert!(world.resource.work_since(before).is_empty());
    unharmed(&world, &alice).await;
}
