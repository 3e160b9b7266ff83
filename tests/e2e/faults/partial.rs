//! Calls or writes of one kind hang or fail: whoever needs others is served as ever.

use std::time::{Duration, Instant};

use acs_emulator::{Fault, Operation};
use acs_operator_testbed::{CEILING, Passed, Reply, World};
use serde_json::json;

use crate::alice::{annotate, until_renewed};
use crate::world;

/// More than there is room for calls through one connection.
const NEW: usize = 20;

/// So soon is done what a user asks for.
const SERVED_WITHIN: Duration = Duration::from_secs(5);

/// Alice with a token, and new users of whom none can be served.
async fn alice_and_new_users(world: &World, begin_fault: impl FnOnce(&World)) {
    let spec = json!({"token": {"scopes": ["voip"]}});
    world.create("alice", spec.clone()).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    begin_fault(world);
    for number in 0..NEW {
        world.create(&format!("new-{number}"), spec.clone()).await.unwrap();
    }
}

async fn alice_is_renewed(world: &World, request: &str) {
    let begun = Instant::now();
    annotate(world, "renew-requested-at", request).await;
    until_renewed(world, "alice", request).await;
    assert!(begun.elapsed() < SERVED_WITHIN, "{:?}", begun.elapsed());
}

fn creates(world: &World) -> usize {
    let calls = world.calls().into_iter();
    calls.filter(|call| call.operation == Operation::Create).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_creates_hang_other_calls_are_made_and_only_some_creates_are_under_way() {
    let world = world().await;
    let hang = |world: &World| {
        world
            .acs()
            .inject(Fault::delay(Duration::from_mins(10)).on(Operation::Create));
    };
    alice_and_new_users(&world, hang).await;
    let hits = || world.acs().faults()[0].hits;
    let some_hang = async || Ok(hits() >= 6);
    world.eventually("no creates hang", some_hang).await.unwrap();
    let last = format!("new-{}", NEW - 1);
    world.until_reason(&last, "ServiceUnavailable").await.unwrap();
    alice_is_renewed(&world, "now").await;
    // One more is tried now and then.
    assert!(hits() <= 7, "{}", hits());
    // Lets go what hangs.
    world.acs().clear_faults();
    for number in 0..NEW {
        world
            .until_reason(&format!("new-{number}"), "TokenIssued")
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_new_identities_cannot_be_recorded_few_are_made_and_others_are_served() {
    let world = world().await;
    let refuse = |world: &World| {
        let records: fn(&Passed) -> bool =
            |request| request.path.contains("/communicationusers/new-") && request.path.ends_with("/status");
        world.traffic.intercept(records, usize::MAX, Reply::Status(503));
    };
    alice_and_new_users(&world, refuse).await;
    let some_are_made = async || Ok(creates(&world) > 8);
    world.eventually("no identities are made", some_are_made).await.unwrap();
    // In this time the rate limits have permits for all of them.
    let begun = Instant::now();
    for request in 0.. {
        alice_is_renewed(&world, &request.to_string()).await;
        if begun.elapsed() > Duration::from_secs(6) {
            break;
        }
    }
    // Alice's, and those that were under way besides when there were too many.
    assert!(creates(&world) < NEW, "{}", creates(&world));
    world.traffic.let_pass();
    for number in 0..NEW {
        world
            .until_reason(&format!("new-{number}"), "TokenIssued")
            .await
            .unwrap();
    }
    assert_eq!(world.acs().identities().len(), 1 + NEW);
}

/// A permit is good for less time than such an answer takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_slowly_the_api_server_tells_of_secrets_tokens_are_renewed() {
    let world = world().await;
    let nobody_fails = |_: &World| {};
    alice_and_new_users(&world, nobody_fails).await;
    for number in 0..NEW {
        world
            .until_reason(&format!("new-{number}"), "TokenIssued")
            .await
            .unwrap();
    }
    world.quiet().await;
    let reads: fn(&Passed) -> bool =
        |request| request.method == http::Method::GET && request.path.contains("/secrets/new-");
    let late = Reply::Late(Duration::from_secs(4));
    world.traffic.disturb(reads, usize::MAX, late);
    let before = world.acs().last_call();
    for number in 0..NEW {
        let ask = json!({"spec": {"token": {"scopes": ["chat"]}}});
        world.patch(&format!("new-{number}"), ask).await.unwrap();
    }
    let all_are_renewed = async || Ok(world.resource.operations_since(before).len() >= NEW);
    world
        .eventually_within(CEILING, "tokens are not issued", all_are_renewed)
        .await
        .unwrap();
}
