//! What users ask of an object during its life.

use acs_emulator::{Fault, Operation, TokenState};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{CEILING, Moment, identity, ready};
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::alice::{alice_in, annotate, calls, notes, status, until_renewed, until_revoked};
use crate::world;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_is_had_for_the_asking_once_for_each_request() {
    let world = world().await;
    alice_in(&world).await;
    annotate(&world, "renew-requested-at", "now").await;
    until_renewed(&world, "alice", "now").await;
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
    let alice = until_revoked(&world, "alice", "2026-11-23").await;
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
    let told = async || Ok(!notes(&world, "ScopesNarrowed").await?.is_empty());
    world
        .eventually("nobody is told of the older tokens", told)
        .await
        .unwrap();
    let note = &notes(&world, "ScopesNarrowed").await.unwrap()[0];
    assert!(note.contains("voip") && note.contains("revoke-requested-at"), "{note}");
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
async fn fewer_scopes_and_a_revocation_at_once_leave_no_older_token_to_warn_of() {
    let world = world().await;
    alice_in(&world).await;
    let both = json!({
        "metadata": {"annotations": {"acs-operator.dev/revoke-requested-at": "now"}},
        "spec": {"token": {"scopes": ["chat"]}},
    });
    world.patch("alice", both).await.unwrap();
    until_revoked(&world, "alice", "now").await;
    // A later warning is written after an earlier one.
    world.acs().inject(Fault::status(503).on(Operation::Issue).once());
    annotate(&world, "renew-requested-at", "now").await;
    let told = async || Ok(!notes(&world, "RenewalDelayed").await?.is_empty());
    world.eventually("no event is written", told).await.unwrap();
    assert_eq!(notes(&world, "ScopesNarrowed").await.unwrap(), [""; 0]);
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

/// As it comes from Git, with everything there at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_there_at_the_beginning_are_met_by_the_first_token() {
    let world = world().await;
    let annotations = json!({
        "acs-operator.dev/renew-requested-at": "at birth",
        "acs-operator.dev/revoke-requested-at": "at birth",
        "acs-operator.dev/replace-identity": "8:acs:another",
        "acs-operator.dev/abandon": "8:acs:another",
    });
    let alice = serde_json::from_value(json!({
        "apiVersion": "acs-operator.dev/v1beta1", "kind": "CommunicationUser",
        "metadata": {"name": "alice", "annotations": annotations},
        "spec": {"token": {"scopes": ["voip"]}},
    }));
    let params = PostParams::default();
    world.users().create(&params, &alice.unwrap()).await.unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    assert_eq!(status(&alice).last_handled_renew_at.as_deref(), Some("at birth"));
    assert_eq!(status(&alice).last_handled_revoke_at.as_deref(), Some("at birth"));
    assert_eq!(world.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_its_tokens_are_revoked_a_user_is_not_ready_and_the_next_token_comes_two_seconds_later() {
    let world = world().await;
    alice_in(&world).await;
    let hold = world
        .traffic
        .hold(Moment::Before, |request| request.path.ends_with(":revokeAccessTokens"));
    annotate(&world, "revoke-requested-at", "now").await;
    hold.caught(CEILING).await.unwrap();
    let alice = world.users().get("alice").await.unwrap();
    assert_eq!(ready(&alice), Some(("False".into(), "Progressing".into())));
    hold.release();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    let calls = world.calls();
    let [_, revocation, issue] = &calls[..] else {
        panic!("{calls:#?}");
    };
    let apart = issue.at.duration_since(revocation.at);
    assert!(apart.as_secs_f64() >= 1.9, "{apart}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_new_value_is_a_new_request_and_an_old_one_given_again_too() {
    let world = world().await;
    alice_in(&world).await;
    for value in ["first", "second", "first"] {
        annotate(&world, "revoke-requested-at", value).await;
        until_revoked(&world, "alice", value).await;
    }
    assert_eq!(calls(&world), [Operation::Revoke, Operation::Issue].repeat(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_to_renew_and_what_becomes_of_the_identity_are_changed_without_a_call() {
    let world = world().await;
    let before = alice_in(&world).await;
    let renewal = |user: &CommunicationUser| status(user).token.as_ref().unwrap().renewal_time.clone();
    let changed = json!({"spec": {"token": {"renewBefore": "30m"}, "identity": {"deletionPolicy": "Retain"}}});
    world.patch("alice", changed).await.unwrap();
    let later = |user: &CommunicationUser| renewal(user) > renewal(&before);
    world.until("alice", "renewed later", later).await.unwrap();
    world.quiet().await;
    assert_eq!(calls(&world), []);
    assert_eq!(world.traffic.passed().len(), 1, "{:#?}", world.traffic.passed());
}
