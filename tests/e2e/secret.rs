//! What happens to the Secret during the life of its user.

use acs_emulator::{Operation, TokenState};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{message, ready};
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::alice::{alice_in, annotate, calls, edit_secret, status};
use crate::world;

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

    // Each on its own, so that neither is written because of the other.
    let held = async || anyhow::Ok(world.secrets().get("alice").await?.metadata);
    let relabelled = json!({"spec": {"secret": {"labels": {"team": "sales"}}}});
    world.patch("alice", relabelled).await.unwrap();
    let written = async || Ok(held().await?.labels.is_some_and(|labels| labels["team"] == "sales"));
    world.eventually("the label is not changed", written).await.unwrap();
    let annotated = json!({"spec": {"secret": {"annotations": {"example.com/note": "x"}}}});
    world.patch("alice", annotated).await.unwrap();
    let written = async || {
        let annotations = held().await?.annotations;
        Ok(annotations.is_some_and(|annotations| annotations.contains_key("example.com/note")))
    };
    world
        .eventually("the annotation is not written", written)
        .await
        .unwrap();

    let plain = json!({"spec": {"secret": null}});
    world.patch("alice", plain).await.unwrap();
    let written = async || Ok(world.secret_values("alice").await? == old);
    world.eventually("the keys are not back", written).await.unwrap();
    let labels = world.secrets().get("alice").await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels.keys().collect::<Vec<_>>(), ["app.kubernetes.io/managed-by"]);
    assert_eq!(calls(&world), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_not_moved_onto_someone_elses_and_stays_until_it_can_be() {
    let world = world().await;
    alice_in(&world).await;
    let old = world.secret_values("alice").await.unwrap();
    let foreign = json!({"metadata": {"name": "other"}, "stringData": {"password": "correct horse"}});
    let foreign = serde_json::from_value(foreign).unwrap();
    world.secrets().create(&PostParams::default(), &foreign).await.unwrap();
    let renamed = json!({"spec": {"secret": {"name": "other"}}});
    world.patch("alice", renamed).await.unwrap();
    let alice = world.until_reason("alice", "SecretConflict").await.unwrap();
    assert!(message(&alice).contains("Secret other"), "{}", message(&alice));
    assert_eq!(world.secret_values("other").await.unwrap()["password"], "correct horse");
    assert_eq!(world.secret_values("alice").await.unwrap(), old);

    world.secrets().delete("other", &DeleteParams::default()).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(world.secret_values("other").await.unwrap(), old);
    assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
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
    edit_secret(&world, json!({"stringData": {"token": "first"}})).await;
    let replaced = async || {
        let token = &world.secret_values("alice").await?["token"];
        Ok(world.acs().token_state(token) == TokenState::Valid)
    };
    world.eventually("the token is not replaced", replaced).await.unwrap();
    world.quiet().await;
    edit_secret(&world, json!({"stringData": {"token": "second"}})).await;
    world.quiet().await;
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
    let edited = world.secrets().get("alice").await.unwrap().metadata.resource_version;
    let is_recorded = |user: &CommunicationUser| {
        let secret = status(user).secret.as_ref();
        secret.is_some_and(|secret| secret.resource_version == edited)
    };
    world.until("alice", "recorded", is_recorded).await.unwrap();
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
    let is_asked_for = async || Ok(!calls(&world).is_empty());
    world.eventually("no token is issued", is_asked_for).await.unwrap();
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
    let alice = world.until_reason("alice", "RenewalDelayed").await.unwrap();
    assert_eq!(ready(&alice).unwrap().0, "True", "its token is valid");
    assert!(message(&alice).contains("immutable"), "{}", message(&alice));
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
