//! `spec.tokensValidFrom`: every token of a connection from before is revoked and replaced.

use acs_emulator::{Operation, TokenState};
use acs_operator::api::{CommunicationConnection, CommunicationUser};
use acs_operator_testbed::{CEILING, Moment, Passed, World, identity, message, ready};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{contoso, count, issued, of_contoso, tokens, unconnected, users_of_contoso};

const NAMES: [&str; 3] = ["alice", "bob", "carol"];

async fn valid_from(world: &World, time: &str) {
    let patch = json!({"spec": {"tokensValidFrom": time}});
    world.patch_connection("contoso", patch).await.unwrap();
}

/// Waits until each of these users has another token than before, which is valid, while the former is not.
async fn all_replaced(world: &World, names: &[&str], old: &[String]) {
    let replaced = async || {
        let new = tokens(world, names).await;
        let state = |token: &String| world.acs().token_state(token);
        let differs = new.iter().zip(old).all(|(new, old)| new != old);
        Ok(differs && new.iter().all(|token| state(token) == TokenState::Valid))
    };
    world.eventually("tokens are not replaced", replaced).await.unwrap();
    issued(world, names).await;
    for old in old {
        assert_eq!(world.acs().token_state(old), TokenState::Revoked);
    }
}

async fn until_none_is_pending(world: &World) {
    let is_done = |connection: &CommunicationConnection| {
        let status = connection.status.as_ref();
        status.is_some_and(|status| {
            status.tokens_pending == Some(0) && status.observed_generation == connection.metadata.generation
        })
    };
    world.until_connection("contoso", "done", is_done).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_older_token_is_revoked_and_replaced_once_and_no_later_one_ever() {
    let mut world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &NAMES).await;
    let old = tokens(&world, &NAMES).await;
    let (from, before) = (world.resource.a_later_second().await.unwrap(), world.acs().last_call());
    valid_from(&world, &from).await;
    all_replaced(&world, &NAMES, &old).await;
    until_none_is_pending(&world).await;
    assert_eq!(count(&world.resource, before, Operation::Revoke), NAMES.len());
    assert_eq!(count(&world.resource, before, Operation::Issue), NAMES.len());

    let (before, kept) = (world.acs().last_call(), tokens(&world, &NAMES).await);
    users_of_contoso(&world, &["dave"]).await;
    world.quiet().await;
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    world.quiet().await;
    assert_eq!(world.resource.operations_since(before), [Operation::Create]);
    assert_eq!(tokens(&world, &NAMES).await, kept);
}

