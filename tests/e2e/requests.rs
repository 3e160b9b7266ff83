//! What users ask of an object during its life.

use acs_emulator::{Fault, Operation, TokenState};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{identity, ready};
use kube::api::DeleteParams;
use serde_json::json;

use crate::alice::{alice_in, annotate, calls, status};
use crate::world;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_is_had_for_the_asking_once_for_each_request() {
    let world = world().await;
    alice_in(&world).await;
    annotate(&world, "renew-requested-at", "now").await;
    let handled = |user: &CommunicationUser| status(user).last_handled_renew_at.as_deref() == Some("now");
    world.until("alice", "renewed", handled).await.unwrap();
    annotate(&world, "renew-requested-at", "now").await;
    world.quiet().await;
    assert_eq!(calls(&world), [Operation::Issue]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_revocation_the_old_token_is_refused_and_the_new_one_is_not() {
    let world = world().await;
    alice_in(&world).await;
    let old = world.secret_values("alice").await.unwrap();
    annotate(&world, "revoke-requested-at", "2026-11-23").await;
    let handled = |user: &CommunicationUser| status(user).last_handled_revoke_at.as_deref() == Some("2026-11-23");
    let alice = world.until("alice", "revoked", handled).await.unwrap();
    assert_eq!(ready(&alice).unwrap(), ("True".into(), "TokenIssued".into()));
    assert!(status(&alice).token.as_ref().unwrap().revocation_time.is_some());
    let new = world.secret_values("alice").await.unwrap();
    assert_ne!(world.acs().token_state(&old["token"]), TokenState::Valid);
    assert_eq!(world.acs().token_state(&new["token"]), TokenState::Valid);
    assert_eq!(calls(&world), [Operation::Revoke, Operation::Issue]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_scopes_or_another_lifetime_give_a_new_token_at_once() {
    let world = world().await;
    alice_in(&world).await;
    world
        .patch("alice", json!({"spec": {"token": {"scopes": ["chat"]}}}))
        .await
        .unwrap();
    let chat_only = |user: &CommunicationUser| status(user).token.as_ref().is_some_and(|token| token.scopes.len() == 1);
    world.until("alice", "chat only", chat_only).await.unwrap();
    world
        .patch("alice", json!({"spec": {"token": {"lifetime": "2h"}}}))
        .await
        .unwrap();
    let short = |user: &CommunicationUser| {
        let token = status(user).token.as_ref().unwrap();
        let (issued, expires) = (
            token.issue_time.as_ref().unwrap().0,
            token.expiration_time.as_ref().unwrap().0,
        );
        expires.duration_since(issued).as_hours() <= 2
    };
    world.until("alice", "short-lived", short).await.unwrap();
    assert_eq!(calls(&world), [Operation::Issue, Operation::Issue]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_removed_from_the_spec_is_revoked_and_its_secret_goes_and_both_come_back_with_it() {
    let world = world().await;
    let before = alice_in(&world).await;
    let old = world.secret_values("alice").await.unwrap();
    world.patch("alice", json!({"spec": {"token": null}})).await.unwrap();
    let alice = world.until_reason("alice", "IdentityCreated").await.unwrap();
    assert_eq!(status(&alice).token, None);
    assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
    assert_ne!(world.acs().token_state(&old["token"]), TokenState::Valid);

    world
        .patch("alice", json!({"spec": {"token": {"scopes": ["voip"]}}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(identity(&alice), identity(&before));
}

/// What was handed out is known although the Secret is gone, or lies under another name than it should.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_removed_from_the_spec_is_revoked_although_its_secret_was_lost_or_renamed_before() {
    for loss in ["deleted", "renamed"] {
        let world = world().await;
        alice_in(&world).await;
        let old = world.secret_values("alice").await.unwrap();
        world.acs().inject(Fault::status(503).on(Operation::Issue));
        if loss == "deleted" {
            world.secrets().delete("alice", &DeleteParams::default()).await.unwrap();
            world.until_reason("alice", "ServiceUnavailable").await.unwrap();
        } else {
            let renamed = json!({"spec": {"suspend": true, "secret": {"name": "other"}}});
            world.patch("alice", renamed).await.unwrap();
            world.until_reason("alice", "Suspended").await.unwrap();
        }
        let removed = json!({"spec": {"suspend": false, "secret": null, "token": null}});
        world.patch("alice", removed).await.unwrap();
        let alice = world.until_reason("alice", "IdentityCreated").await.unwrap();
        assert_ne!(world.acs().token_state(&old["token"]), TokenState::Valid, "{loss}");
        assert_eq!(status(&alice).token, None, "{loss}");
        assert!(world.secrets().get_opt("alice").await.unwrap().is_none(), "{loss}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finalizer_that_someone_stripped_is_put_back() {
    let world = world().await;
    alice_in(&world).await;
    world
        .patch("alice", json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    let guarded = |user: &CommunicationUser| user.metadata.finalizers.as_ref().is_some_and(|all| !all.is_empty());
    world.until("alice", "guarded", guarded).await.unwrap();
    assert_eq!(calls(&world), []);
}
