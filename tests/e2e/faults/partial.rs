//! Calls or writes of one kind hang or fail: whoever needs others is served as ever.

use std::time::{Duration, Instant};

use acs_emulator::{Fault, Operation, TokenState};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{CEILING, Passed, Reply, World, message};
use kube::api::ListParams;
use serde_json::json;

use super::world_and_neighbour;
use crate::alice::{alice_in, annotate, annotate_user, until_renewed, until_revoked};
use crate::world;

/// More than there is room for calls through one connection.
const NEW: usize = 20;

/// Much more than it takes, for the sake of a busy machine, and nowhere near the end of what hangs.
const SOON: Duration = Duration::from_secs(20);

/// Alice with a token, and new users of whom none can be served.
async fn alice_and_new_users(world: &World, begin_fault: impl FnOnce(&World)) {
    let spec = json!({"token": {"scopes": ["voip"]}});
    world.create("alice", spec.clone()).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    begin_fault(world);
    // One after the other, so that the last one is behind all others.
    for number in 0..NEW {
        world.create(&format!("new-{number}"), spec.clone()).await.unwrap();
    }
}

async fn alice_is_renewed(world: &World, request: &str) {
    let begun = Instant::now();
    annotate(world, "renew-requested-at", request).await;
    until_renewed(world, "alice", request).await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
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
async fn while_calls_of_any_one_kind_hang_a_new_user_is_served_and_who_waits_is_told() {
    let world = world().await;
    for operation in [Operation::Issue, Operation::Revoke, Operation::Delete] {
        let prefix = operation.to_string().to_lowercase();
        let name = |number: usize| format!("{prefix}-{number}");
        let spec = json!({"token": {"scopes": ["voip"]}});
        world.create_many(&prefix, NEW, &spec).await.unwrap();
        for number in 0..NEW {
            world.until_reason(&name(number), "TokenIssued").await.unwrap();
        }
        world.acs().inject(Fault::delay(Duration::from_mins(10)).on(operation));
        for number in 0..NEW {
            match operation {
                Operation::Issue => annotate_user(&world, &name(number), "renew-requested-at", "now").await,
                Operation::Revoke => annotate_user(&world, &name(number), "revoke-requested-at", "now").await,
                _ => world.delete(&name(number)).await.unwrap(),
            }
        }
        let hits = || world.acs().faults()[0].hits;
        let some_hang = async || Ok(hits() >= 8);
        world.eventually("no calls hang", some_hang).await.unwrap();
        let begun = Instant::now();
        let newcomer = format!("newcomer-{prefix}");
        world.create(&newcomer, spec).await.unwrap();
        world.until_reason(&newcomer, "TokenIssued").await.unwrap();
        assert!(begun.elapsed() < SOON, "{operation}: {:?}", begun.elapsed());
        let is_told = |user: &CommunicationUser| message(user).contains("are still without an answer");
        let somebody_is_told = async || Ok(world.users().list(&ListParams::default()).await?.iter().any(is_told));
        world.eventually("nobody is told", somebody_is_told).await.unwrap();
        // Lets go what hangs.
        world.acs().clear_faults();
        for number in 0..NEW {
            match operation {
                Operation::Issue => drop(until_renewed(&world, &name(number), "now").await),
                Operation::Revoke => drop(until_revoked(&world, &name(number), "now").await),
                _ => world.until_gone(&name(number)).await.unwrap(),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_new_identities_cannot_be_recorded_few_are_made_and_others_are_served() {
    const HERD: usize = 60;
    let world = world_and_neighbour().await;
    let spec = json!({"token": {"scopes": ["voip"]}});
    world.create("alice", spec.clone()).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    let records = |request: &Passed| request.is_status_of_user() && request.path.contains("/new-");
    world.traffic.intercept(records, usize::MAX, Reply::Status(503));
    world.create_many("new", HERD, &spec).await.unwrap();
    let some_are_made = async || Ok(world.resource.count(Operation::Create) > 8);
    world.eventually("no identities are made", some_are_made).await.unwrap();
    // In this time the rate limits have permits for all of them.
    let begun = Instant::now();
    for request in 0.. {
        alice_is_renewed(&world, &request.to_string()).await;
        if begun.elapsed() > Duration::from_secs(10) {
            break;
        }
    }
    let asked = Instant::now();
    world.neighbours[0].create("bob", spec.clone()).await.unwrap();
    world.neighbours[0].until_reason("bob", "TokenIssued").await.unwrap();
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    world.create("carol", spec).await.unwrap();
    let is_told = |user: &CommunicationUser| message(user).starts_with("The create waits: the ids of identities");
    world.until("carol", "told what it waits for", is_told).await.unwrap();
    // Alice's and bob's, and those that were made before the first of them had waited for long.
    assert!(
        world.resource.count(Operation::Create) < HERD,
        "{}",
        world.resource.count(Operation::Create)
    );
    world.traffic.let_pass();
    world.until_reason("carol", "TokenIssued").await.unwrap();
    for number in 0..HERD {
        world
            .until_reason(&format!("new-{number}"), "TokenIssued")
            .await
            .unwrap();
    }
    assert_eq!(world.acs().identities().len(), HERD + 3);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_whose_secret_cannot_be_read_says_so_and_asks_for_it_now_and_then() {
    let world = world().await;
    alice_in(&world).await;
    let reads: fn(&Passed) -> bool =
        |request| request.method == http::Method::GET && request.path.contains("/secrets/alice");
    world.traffic.disturb(reads, usize::MAX, Reply::Status(503));
    annotate(&world, "revoke-requested-at", "now").await;
    let is_told = |user: &CommunicationUser| message(user).starts_with("Could not read Secret alice");
    world.until("alice", "told what it waits for", is_told).await.unwrap();
    // Without a pause a run asks two dozen times.
    assert!(world.traffic.intercepted() < 10, "{}", world.traffic.intercepted());
    world.traffic.let_pass();
    until_revoked(&world, "alice", "now").await;
}

/// The token that came in between ends with a revocation that is carried out late. Nobody is told of it.
async fn the_token_is_replaced_soon(world: &World) {
    until_revoked(world, "alice", "now").await;
    let token = async || anyhow::Ok(world.secret_values("alice").await?["token"].clone());
    let ended = token().await.unwrap();
    let is_ended = async || Ok(world.acs().token_state(&ended) == TokenState::Revoked);
    world.eventually("nothing is carried out late", is_ended).await.unwrap();
    let is_valid = async || Ok(world.acs().token_state(&token().await?) == TokenState::Valid);
    world.eventually("it is not replaced", is_valid).await.unwrap();
    world.quiet().await;
    assert_eq!(world.resource.count(Operation::Issue), 2, "{:#?}", world.calls());
}

fn late_revocation() -> Fault {
    Fault::delay(Duration::from_secs(20)).on(Operation::Revoke).once()
}

/// It is given up after ten seconds, and made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_a_late_revocation_ends_is_replaced_soon() {
    let world = world().await;
    alice_in(&world).await;
    world.acs().inject(late_revocation());
    annotate(&world, "revoke-requested-at", "now").await;
    the_token_is_replaced_soon(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_the_revocation_of_a_killed_operator_ends_is_replaced_soon() {
    let mut world = world().await;
    alice_in(&world).await;
    world.acs().inject(late_revocation());
    annotate(&world, "revoke-requested-at", "now").await;
    let is_sent = async || Ok(world.acs().faults()[0].hits == 1);
    world.eventually("nothing is revoked", is_sent).await.unwrap();
    world.operator.kill();
    world.operator.restart().unwrap();
    the_token_is_replaced_soon(&world).await;
}
