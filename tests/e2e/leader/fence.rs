//! A leader that stood still, or cannot reach the API server, does nothing when it comes back: another may lead by then.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use acs_emulator::TokenState;
use acs_operator_testbed::{CEILING, Moment, Passed, Replica, Signal, World, identity};
use serde_json::json;
use tokio::time::sleep;

use super::{SHORT, pair, until_leads};

/// Stops the leader until the other leads and has done what `until_done` waits for; then lets it go on, and waits for its end, which is
/// not a good one. Returns what it sent to the API server after that, other than events.
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
    let mut sent = world.traffic.passed().split_off(before);
    sent.retain(|request| request.upstream == "Kubernetes");
    sent
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
    let sent = overslept(&mut world, &replica, until_done, || hold.release()).await;

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
    let (mut world, replica) = pair(SHORT).await;
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    let is_issue: fn(&Passed) -> bool = |request| request.path.ends_with(":issueAccessToken");
    let hold = world.traffic.hold(Moment::After, is_issue);
    let annotations = json!({"acs-operator.dev/renew-requested-at": "now"});
    world
        .patch("alice", json!({"metadata": {"annotations": annotations}}))
        .await
        .unwrap();
    hold.caught(CEILING).await.unwrap();
    let until_done = async |world: &World| {
        let is_handled = |user: &acs_operator::api::CommunicationUser| {
            let handled = user
                .status
                .as_ref()
                .and_then(|status| status.last_handled_renew_at.as_deref());
            handled == Some("now")
        };
        world.until("alice", "renewed", is_handled).await.unwrap();
    };
    let sent = overslept(&mut world, &replica, until_done, || hold.release()).await;

    assert_eq!(sent, [], "nothing");
    let values = world.secret_values("alice").await.unwrap();
    assert!(world.acs().token_state(&values["token"]) == TokenState::Valid);
    let secret = world.secrets().get("alice").await.unwrap();
    let status = world.users().get("alice").await.unwrap().status.unwrap();
    assert_eq!(
        secret.metadata.resource_version,
        status.secret.unwrap().resource_version
    );
    assert_eq!(world.acs().identities().len(), 1);
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
