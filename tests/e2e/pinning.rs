//! `spec.identity.id`: a manifest says which identity its object has.

use acs_emulator::{Call, TokenState};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{World, identity, message, ready};
use serde_json::json;

use crate::alice::{alice_in, annotate, calls, status};
use crate::world;

const ANOTHER: &str = "8:acs:11111111-2222-3333-4444-555555555555_0000000a-1b2c";

async fn pin(world: &World, id: &str) {
    world
        .patch("alice", json!({"spec": {"identity": {"id": id}}}))
        .await
        .unwrap();
}

/// Whether the operator has seen the last change of the spec.
fn is_observed(user: &CommunicationUser) -> bool {
    status(user).observed_generation == user.metadata.generation
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_pinned_to_what_status_says_costs_no_call_and_stays_ready() {
    let world = world().await;
    let before = alice_in(&world).await;
    pin(&world, &identity(&before).unwrap()).await;
    let alice = world.until("alice", "observed", is_observed).await.unwrap();
    assert_eq!(ready(&alice), ready(&before));
    world.quiet().await;
    assert_eq!(calls(&world), []);
    assert_eq!(world.traffic.passed().len(), 1, "the generation in status");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_pinned_to_another_is_refused_and_nothing_is_lost() {
    let world = world().await;
    let before = alice_in(&world).await;
    let values = world.secret_values("alice").await.unwrap();
    pin(&world, ANOTHER).await;
    let alice = world.until_reason("alice", "InvalidRequest").await.unwrap();
    let words = message(&alice);
    assert!(
        words.contains(ANOTHER) && words.contains(&identity(&before).unwrap()),
        "{words}"
    );
    world.quiet().await;
    assert_eq!(identity(&alice), identity(&before));
    assert_eq!(world.secret_values("alice").await.unwrap(), values);
    assert_eq!(world.acs().token_state(&values["token"]), TokenState::Valid);
    assert_eq!(calls(&world), []);

    let reverted = world
        .patch("alice", json!({"spec": {"identity": null}}))
        .await
        .unwrap_err();
    assert!(
        format!("{reverted:#}").contains("cannot be changed or removed"),
        "{reverted:#}"
    );
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identities().is_empty(), "what it holds goes with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_cannot_be_adopted_through_the_shared_connection() {
    let world = world().await;
    let spec = json!({"identity": {"id": ANOTHER}, "token": {"scopes": ["voip"]}});
    world.create("alice", spec).await.unwrap();
    let alice = world.until_reason("alice", "AdoptionNotAllowed").await.unwrap();
    assert!(message(&alice).contains(ANOTHER), "{}", message(&alice));
    assert_eq!(ready(&alice).unwrap().0, "False");
    world.quiet().await;
    let nothing = |calls: &[Call]| assert!(calls.is_empty(), "{calls:#?}");
    nothing(&world.calls());
    // Nothing was begun, so nothing holds it.
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    nothing(&world.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_identity_is_not_replaced() {
    let world = world().await;
    let before = alice_in(&world).await;
    let id = identity(&before).unwrap();
    pin(&world, &id).await;
    annotate(&world, "replace-identity", &id).await;
    let alice = world.until_reason("alice", "InvalidRequest").await.unwrap();
    assert!(message(&alice).contains("replace-identity"), "{}", message(&alice));
    world.quiet().await;
    assert_eq!(calls(&world), []);
    let given_up = json!({"metadata": {"annotations": {"acs-operator.dev/replace-identity": null}}});
    world.patch("alice", given_up).await.unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(identity(&alice), Some(id));
    assert_eq!(calls(&world), []);
}
