//! A leader that stood still, or cannot reach the API server, does nothing when it comes back: another may lead by then.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use acs_emulator::{Operation, TokenState};
use acs_operator::api::names::finalizer;
use acs_operator_testbed::{CEILING, Moment, Passed, Replica, Signal, World, identity};
use serde_json::json;
use tokio::time::sleep;

use super::{SHORT, pair, until_leads};
use crate::alice::{alice_in, annotate, status, until_renewed, until_revoked};

/// Stops the leader until the other leads and has done what `until_done` waits for; then lets it go on, and waits for its end, which is
/// not a good one. Returns what it sent to the API server or to ACS after that, other than events and probes.
async fn overslept(
    world: &mut World,
    replica: &Replica,
    until_done: impl AsyncFnOnce(&World),
    on_waking: impl FnOnce(),
) -> Vec<Passed> {
    world.operator.signal(Signal::SIGSTOP).unwrap();
    until_leads(&replica.operator, CEILING).await;
    until_done(world).await;
    on_waking();
    let before = world.traffic.passed().len();
    world.operator.signal(Signal::SIGCONT).unwrap();
    let ended = world.operator.ended(CEILING).await.unwrap();
    assert_eq!(ended.code(), Some(1), "{}", world.operator.log_tail());
    let log = world.operator.log();
    assert!(
        log.contains("stops working, and ends to start anew as one that stands by"),
        "{}",
        world.operator.log_tail()
    );
    assert!(replica.operator.leads().await.unwrap());
    world.traffic.passed().split_off(before)
}

/// Alice, with a token, and nothing under way.
async fn alice_and_a_pair() -> (World, Replica) {
    let (world, replica) = pair(SHORT).await;
    alice_in(&world).await;
    (world, replica)
}

