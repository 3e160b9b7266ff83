//! Others act while the operator does, the API server refuses a write, or its answer is lost.

use std::time::Duration;

use acs_emulator::{Fault, Operation};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{CEILING, Hold, Matcher, Moment, Passed, Reply, World, identity, message};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::alice::until_renewed;
use crate::world;

/// An outage of status writes that is longer than any patience of the operator between two tries of a write.
const OUTAGE: Duration = Duration::from_secs(20);

/// Mutating requests of an undisturbed create: announcement, create, record, Secret, status.
const REQUESTS_OF_A_CREATE: usize = 5;

fn is_create(request: &Passed) -> bool {
    request.upstream == "ACS" && request.path == "/identities"
}

fn is_announcement(request: &Passed) -> bool {
    request.path.contains("/communicationusers/") && !request.path.ends_with("/status")
}

fn is_secret_write(request: &Passed) -> bool {
    request.path.contains("/secrets/")
}

const WRITES: [(&str, Matcher); 3] = [
    ("the announcement", is_announcement),
    ("the record of the id", Passed::is_status_of_user),
    ("the Secret", is_secret_write),
];

async fn begin(world: &World, name: &str) {
    world
        .create(name, json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
}

/// A user named alice whose request of this kind is held up.
async fn alice_held_at(world: &World, moment: Moment, matcher: Matcher) -> Hold {
    let hold = world.traffic.hold(moment, matcher);
    begin(world, "alice").await;
    hold.caught(CEILING).await.unwrap();
    hold
}

async fn label(world: &World) {
    let labels = json!({"metadata": {"labels": {"seen-by": "a-scanner"}}});
    world.patch("alice", labels).await.unwrap();
}

async fn vanish(world: &World) {
    world
        .patch("alice", json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
}

fn operations(world: &World) -> Vec<Operation> {
    world.calls().into_iter().map(|call| call.operation).collect()
}

fn ids_in_acs(world: &World) -> Vec<String> {
    world
        .acs()
        .identities()
        .into_iter()
        .map(|identity| identity.id)
        .collect()
}

fn orphans(user: &CommunicationUser) -> Option<i32> {
    user.status.as_ref()?.identity.as_ref()?.suspected_orphans
}

/// How many orphans the metric counts.
async fn suspected(world: &World) -> String {
    let metric = world.operator.metric("acs_operator_suspected_orphans_total").await;
    metric.unwrap().to_string()
}

/// Waits until alice is Ready and the operator has nothing to do, and checks that her identity is the only one that there
/// is.
async fn settled(world: &World, context: &str) -> CommunicationUser {
    let alice = world
        .until_reason("alice", "TokenIssued")
        .await
        .unwrap_or_else(|error| panic!("{context}: {error:#}"));
    world.quiet().await;
    let id = identity(&alice).unwrap();
    assert_eq!(ids_in_acs(world), std::slice::from_ref(&id), "{context}");
    let secret = world.secret_values("alice").await.unwrap();
    assert_eq!(secret["userId"], id, "{context}");
    alice
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_added_while_the_identity_is_created_costs_one_more_write_and_no_call() {
    let world = world().await;
    let hold = alice_held_at(&world, Moment::After, is_create).await;
    label(&world).await;
    hold.release();
    let alice = settled(&world, "").await;
    assert_eq!(orphans(&alice), None);
    assert_eq!(operations(&world), [Operation::Create]);
    assert_eq!(world.traffic.passed().len(), REQUESTS_OF_A_CREATE + 1);
    assert_eq!(alice.metadata.labels.unwrap()["seen-by"], "a-scanner");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_changed_while_the_identity_is_created_give_its_token_those_scopes() {
    let world = world().await;
    let hold = alice_held_at(&world, Moment::After, is_create).await;
    world
        .patch("alice", json!({"spec": {"token": {"scopes": ["chat"]}}}))
        .await
        .unwrap();
    hold.release();
    let alice = settled(&world, "").await;
    assert_eq!(orphans(&alice), None);
    assert_eq!(operations(&world), [Operation::Create, Operation::Issue]);
    let scopes = alice.status.unwrap().token.unwrap().scopes;
    assert_eq!(serde_json::to_value(scopes).unwrap(), json!(["chat"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_deleted_while_its_identity_is_created_takes_it_along() {
    let world = world().await;
    let hold = alice_held_at(&world, Moment::After, is_create).await;
    world.delete("alice").await.unwrap();
    hold.release();
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identities().is_empty());
    assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
    assert_eq!(operations(&world), [Operation::Create, Operation::Delete]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_vanishes_while_its_identity_is_created_leaves_no_identity() {
    let world = world().await;
    let hold = alice_held_at(&world, Moment::After, is_create).await;
    vanish(&world).await;
    hold.release();
    world
        .eventually(
            "the identity is still there",
            async || Ok(ids_in_acs(&world).is_empty()),
        )
        .await
        .unwrap();
    world.quiet().await;
    assert_eq!(operations(&world), [Operation::Create, Operation::Delete]);
    assert_eq!(suspected(&world).await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_vanishes_while_acs_is_away_leaves_no_identity() {
    let world = world().await;
    let hold = alice_held_at(&world, Moment::After, is_create).await;
    world.acs().inject(Fault::status(503).on(Operation::Delete).times(2));
    vanish(&world).await;
    hold.release();
    world
        .eventually(
            "the identity is still there",
            async || Ok(ids_in_acs(&world).is_empty()),
        )
        .await
        .unwrap();
    assert_eq!(suspected(&world).await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_acs_refuses_to_delete_is_counted_although_its_user_vanished() {
    let world = world().await;
    let hold = alice_held_at(&world, Moment::After, is_create).await;
    world.acs().inject(Fault::status(401).on(Operation::Delete));
    vanish(&world).await;
    hold.release();
    world
        .eventually("none is counted", async || Ok(suspected(&world).await == "1"))
        .await
        .unwrap();
    world.quiet().await;
    assert_eq!(suspected(&world).await, "1", "it is counted once");
    assert_eq!(operations(&world), [Operation::Create, Operation::Delete]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_recreated_while_its_namesakes_identity_is_created_gets_one_of_its_own() {
    let world = world().await;
    let hold = alice_held_at(&world, Moment::After, is_create).await;
    let first = ids_in_acs(&world);
    vanish(&world).await;
    begin(&world, "alice").await;
    hold.release();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world
        .eventually("the first identity is still there", async || {
            Ok(!ids_in_acs(&world).contains(&first[0]))
        })
        .await
        .unwrap();
    let alice = settled(&world, "").await;
    assert_eq!(orphans(&alice), None);
    assert_ne!(identity(&alice).as_ref(), first.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_between_a_look_and_a_write_costs_one_more_write_and_no_call() {
    for (what, matcher) in [WRITES[0], WRITES[1]] {
        let world = world().await;
        let hold = alice_held_at(&world, Moment::Before, matcher).await;
        label(&world).await;
        hold.release();
        let alice = settled(&world, what).await;
        assert_eq!(orphans(&alice), None, "{what}");
        assert_eq!(operations(&world), [Operation::Create], "{what}");
        assert_eq!(world.traffic.passed().len(), REQUESTS_OF_A_CREATE + 1, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_edited_while_its_token_is_renewed_gets_that_token() {
    let world = world().await;
    begin(&world, "alice").await;
    settled(&world, "before").await;
    let hold = world.traffic.hold(Moment::Before, is_secret_write);
    let request = json!({"metadata": {"annotations": {"acs-operator.dev/renew-requested-at": "now"}}});
    world.patch("alice", request).await.unwrap();
    hold.caught(CEILING).await.unwrap();
    let edit: Patch<Value> = Patch::Merge(json!({"metadata": {"labels": {"seen-by": "a-scanner"}}}));
    world
        .secrets()
        .patch("alice", &PatchParams::default(), &edit)
        .await
        .unwrap();
    hold.release();
    until_renewed(&world, "alice", "now").await;
    settled(&world, "renewed").await;
    assert_eq!(operations(&world), [Operation::Create, Operation::Issue]);
    let labels = world.secrets().get("alice").await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels["seen-by"], "a-scanner");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_of_the_object_that_conflicts_once_is_repeated_without_a_call() {
    for (what, matcher) in [WRITES[0], WRITES[1]] {
        let world = world().await;
        world.traffic.intercept(matcher, 1, Reply::Status(409));
        begin(&world, "alice").await;
        let alice = settled(&world, what).await;
        assert_eq!(world.traffic.intercepted(), 1, "{what}");
        assert_eq!(orphans(&alice), None, "{what}");
        assert_eq!(operations(&world), [Operation::Create], "{what}");
        // The write again, and a word about it where that takes a moment.
        let more = world.traffic.passed().len() - REQUESTS_OF_A_CREATE;
        assert!((1..=2).contains(&more), "{what}: {more}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_conflicts_with_nothing_is_written_later_with_a_token_of_the_same_identity() {
    let world = world().await;
    world.traffic.intercept(is_secret_write, 1, Reply::Status(409));
    begin(&world, "alice").await;
    let alice = settled(&world, "").await;
    assert_eq!(world.traffic.intercepted(), 1);
    assert_eq!(orphans(&alice), None);
    // No token is kept in memory while the operator waits.
    assert_eq!(operations(&world), [Operation::Create, Operation::Issue]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_whose_user_may_not_be_read_is_recorded_all_the_same_and_the_log_tells_once() {
    let is_read = |request: &Passed| request.method == "GET" && request.path.contains("/communicationusers/alice");
    // The user was changed, the answer is lost, or the API server fails.
    for reply in [None, Some(Reply::LoseAnswer), Some(Reply::Status(503))] {
        let context = format!("{reply:?}");
        let world = world().await;
        world.traffic.disturb(is_read, usize::MAX, Reply::Status(403));
        let hold = alice_held_at(&world, Moment::After, is_create).await;
        match reply {
            None => label(&world).await,
            Some(reply) => world.traffic.intercept(Passed::is_status_of_user, 1, reply),
        }
        hold.release();
        let alice = settled(&world, &context).await;
        assert_eq!(orphans(&alice), None, "{context}");
        let calls = operations(&world);
        let creates = calls.iter().filter(|call| **call == Operation::Create).count();
        assert_eq!(creates, 1, "{context}: {calls:?}");
        let log = world.operator.log();
        assert_eq!(
            log.matches("is recorded by what the watch tells").count(),
            1,
            "{context}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_the_api_server_refuses_to_record_is_deleted_and_another_one_made() {
    let world = world().await;
    world
        .traffic
        .intercept(Passed::is_status_of_user, 1, Reply::Status(403));
    begin(&world, "alice").await;
    let alice = settled(&world, "").await;
    assert_eq!(orphans(&alice), None);
    assert_eq!(
        operations(&world),
        [Operation::Create, Operation::Delete, Operation::Create]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_always_conflict_are_tried_in_bounded_numbers_and_others_are_served_meanwhile() {
    let world = world().await;
    let of_alice: Matcher = |request| is_announcement(request) && request.path.ends_with("/alice");
    world.traffic.intercept(of_alice, usize::MAX, Reply::Status(409));
    let since = tokio::time::Instant::now();
    begin(&world, "alice").await;
    let told =
        |user: &CommunicationUser| message(user).contains("as a conflict, although the object is as it was seen");
    world.until("alice", "told", told).await.unwrap();
    let tried_again = async || Ok(world.traffic.intercepted() >= 4);
    world
        .eventually("the announcement is not tried again", tried_again)
        .await
        .unwrap();
    assert!(
        since.elapsed() > Duration::from_secs(3),
        "{} tries took {:?}",
        world.traffic.intercepted(),
        since.elapsed()
    );
    begin(&world, "bob").await;
    world.until_reason("bob", "TokenIssued").await.unwrap();
    world.traffic.let_pass();
    world.delete("bob").await.unwrap();
    world.until_gone("bob").await.unwrap();
    settled(&world, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_of_a_connection_that_always_conflict_are_tried_at_leisure_until_they_come_through() {
    let world = world().await;
    let values = [("connectionString", &*world.acs().connection_string())];
    world.put_credential("acs", &values).await.unwrap();
    let is_of_connection = |request: &Passed| request.path.contains("/communicationconnections/");
    world
        .traffic
        .intercept(is_of_connection, usize::MAX, Reply::Status(409));
    let auth = json!({"connectionString": {"secretRef": {"name": "acs"}}});
    let since = tokio::time::Instant::now();
    world.connect("contoso", json!({"auth": auth})).await.unwrap();
    let tried_again = async || Ok(world.traffic.intercepted() >= 3);
    world.eventually("nothing is tried again", tried_again).await.unwrap();
    assert!(since.elapsed() > Duration::from_secs(2), "{:?}", since.elapsed());
    world.traffic.let_pass();
    world
        .until_connection_reason("contoso", "CredentialAccepted")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_conflicts_with_nothing_is_written_again_at_leisure() {
    let world = world().await;
    world
        .traffic
        .intercept(Passed::is_status_of_user, 5, Reply::Status(409));
    let since = tokio::time::Instant::now();
    begin(&world, "alice").await;
    let alice = settled(&world, "").await;
    assert!(since.elapsed() > Duration::from_secs(5), "{:?}", since.elapsed());
    assert_eq!(orphans(&alice), None);
    let calls = operations(&world);
    assert_eq!(
        calls.iter().filter(|call| **call == Operation::Create).count(),
        1,
        "{calls:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_is_found_out_and_there_is_one_identity() {
    for (what, matcher) in WRITES {
        let world = world().await;
        world.traffic.intercept(matcher, 1, Reply::LoseAnswer);
        begin(&world, "alice").await;
        let alice = settled(&world, what).await;
        assert_eq!(world.traffic.intercepted(), 1, "{what}");
        assert_eq!(
            orphans(&alice),
            None,
            "{what}: nothing was sent to ACS that nobody answered"
        );
        let calls = operations(&world);
        let creates = calls.iter().filter(|call| **call == Operation::Create).count();
        assert!(creates == 1 && calls.len() <= 2, "{what}: {calls:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_outlasts_an_outage_of_status_writes_after_its_creation() {
    let world = world().await;
    let hold = alice_held_at(&world, Moment::After, is_create).await;
    world
        .traffic
        .intercept(Passed::is_status_of_user, usize::MAX, Reply::Status(503));
    hold.release();
    // The length of the outage is what is tested, so there is no condition to wait for.
    tokio::time::sleep(OUTAGE).await;
    assert!(world.traffic.intercepted() > 1, "there was an outage");
    world.traffic.let_pass();
    let alice = settled(&world, "").await;
    assert_eq!(orphans(&alice), None);
    let calls = operations(&world);
    let lasting = calls
        .iter()
        .all(|call| matches!(call, Operation::Create | Operation::Issue));
    let creates = calls.iter().filter(|call| **call == Operation::Create).count();
    assert!(lasting && creates == 1, "{calls:?}");
}
