//! The API server refuses what the operator writes: a quota that is used up, a policy. Whoever is concerned is told in its words, costs
//! neither tokens nor many requests meanwhile, and goes on by itself when the refusal ends.

use std::time::Duration;

use acs_emulator::Operation;
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{World, message, ready};
use k8s_openapi::api::{
    core::v1::{ResourceQuota, Secret},
    events::v1::Event,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::time::sleep;

use super::policy::{OPERATOR, Policy, WORDS};
use super::world_and_neighbour;
use crate::alice::{alice_in, annotate, calls, notes, until_renewed};

/// Long enough for a loop to show: tries come after 1, 2 and 4 seconds.
const WINDOW: Duration = Duration::from_secs(6);

/// More requests than some tries make, and far fewer than a loop does.
const SOME: usize = 24;

async fn neighbour_is_served(world: &World) {
    let neighbour = &world.neighbours[0];
    neighbour
        .create("bob", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    neighbour.until_reason("bob", "TokenIssued").await.unwrap();
    neighbour.delete("bob").await.unwrap();
    neighbour.until_gone("bob").await.unwrap();
}

/// How many requests there are while nothing happens but tries.
async fn assert_no_loop(world: &World) {
    let before = world.traffic.requests();
    sleep(WINDOW).await;
    let requests = world.traffic.requests() - before;
    assert!(
        requests < SOME,
        "{requests} in {WINDOW:?}:\n{}",
        world.operator.log_tail()
    );
}

/// Refuses writes to the users of a world or their status. There is a user named probe, whom nothing is done for.
async fn refuse_user_writes(world: &World, resource: &str) -> Policy {
    world.create("probe", json!({"suspend": true})).await.unwrap();
    world.until_reason("probe", "Suspended").await.unwrap();
    let is_status = resource.ends_with("status");
    let operator = world.control_plane.operator_client().await.unwrap();
    let attempt = async || {
        let users: Api<CommunicationUser> = Api::namespaced(operator.clone(), &world.namespace);
        let params = PatchParams::default().dry_run();
        let (label, word) = (
            json!({"metadata": {"labels": {"a": "b"}}}),
            json!({"status": {"connection": "x"}}),
        );
        let written = if is_status {
            users.patch_status("probe", &params, &Patch::Merge(word)).await
        } else {
            users.patch("probe", &params, &Patch::Merge(label)).await
        };
        written.map(drop)
    };
    Policy::refuse(
        world,
        &world.namespace,
        OPERATOR,
        ("acs-operator.dev", resource, "UPDATE"),
        attempt,
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_is_used_up_is_told_and_costs_no_token_until_there_is_room() {
    let world = world_and_neighbour().await;
    let quotas: Api<ResourceQuota> = Api::namespaced(world.client.clone(), &world.namespace);
    let quota = json!({"metadata": {"name": "tight"}, "spec": {"hard": {"count/secrets": "0"}}});
    let quota = serde_json::from_value(quota).unwrap();
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    let is_counted = async || {
        Ok(quotas
            .get("tight")
            .await?
            .status
            .is_some_and(|status| status.used.is_some()))
    };
    world.eventually("nothing is counted", is_counted).await.unwrap();

    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let told = |user: &CommunicationUser| message(user).contains("exceeded quota: tight");
    let alice = world.until("alice", "told", told).await.unwrap();
    assert_eq!(ready(&alice).unwrap(), ("False".into(), "Progressing".into()));
    neighbour_is_served(&world).await;
    assert_no_loop(&world).await;
    assert_eq!(calls_for_alice(&world).await, [Operation::Create]);
    quotas.delete("tight", &DeleteParams::default()).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(calls_for_alice(&world).await, [Operation::Create, Operation::Issue]);
}

async fn calls_for_alice(world: &World) -> Vec<Operation> {
    let alice = world.users().get("alice").await.unwrap();
    let id = acs_operator_testbed::identity(&alice);
    let calls = world.calls().into_iter().filter(|call| call.identity == id);
    calls.map(|call| call.operation).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_may_not_be_changed_delays_the_renewal_and_costs_one_token_until_it_may() {
    let world = world_and_neighbour().await;
    alice_in(&world).await;
    let operator = world.control_plane.operator_client().await.unwrap();
    let attempt = async || {
        let secrets: Api<Secret> = Api::namespaced(operator.clone(), &world.namespace);
        let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
        secrets
            .patch("alice", &PatchParams::default().dry_run(), &label)
            .await
            .map(drop)
    };
    let policy = Policy::refuse(&world, &world.namespace, OPERATOR, ("", "secrets", "UPDATE"), attempt).await;
    annotate(&world, "renew-requested-at", "now").await;
    let alice = world.until_reason("alice", "RenewalDelayed").await.unwrap();
    assert_eq!(ready(&alice).unwrap().0, "True", "its token is valid");
    assert!(message(&alice).contains(WORDS), "{}", message(&alice));
    // Another Secret may be made.
    world
        .create("carol", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("carol", "TokenIssued").await.unwrap();
    assert_no_loop(&world).await;
    assert_eq!(calls_for_alice(&world).await, [Operation::Create, Operation::Issue]);
    policy.lift().await;
    until_renewed(&world, "alice", "now").await;
    assert_eq!(
        calls_for_alice(&world).await,
        [Operation::Create, Operation::Issue, Operation::Issue]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_may_not_be_written_costs_a_new_user_one_identity_which_is_deleted_again() {
    let world = world_and_neighbour().await;
    let policy = refuse_user_writes(&world, "communicationusers/status").await;
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let told = async || {
        Ok(notes(&world, "WriteRefused")
            .await?
            .iter()
            .any(|note| note.contains(WORDS)))
    };
    world.eventually("no event tells", told).await.unwrap();
    neighbour_is_served(&world).await;
    assert_no_loop(&world).await;
    let of_neighbour = 2;
    assert_eq!(world.calls().len(), of_neighbour + 2, "{:#?}", world.calls());
    assert_eq!(world.acs().identities(), []);
    policy.lift().await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(world.acs().identities().len(), 1);
    assert_eq!(world.calls().len(), of_neighbour + 3, "{:#?}", world.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_may_not_be_written_keeps_no_token_from_its_secret() {
    let world = world_and_neighbour().await;
    alice_in(&world).await;
    let before = world.secret_values("alice").await.unwrap();
    let policy = refuse_user_writes(&world, "communicationusers/status").await;
    annotate(&world, "renew-requested-at", "now").await;
    let renewed = async || Ok(world.secret_values("alice").await?["token"] != before["token"]);
    world.eventually("the token is the old one", renewed).await.unwrap();
    assert_no_loop(&world).await;
    assert_eq!(calls(&world), [Operation::Issue]);
    policy.lift().await;
    until_renewed(&world, "alice", "now").await;
    assert_eq!(calls(&world), [Operation::Issue]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_may_not_be_changed_says_so_before_anything_is_made_for_it() {
    let world = world_and_neighbour().await;
    let policy = refuse_user_writes(&world, "communicationusers").await;
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let told = |user: &CommunicationUser| message(user).contains(WORDS);
    let alice = world.until("alice", "told", told).await.unwrap();
    assert_eq!(ready(&alice).unwrap(), ("False".into(), "Progressing".into()));
    assert_no_loop(&world).await;
    assert!(world.calls().is_empty());
    neighbour_is_served(&world).await;
    policy.lift().await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_may_not_be_let_go_says_so_and_goes_when_it_may() {
    let world = world_and_neighbour().await;
    alice_in(&world).await;
    let policy = refuse_user_writes(&world, "communicationusers").await;
    world.delete("alice").await.unwrap();
    let told = |user: &CommunicationUser| message(user).contains(WORDS);
    let alice = world.until("alice", "told", told).await.unwrap();
    assert_eq!(ready(&alice).unwrap().0, "False");
    assert_eq!(world.acs().identities(), [], "nothing else is left of it");
    assert_no_loop(&world).await;
    assert_eq!(calls(&world), [Operation::Delete]);
    policy.lift().await;
    world.until_gone("alice").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_may_not_be_written_are_missed_by_nobody_but_their_readers() {
    let world = world_and_neighbour().await;
    let operator = world.control_plane.operator_client().await.unwrap();
    let attempt = async || {
        let events: Api<Event> = Api::namespaced(operator.clone(), &world.namespace);
        let event = json!({
            "metadata": {"name": "probe"}, "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "Probe",
            "action": "Probe", "reportingController": "a-test", "reportingInstance": "a-test",
            "regarding": {"kind": "Namespace", "name": world.namespace, "namespace": world.namespace},
        });
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        events
            .create(&params, &serde_json::from_value(event).unwrap())
            .await
            .map(drop)
    };
    let policy = Policy::refuse(
        &world,
        &world.namespace,
        OPERATOR,
        ("events.k8s.io", "events", "CREATE"),
        attempt,
    )
    .await;
    let before = world.traffic.requests();
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_no_loop(&world).await;
    let requests = world.traffic.requests() - before;
    assert!(requests < 2 * SOME, "{requests}");
    assert_eq!(notes(&world, "TokenIssued").await.unwrap(), Vec::<String>::new());
    policy.lift().await;
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
}
