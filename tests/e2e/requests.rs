//! What users ask of an object during its life, and what happens to its Secret.

use std::time::Duration;

use acs_emulator::{Fault, Operation, TokenState};
use acs_operator::api::{CommunicationUser, CommunicationUserStatus};
use acs_operator_testbed::{World, identity, ready};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::{settings, world};

/// A settled user named alice, and nothing counted.
async fn alice_in(world: &World) -> CommunicationUser {
    world
        .create("alice", json!({"token": {"scopes": ["chat", "voip"]}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    world.traffic.reset(None);
    alice
}

fn status(user: &CommunicationUser) -> &CommunicationUserStatus {
    user.status.as_ref().unwrap()
}

fn calls(world: &World) -> Vec<Operation> {
    let created = world.acs().calls().into_iter().skip(1);
    created.map(|call| call.operation).collect()
}

async fn annotate(world: &World, key: &str, value: &str) {
    let annotations = json!({format!("acs-operator.dev/{key}"): value});
    world
        .patch("alice", json!({"metadata": {"annotations": annotations}}))
        .await
        .unwrap();
}

async fn edit_secret(world: &World, patch: Value) {
    let params = PatchParams::default();
    world
        .secrets()
        .patch("alice", &params, &Patch::Merge(patch))
        .await
        .unwrap();
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_secret_holds_the_same_token_and_the_old_one_is_gone() {
    let world = world().await;
    alice_in(&world).await;
    let old = world.secret_values("alice").await.unwrap();
    world
        .patch("alice", json!({"spec": {"secret": {"name": "alice-token"}}}))
        .await
        .unwrap();
    let moved = |user: &CommunicationUser| {
        status(user)
            .secret
            .as_ref()
            .is_some_and(|secret| secret.name.as_deref() == Some("alice-token"))
    };
    world.until("alice", "moved", moved).await.unwrap();
    assert_eq!(world.secret_values("alice-token").await.unwrap(), old);
    assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
    assert_eq!(calls(&world), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_keys_and_labels_are_written_with_the_same_token() {
    let world = world().await;
    alice_in(&world).await;
    let old = world.secret_values("alice").await.unwrap();
    let wished = json!({"keys": {"token": "ACS_TOKEN", "userId": "ACS_USER"}, "labels": {"team": "support"}});
    world.patch("alice", json!({"spec": {"secret": wished}})).await.unwrap();
    let written = async || Ok(world.secret_values("alice").await?.contains_key("ACS_TOKEN"));
    world.eventually("the keys are not renamed", written).await.unwrap();
    let new = world.secret_values("alice").await.unwrap();
    assert_eq!(
        new.keys().collect::<Vec<_>>(),
        ["ACS_TOKEN", "ACS_USER"],
        "keys that are not wished any more are gone"
    );
    assert_eq!(new["ACS_TOKEN"], old["token"]);
    let labels = world.secrets().get("alice").await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels["team"], "support");
    assert_eq!(calls(&world), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_value_or_annotation_is_put_right_with_the_same_token() {
    let world = world().await;
    alice_in(&world).await;
    let old = world.secret_values("alice").await.unwrap();
    edit_secret(
        &world,
        json!({"stringData": {"endpoint": "https://elsewhere.example.com"}}),
    )
    .await;
    let right = async || Ok(world.secret_values("alice").await? == old);
    world.eventually("the value is not put right", right).await.unwrap();
    edit_secret(
        &world,
        json!({"metadata": {"annotations": {"acs-operator.dev/user": "someone/else"}}}),
    )
    .await;
    let right = async || {
        let annotations = world
            .secrets()
            .get("alice")
            .await?
            .metadata
            .annotations
            .unwrap_or_default();
        Ok(annotations["acs-operator.dev/user"].ends_with("/alice"))
    };
    world
        .eventually("the annotation is not put right", right)
        .await
        .unwrap();
    assert_eq!(calls(&world), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_token_is_replaced_but_not_again_and_again() {
    let world = world().await;
    alice_in(&world).await;
    for damage in ["first", "second"] {
        edit_secret(&world, json!({"stringData": {"token": damage}})).await;
        world.quiet().await;
    }
    assert_eq!(
        calls(&world),
        [Operation::Issue],
        "at most once in 30 s, whoever keeps damaging it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_added_by_someone_else_stays_and_costs_one_write() {
    let world = world().await;
    alice_in(&world).await;
    edit_secret(&world, json!({"metadata": {"labels": {"seen-by": "a-scanner"}}})).await;
    world.quiet().await;
    let labels = world.secrets().get("alice").await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels["seen-by"], "a-scanner");
    assert_eq!(
        (calls(&world), world.traffic.passed().len()),
        (vec![], 1),
        "only the record in status"
    );
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_is_gone_is_said_so_and_replaced_on_request() {
    let world = world().await;
    let before = alice_in(&world).await;
    world.acs().inject(Fault::status(404).on(Operation::Issue));
    annotate(&world, "renew-requested-at", "now").await;
    let alice = world.until_reason("alice", "IdentityGone").await.unwrap();
    assert_eq!(ready(&alice).unwrap().0, "False");
    world.acs().clear_faults();
    annotate(&world, "replace-identity", &identity(&before).unwrap()).await;
    let replaced = |user: &CommunicationUser| {
        ready(user).is_some_and(|(ready, _)| ready == "True") && identity(user) != identity(&before)
    };
    let alice = world.until("alice", "replaced", replaced).await.unwrap();
    let values = world.secret_values("alice").await.unwrap();
    assert_eq!(Some(&values["userId"]), identity(&alice).as_ref());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_out_of_a_backup_uses_its_identity_on_and_leaves_it_when_it_goes() {
    let world = world().await;
    let before = alice_in(&world).await;
    // What a backup tool does: the object goes without its operator, and comes back with its status.
    world
        .operator_paused(async || {
            world.patch("alice", json!({"metadata": {"finalizers": null}})).await?;
            world.delete("alice").await?;
            world.until_gone("alice").await?;
            world
                .create("alice", json!({"token": {"scopes": ["chat", "voip"]}}))
                .await?;
            let restored = json!({"status": {"identity": status(&before).identity, "observedGeneration": 1}});
            world
                .users()
                .patch_status("alice", &PatchParams::default(), &Patch::Merge(restored))
                .await?;
            Ok(())
        })
        .await
        .unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(identity(&alice), identity(&before));
    let origin = status(&alice).identity.as_ref().unwrap().origin.as_ref().unwrap();
    assert_eq!(origin.as_str(), "Restored");
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert_eq!(
        world.acs().identities().len(),
        1,
        "removing a copy never deletes the original's identity"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_name_recreated_is_another_identity() {
    let world = world().await;
    let before = alice_in(&world).await;
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_ne!(identity(&alice), identity(&before));
    assert_eq!(world.acs().identities().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_custom_ids_a_lost_answer_leaves_no_orphan() {
    let mut settings = settings();
    settings.arguments = vec!["--default-connection-service-api-version=2025-03-02-preview".into()];
    let world = World::start(settings).await.unwrap();
    world
        .acs()
        .inject(Fault::cut_after_processing().on(Operation::Create).once());
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(world.acs().identities().len(), 1);
    assert_eq!(status(&alice).identity.as_ref().unwrap().suspected_orphans, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_while_a_revocation_waits_leaves_nothing() {
    let world = world().await;
    alice_in(&world).await;
    world
        .acs()
        .inject(Fault::delay(Duration::from_secs(1)).on(Operation::Revoke));
    annotate(&world, "revoke-requested-at", "now").await;
    world.users().delete("alice", &DeleteParams::default()).await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identities().is_empty());
    assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_robbed_of_its_label_or_with_a_strange_record_costs_no_token_and_no_loop() {
    let world = world().await;
    alice_in(&world).await;
    edit_secret(
        &world,
        json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}),
    )
    .await;
    let labelled = async || {
        let labels = world.secrets().get("alice").await?.metadata.labels.unwrap_or_default();
        Ok(labels["app.kubernetes.io/managed-by"] == "acs-operator")
    };
    world.eventually("the label is not back", labelled).await.unwrap();
    assert_eq!(calls(&world), []);

    let strange = json!({
        "acs-operator.dev/expiration-time": "2099-01-01T00:00:00.5Z",
        "acs-operator.dev/request": r#"{"minutes":9223372036854775807}"#,
    });
    edit_secret(&world, json!({"metadata": {"annotations": strange}})).await;
    world.quiet().await;
    assert_eq!(calls(&world), [Operation::Issue]);
    assert!(world.traffic.passed().len() < 10, "{:#?}", world.traffic.passed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_the_api_server_refuses_costs_one_token_and_not_one_for_each_try() {
    let world = world().await;
    alice_in(&world).await;
    edit_secret(&world, json!({"immutable": true})).await;
    annotate(&world, "renew-requested-at", "now").await;
    let refused = |user: &CommunicationUser| ready(user).is_some_and(|(_, reason)| reason == "Progressing");
    let alice = world.until("alice", "refused", refused).await.unwrap();
    let words = &status(&alice).conditions[0].message;
    assert!(words.contains("immutable"), "{words}");
    // Four tries: at once, after 1 s, 2 s and 4 s.
    let tries = || {
        world
            .traffic
            .passed()
            .iter()
            .filter(|passed| passed.path.ends_with("/secrets/alice"))
            .count()
    };
    world
        .eventually("it is not tried again", async || Ok(tries() >= 4))
        .await
        .unwrap();
    assert_eq!(calls(&world), [Operation::Issue]);

    world.secrets().delete("alice", &DeleteParams::default()).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_in_the_same_cluster_is_told_whose_the_identity_is_and_takes_nothing_along() {
    let world = world().await;
    let alice = alice_in(&world).await;
    world
        .operator_paused(async || {
            world.create("bob", json!({"token": {"scopes": ["voip"]}})).await?;
            let copied = json!({"status": {"identity": status(&alice).identity, "observedGeneration": 1}});
            let params = PatchParams::default();
            world
                .users()
                .patch_status("bob", &params, &Patch::Merge(copied))
                .await?;
            Ok(())
        })
        .await
        .unwrap();
    let bob = world.until_reason("bob", "IdentityInUse").await.unwrap();
    let words = &status(&bob).conditions[0].message;
    assert!(words.contains("/alice"), "{words}");
    assert_eq!(calls(&world), []);
    world.delete("bob").await.unwrap();
    world.until_gone("bob").await.unwrap();
    assert_eq!(world.acs().identities().len(), 1);
    assert_eq!(ready(&world.users().get("alice").await.unwrap()).unwrap().0, "True");
}