/// Alice has one identity, the recorded one, and in her Secret is a valid token of it, which is the recorded one too.
async fn alice_is_well(world: &World) {
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    let id = identity(&alice).unwrap();
    let alive: Vec<_> = world.acs().identities().into_iter().map(|alive| alive.id).collect();
    assert_eq!(alive, std::slice::from_ref(&id));
    let values = world.secret_values("alice").await.unwrap();
    assert_eq!(values["userId"], id);
    assert!(world.acs().token_state(&values["token"]) == TokenState::Valid);
    let secret = world.secrets().get("alice").await.unwrap();
    let recorded = status(&alice).secret.as_ref().unwrap();
    assert_eq!(secret.metadata.resource_version, recorded.resource_version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_while_a_create_is_answered_it_leaves_no_identity_that_is_not_recorded_or_counted() {
    let (mut world, replica) = pair(SHORT).await;
    let is_create: fn(&Passed) -> bool = |request| request.upstream == "ACS" && request.path.ends_with("/identities");
    let hold = world.traffic.hold(Moment::After, is_create);
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    hold.caught(CEILING).await.unwrap();
    let until_done = async |world: &World| {
        world.until_reason("alice", "TokenIssued").await.unwrap();
    };
    let mut sent = overslept(&mut world, &replica, until_done, || hold.release()).await;

    sent.retain(|request| request.upstream == "Kubernetes");
    assert!(
        sent.iter().all(|request| request.path.ends_with("/alice/status")),
        "it may record the id, and nothing else: {sent:?}"
    );
    let user = world.until_reason("alice", "TokenIssued").await.unwrap();
    let counted = user
        .status
        .as_ref()
        .unwrap()
        .identity
        .as_ref()
        .unwrap()
        .suspected_orphans;
    assert_eq!(counted, Some(1), "nobody could know what would become of the first");
    let alive: BTreeSet<_> = world.acs().identities().into_iter().map(|alive| alive.id).collect();
    let recorded: BTreeSet<_> = identity(&user).into_iter().collect();
    assert_eq!(alive, recorded, "the one that could not be recorded is deleted again");
    let token = world.secret_values("alice").await.unwrap()["token"].clone();
    assert!(world.acs().token_state(&token) == TokenState::Valid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_between_issue_and_secret_it_writes_no_old_token_back() {
    let (mut world, replica) = alice_and_a_pair().await;
    let is_issue: fn(&Passed) -> bool = |request| request.path.ends_with(":issueAccessToken");
    let hold = world.traffic.hold(Moment::After, is_issue);
    annotate(&world, "renew-requested-at", "now").await;
    hold.caught(CEILING).await.unwrap();
    let until_done = async |world: &World| {
        until_renewed(world, "alice", "now").await;
    };
    let sent = overslept(&mut world, &replica, until_done, || hold.release()).await;

    assert_eq!(sent, [], "nothing");
    alice_is_well(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_write_of_a_token_that_arrives_after_that_of_the_next_leader_changes_nothing() {
    let (mut world, replica) = alice_and_a_pair().await;
    let is_secret_write: fn(&Passed) -> bool = |request| request.path.contains("/secrets/alice");
    let hold = world.traffic.hold(Moment::Before, is_secret_write);
    annotate(&world, "renew-requested-at", "now").await;
    hold.caught(CEILING).await.unwrap();
    let until_done = async |world: &World| {
        until_renewed(world, "alice", "now").await;
    };
    let sent = overslept(&mut world, &replica, until_done, || hold.release()).await;

    assert_eq!(sent, [], "nothing more");
    alice_is_well(&world).await;
    let newest = world.acs().tokens().into_iter().map(|token| token.issued_at).max();
    let token = world.secret_values("alice").await.unwrap()["token"].clone();
    assert_eq!(world.acs().token(&token).map(|token| token.issued_at), newest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_before_a_revocation_it_does_not_revoke_what_the_next_leader_has_issued() {
    let (mut world, replica) = alice_and_a_pair().await;
    let (old, before) = (
        world.secret_values("alice").await.unwrap()["token"].clone(),
        world.acs().last_call(),
    );
    let is_announcement: fn(&Passed) -> bool = |request| request.path.ends_with("/alice/status");
    let hold = world.traffic.hold(Moment::After, is_announcement);
    annotate(&world, "revoke-requested-at", "now").await;
    hold.caught(CEILING).await.unwrap();
    let until_done = async |world: &World| {
        until_revoked(world, "alice", "now").await;
    };
    let sent = overslept(&mut world, &replica, until_done, || hold.release()).await;

    assert_eq!(sent, [], "nothing");
    let calls = world.resource.operations_since(before);
    assert_eq!(calls, [Operation::Revoke, Operation::Issue]);
    assert!(world.acs().token_state(&old) == TokenState::Revoked);
    alice_is_well(&world).await;
}

/// Another object has the name by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_before_it_takes_the_finalizer_off_it_takes_off_none_of_a_namesake() {
    let (mut world, replica) = alice_and_a_pair().await;
    let before = world.acs().last_call();
    let is_release: fn(&Passed) -> bool = |request| request.path.ends_with("/communicationusers/alice");
    let hold = world.traffic.hold(Moment::Before, is_release);
    world.delete("alice").await.unwrap();
    hold.caught(CEILING).await.unwrap();
    let mut namesake = None;
    let until_done = async |world: &World| {
        world.until_gone("alice").await.unwrap();
        alice_in(world).await;
        namesake = Some(world.users().get("alice").await.unwrap());
    };
    let sent = overslept(&mut world, &replica, until_done, || hold.release()).await;

    assert_eq!(sent, [], "nothing more");
    let alice = world.users().get("alice").await.unwrap();
    assert_eq!(
        alice.metadata.finalizers.as_deref(),
        Some(&[finalizer::IDENTITY.to_owned()][..])
    );
    // Nor was it taken off and put back.
    assert_eq!(
        alice.metadata.resource_version,
        namesake.unwrap().metadata.resource_version
    );
    alice_is_well(&world).await;
    // Neither leader can know that the other deletes the identity too.
    let calls = world.resource.operations_since(before);
    assert_eq!(calls, [Operation::Delete, Operation::Delete, Operation::Create]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_the_api_server_the_leader_gives_up_before_another_begins() {
    let (mut world, replica) = pair(SHORT).await;
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    let cut = Instant::now();
    world.gate.cut();
    let mut gave_up = None;
    while !replica.operator.leads().await.unwrap() {
        let leads = world.operator.leads().await.unwrap_or_default();
        if !leads && gave_up.is_none() {
            gave_up = Some(cut.elapsed());
        }
        assert!(cut.elapsed() < CEILING, "nobody takes over");
        sleep(Duration::from_millis(5)).await;
    }
    println!(
        "cut off, of a lease of {SHORT:?}: gave up after {gave_up:?}, followed after {:?}",
        cut.elapsed()
    );
    assert!(gave_up.is_some(), "both led at the same time");
    let ended = world.operator.ended(CEILING).await.unwrap();
    assert_eq!(ended.code(), Some(1));
    let log = world.operator.log();
    assert!(
        log.contains("was not renewed soon enough: no answer in time"),
        "{}",
        world.operator.log_tail()
    );
    // The new one works.
    world
        .create("bob", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("bob", "TokenIssued").await.unwrap();
}
