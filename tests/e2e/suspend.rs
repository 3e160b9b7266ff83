//! `spec.suspend`: no call to ACS, requests wait, deletion works.

use std::time::Duration;

use acs_emulator::{Fault, Operation, TokenState};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{World, message, ready};
use serde_json::json;

use crate::alice::{alice_in, alice_with, annotate, calls, status};
use crate::{settings, world};

async fn suspend(world: &World, suspend: bool) -> CommunicationUser {
    world
        .patch("alice", json!({"spec": {"suspend": suspend}}))
        .await
        .unwrap()
}

fn is_observed(user: &CommunicationUser) -> bool {
    status(user).observed_generation == user.metadata.generation
}

/// Whether it is suspended, and ready or not.
fn is_suspended(user: &CommunicationUser, is_ready: &str) -> bool {
    ready(user) == Some((is_ready.into(), "Suspended".into()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_changes_wait_while_it_is_suspended_and_are_met_afterwards() {
    let world = world().await;
    alice_in(&world).await;
    let old = world.secret_values("alice").await.unwrap();
    suspend(&world, true).await;
    world.until_reason("alice", "Suspended").await.unwrap();
    annotate(&world, "renew-requested-at", "now").await;
    annotate(&world, "revoke-requested-at", "now").await;
    let changed = json!({"spec": {"token": {"scopes": ["chat"]}}});
    world.patch("alice", changed).await.unwrap();
    let alice = world.until("alice", "observed", is_observed).await.unwrap();
    world.quiet().await;
    assert!(is_suspended(&alice, "True"), "its token is valid: {alice:#?}");
    assert_eq!(calls(&world), []);
    assert_eq!(world.secret_values("alice").await.unwrap(), old);
    assert_eq!(status(&alice).last_handled_renew_at, None);
    assert_eq!(status(&alice).last_handled_revoke_at, None);

    suspend(&world, false).await;
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(status(&alice).last_handled_renew_at.as_deref(), Some("now"));
    assert_eq!(status(&alice).last_handled_revoke_at.as_deref(), Some("now"));
    assert_eq!(calls(&world), [Operation::Revoke, Operation::Issue]);
    let new = world.secret_values("alice").await.unwrap();
    assert_eq!(world.acs().token_state(&new["token"]), TokenState::Valid);
    assert_ne!(world.acs().token_state(&old["token"]), TokenState::Valid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_token_is_left_to_expire_while_it_is_suspended() {
    let mut settings = settings();
    settings.emulator.token_ttl = Some(Duration::from_secs(9));
    let world = World::start(settings).await.unwrap();
    alice_with(&world, json!({"token": {"scopes": ["voip"]}, "suspend": false})).await;
    suspend(&world, true).await;
    let alice = world.until_reason("alice", "Suspended").await.unwrap();
    assert!(is_suspended(&alice, "True"), "{alice:#?}");
    let alice = world
        .until("alice", "expired", |user| is_suspended(user, "False"))
        .await
        .unwrap();
    assert!(message(&alice).contains("no valid token"), "{}", message(&alice));
    assert_eq!(calls(&world), []);

    suspend(&world, false).await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(calls(&world), [Operation::Issue]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspended_after_its_tokens_were_revoked_it_is_not_ready_and_they_are_not_revoked_again() {
    let world = world().await;
    alice_in(&world).await;
    world.acs().inject(Fault::status(503).on(Operation::Issue));
    annotate(&world, "revoke-requested-at", "now").await;
    world.until_reason("alice", "ServiceUnavailable").await.unwrap();
    suspend(&world, true).await;
    let alice = world.until_reason("alice", "Suspended").await.unwrap();
    assert!(is_suspended(&alice, "False"), "{}", message(&alice));
    world.acs().clear_faults();
    suspend(&world, false).await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
    let revocations = calls(&world).iter().filter(|call| **call == Operation::Revoke).count();
    assert_eq!(revocations, 1, "{:?}", calls(&world));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspended_during_its_deletion_it_goes_all_the_same() {
    let world = world().await;
    alice_in(&world).await;
    world.acs().inject(Fault::status(503).on(Operation::Delete));
    world.delete("alice").await.unwrap();
    world.until_reason("alice", "DeletionBlocked").await.unwrap();
    suspend(&world, true).await;
    world.until("alice", "observed", is_observed).await.unwrap();
    world.acs().clear_faults();
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identities().is_empty());
    assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
}