/// The answer that tells of it is slow to come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_token_from_before_is_revoked_although_its_identity_is_recorded_after() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    let is_create = |request: &Passed| request.path.ends_with("/identities");
    let answer = world.traffic.hold(Moment::After, is_create);
    world.create("alice", of_contoso()).await.unwrap();
    answer.caught(CEILING).await.unwrap();
    let from = world.resource.a_later_second().await.unwrap();
    answer.release();
    issued(&world, &["alice"]).await;
    let old = tokens(&world, &["alice"]).await;
    valid_from(&world, &from).await;
    all_replaced(&world, &["alice"], &old).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_in_the_future_is_waited_for() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &NAMES).await;
    let (old, before) = (tokens(&world, &NAMES).await, world.acs().last_call());
    let from = world.acs().now().as_second() + 5;
    valid_from(&world, &Timestamp::from_second(from).unwrap().to_string()).await;
    all_replaced(&world, &NAMES, &old).await;
    let calls = world.resource.work_since(before);
    assert!(calls.iter().all(|call| call.at.as_second() >= from), "{calls:#?}");
    assert_eq!(count(&world.resource, before, Operation::Revoke), NAMES.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_the_next_operator_finishes_and_leaves_every_token_valid() {
    let mut world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &NAMES).await;
    let old = tokens(&world, &NAMES).await;
    let (from, before) = (world.resource.a_later_second().await.unwrap(), world.acs().last_call());
    let hold = world
        .traffic
        .hold(Moment::After, |request| request.path.ends_with(":issueAccessToken"));
    valid_from(&world, &from).await;
    hold.caught(CEILING).await.unwrap();
    world.operator.kill();
    hold.release();
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    all_replaced(&world, &NAMES, &old).await;
    until_none_is_pending(&world).await;
    let settled = tokens(&world, &NAMES).await;
    world.quiet().await;
    assert_eq!(tokens(&world, &NAMES).await, settled);
    for token in settled {
        assert_eq!(world.acs().token_state(&token), TokenState::Valid);
    }
    // Whoever was in the middle of it begins again.
    let revoked = count(&world.resource, before, Operation::Revoke);
    assert!((NAMES.len()..=2 * NAMES.len()).contains(&revoked), "{revoked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_to_the_budget_and_tells_how_many_are_left() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &NAMES).await;
    let old = tokens(&world, &NAMES).await;
    let from = world.resource.a_later_second().await.unwrap();
    // One revocation in about five seconds.
    let tight = json!({"rateLimits": {"revoke": 6}, "requestBudgetPercent": 100, "tokensValidFrom": from});
    world.patch_connection("contoso", json!({"spec": tight})).await.unwrap();
    let is_told = |connection: &CommunicationConnection| {
        let pending = connection.status.as_ref().and_then(|status| status.tokens_pending);
        pending.is_some_and(|pending| pending > 0) && message(connection).contains("still to be replaced")
    };
    let connection = world.until_connection("contoso", "pending", is_told).await.unwrap();
    assert_eq!(ready(&connection).unwrap().0, "True", "it works");
    all_replaced(&world, &NAMES, &old).await;
    let revocations = world.resource.work_since(0).into_iter();
    let at: Vec<_> = revocations
        .filter(|call| call.operation == Operation::Revoke)
        .map(|call| call.at)
        .collect();
    assert_eq!(at.len(), NAMES.len());
    let took = at[2].duration_since(at[0]);
    assert!(took.as_secs() >= 8, "{took}");
    let wide = json!({"spec": {"rateLimits": null}});
    world.patch_connection("contoso", wide).await.unwrap();
    until_none_is_pending(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_told_as_pending_from_the_instant_asked_for_though_nothing_else_happens_then() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    // Neither a call nor a probe of a suspended connection has it looked at.
    let soon = (world.acs().now() + SignedDuration::from_secs(15)).to_string();
    let asked = json!({"suspend": true, "tokensValidFrom": soon});
    world.patch_connection("contoso", json!({"spec": asked})).await.unwrap();
    let pending = |is: i32| {
        move |connection: &CommunicationConnection| {
            let status = connection.status.as_ref().unwrap();
            let is_seen = status.observed_generation == connection.metadata.generation;
            is_seen && status.tokens_pending == Some(is)
        }
    };
    for is in [0, 1] {
        world.until_connection("contoso", "told", pending(is)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_a_token_has_none_to_revoke() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    let recorder = json!({"connectionRef": {"name": "contoso"}});
    world.create("recorder", recorder).await.unwrap();
    let recorder = world.until_reason("recorder", "IdentityCreated").await.unwrap();
    users_of_contoso(&world, &["alice"]).await;
    let old = tokens(&world, &["alice"]).await;
    let (from, before) = (world.resource.a_later_second().await.unwrap(), world.acs().last_call());
    valid_from(&world, &from).await;
    all_replaced(&world, &["alice"], &old).await;
    world.quiet().await;
    let about = identity(&recorder);
    let calls = world.resource.work_since(before);
    assert!(calls.iter().all(|call| call.identity != about), "{calls:#?}");
    let now: CommunicationUser = world.users().get("recorder").await.unwrap();
    assert_eq!(now.metadata.resource_version, recorder.metadata.resource_version);
}
