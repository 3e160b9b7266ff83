//! ACS misbehaves, and other things that go wrong around an object.

mod acs_away;
mod admission;
mod bystanders;
mod history;
mod outage;
mod partial;
mod poison;
mod policy;
mod quotations;
mod requests;
mod terminating;
mod undecodable;

use std::time::Duration;

use acs_emulator::{Fault, Operation, TokenState};
use acs_operator_testbed::{World, WorldSettings, identity, message, ready};
use k8s_openapi::api::{core::v1::Secret, events::v1::Event};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

use crate::{settings, world};

/// A world with a neighbour, whom nothing of it concerns. A namespace that goes has to be the neighbour: with the operator's own its
/// lease would go too.
async fn world_and_neighbour() -> World {
    let settings = WorldSettings {
        neighbours: 1,
        served_namespace: Some("*".into()),
        ..settings()
    };
    World::start(settings).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_renewal_keeps_the_user_ready_and_says_so_until_the_token_expires_and_then_recovers() {
    let mut settings: WorldSettings = settings();
    settings.emulator.token_ttl = Some(Duration::from_secs(15));
    let world = World::start(settings).await.unwrap();
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.acs().inject(Fault::status(503).on(Operation::Issue));

    let alice = world.until_reason("alice", "RenewalDelayed").await.unwrap();
    assert_eq!(ready(&alice).unwrap().0, "True");
    assert_eq!(
        alice.status.as_ref().unwrap().conditions.len(),
        1,
        "nothing else: a health check must not fail"
    );
    assert!(message(&alice).contains("503"), "{}", message(&alice));

    let alice = world.until_reason("alice", "TokenExpired").await.unwrap();
    assert_eq!(ready(&alice).unwrap().0, "False");
    world.acs().clear_faults();
    world.until_reason("alice", "TokenIssued").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_acs_rejects_stalls_with_the_words_of_acs_and_without_a_loop() {
    let world = world().await;
    let words = r#"{"error":{"code":"ValidationError","message":"Scopes: the moon is full."}}"#;
    world
        .acs()
        .inject(Fault::respond(400, &[("content-type", "application/json")], words).on(Operation::Create));
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "InvalidRequest").await.unwrap();
    assert!(message(&alice).contains("ValidationError") && message(&alice).contains("the moon is full"));
    world.quiet().await;
    assert_eq!(world.calls().len(), 1);

    world.acs().clear_faults();
    world
        .patch("alice", json!({"spec": {"token": {"scopes": ["chat"]}}}))
        .await
        .unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_deletion_says_how_to_let_it_go_and_goes_when_acs_is_back() {
    let world = world().await;
    for name in ["alice", "bob"] {
        world
            .create(name, json!({"token": {"scopes": ["voip"]}}))
            .await
            .unwrap();
        world.until_reason(name, "TokenIssued").await.unwrap();
    }
    world.acs().inject(Fault::status(401).on(Operation::Delete));
    world.delete("alice").await.unwrap();
    world.delete("bob").await.unwrap();
    let alice = world.until_reason("alice", "DeletionBlocked").await.unwrap();
    let bob = world.until_reason("bob", "DeletionBlocked").await.unwrap();
    let way_out = format!("acs-operator.dev/abandon={}", identity(&alice).unwrap());
    assert!(message(&alice).contains(&way_out), "{}", message(&alice));
    let abandon = json!({"metadata": {"annotations": {"acs-operator.dev/abandon": identity(&alice).unwrap()}}});
    world.patch("alice", abandon).await.unwrap();
    world.until_gone("alice").await.unwrap();

    world.acs().clear_faults();
    world.until_gone("bob").await.unwrap();
    let left: Vec<_> = world
        .acs()
        .identities()
        .into_iter()
        .map(|identity| identity.id)
        .collect();
    assert_eq!(
        left,
        [identity(&alice).unwrap()],
        "the abandoned one is left, the other is gone: {bob:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_of_someone_else_is_never_touched_and_costs_no_call_after_call() {
    let world = world().await;
    let foreign: Secret = serde_json::from_value(json!({
        "metadata": {"name": "alice"}, "stringData": {"password": "correct horse"},
    }))
    .unwrap();
    world.secrets().create(&PostParams::default(), &foreign).await.unwrap();
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "SecretConflict").await.unwrap();
    assert!(message(&alice).contains("spec.secret.name"), "{}", message(&alice));
    world.quiet().await;
    assert_eq!(
        world.calls().len(),
        1,
        "one create, and then a look at the Secret before any call"
    );
    assert_eq!(world.secret_values("alice").await.unwrap()["password"], "correct horse");

    world.secrets().delete("alice", &DeleteParams::default()).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(world.acs().identities().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_secret_comes_back_with_a_valid_token_of_the_same_identity() {
    let world = world().await;
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    let uid = async || {
        Ok(world
            .secrets()
            .get_opt("alice")
            .await?
            .and_then(|secret| secret.metadata.uid))
    };
    let old = uid().await.unwrap();
    world.secrets().delete("alice", &DeleteParams::default()).await.unwrap();
    let back = async || uid().await.map(|new: Option<String>| new.is_some() && new != old);
    world.eventually("the Secret is not back", back).await.unwrap();
    let values = world.secret_values("alice").await.unwrap();
    assert_eq!(world.acs().token_state(&values["token"]), TokenState::Valid);
    assert_eq!(values["userId"], world.acs().identities()[0].id);
    assert_eq!(world.acs().identities().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_connection_users_are_told_both_ways_out() {
    let mut settings = settings();
    settings.connected = false;
    let world = World::start(settings).await.unwrap();
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "ConnectionNotFound").await.unwrap();
    let words = message(&alice);
    assert!(
        words.contains("ClusterCommunicationConnection") && words.contains("COMMUNICATION_SERVICES_CONNECTION_STRING"),
        "{words}"
    );
    // Nothing was begun, so nothing holds it.
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ref_is_not_found_and_a_namespace_outside_the_list_is_not_allowed() {
    let mut settings = settings();
    settings.served_namespace = Some("somewhere-else".into());
    let world = World::start(settings).await.unwrap();
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let reference = json!({"connectionRef": {"name": "contoso"}, "token": {"scopes": ["voip"]}});
    world.create("bob", reference).await.unwrap();
    let alice = world.until_reason("alice", "ConnectionNotAllowed").await.unwrap();
    assert!(message(&alice).contains("--default-connection-namespaces"));
    let bob = world.until_reason("bob", "ConnectionNotFound").await.unwrap();
    assert_eq!(
        bob.status.unwrap().connection.as_deref(),
        Some("CommunicationConnection/contoso")
    );
    assert!(world.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_tell_what_happened_and_neither_they_nor_status_nor_metrics_hold_a_secret() {
    let world = world().await;
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world
        .acs()
        .inject(Fault::cut_after_processing().on(Operation::Create).once());
    world
        .create("bob", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("bob", "TokenIssued").await.unwrap();

    let events: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    let reasons = async |of: &str| {
        let all = events.list(&ListParams::default()).await?;
        let about = all
            .into_iter()
            .filter(|e| e.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(of));
        anyhow::Ok(
            about
                .filter_map(|event| event.reason)
                .collect::<std::collections::BTreeSet<_>>(),
        )
    };
    let told = async || {
        let (alice, bob) = (reasons("alice").await?, reasons("bob").await?);
        Ok(alice.contains("IdentityCreated") && alice.contains("TokenIssued") && bob.contains("SuspectedOrphan"))
    };
    world.eventually("the events are not there", told).await.unwrap();

    let (_, metrics) = world.operator.get("/metrics").await.unwrap();
    let events = serde_json::to_string(&events.list(&ListParams::default()).await.unwrap()).unwrap();
    let users = serde_json::to_string(&world.users().list(&ListParams::default()).await.unwrap()).unwrap();
    for (what, text) in [("metrics", &metrics), ("events", &events), ("objects", &users)] {
        assert_eq!(world.leak_in(text), None, "{what}");
    }
    let secrets = serde_json::to_string(&world.secrets().list(&ListParams::default()).await.unwrap()).unwrap();
    assert!(
        world.leak_in(&secrets).is_some(),
        "the search finds a token where there is one"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_pause_that_acs_asks_for_is_told_and_no_user_is_ready_with_an_expired_token() {
    let mut settings: WorldSettings = settings();
    settings.emulator.token_ttl = Some(Duration::from_secs(15));
    let world = World::start(settings).await.unwrap();
    for name in ["alice", "bob"] {
        world
            .create(name, json!({"token": {"scopes": ["voip"]}}))
            .await
            .unwrap();
        world.until_reason(name, "TokenIssued").await.unwrap();
    }
    world
        .acs()
        .inject(Fault::throttled(Some("45")).on(Operation::Issue).once());
    for name in ["alice", "bob"] {
        let user = world.until_reason(name, "TokenExpired").await.unwrap();
        assert_eq!(ready(&user).unwrap().0, "False");
    }
    world
        .create("carol", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let carol = world.until_reason("carol", "Throttled").await.unwrap();
    assert!(message(&carol).contains("waits for its turn"), "{}", message(&carol));
}
