//! Keys are rotated, and nobody is left without a valid token.

use std::time::Duration;

use acs_emulator::{Call, KeySlot, Operation, TokenState};
use acs_operator::api::{CommunicationConnection, CommunicationUser};
use acs_operator_testbed::{CEILING, World, beside, identity, message, ready};
use kube::api::DeleteParams;
use serde_json::json;

use super::{
    accepted, by_keys, contoso, contoso_with_both_keys, count, credential_of, issued, put_connection_string, put_keys,
    regenerate, renew, soon, stray_401, tokens, unconnected, users_of_contoso, watchful, wrong_key,
};
use crate::alice::until_renewed;

/// The signers of what users needed after the call of this number.
fn signers(world: &World, since: u64) -> Vec<KeySlot> {
    let calls = world.resource.work_since(since).into_iter();
    calls.filter_map(|call| call.signed_by).collect()
}

/// Waits until each of these users has a token of another credential than `retired`.
async fn re_issued(world: &World, names: &[&str], retired: &str) {
    for name in names {
        let is_new = |user: &CommunicationUser| {
            ready(user).is_some_and(|(is, _)| is == "True") && credential_of(user) != retired
        };
        world.until(name, "with a token of another key", is_new).await.unwrap();
    }
}

fn pending(connection: &CommunicationConnection) -> Option<i32> {
    connection.status.as_ref()?.tokens_pending
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_key_is_used_when_the_first_is_refused_and_the_connection_says_so() {
    let world = unconnected().await;
    put_keys(
        &world,
        &[
            ("primaryKey", &wrong_key()),
            ("secondaryKey", &world.resource.key(KeySlot::Secondary)),
        ],
    )
    .await;
    let spec = by_keys(&world.resource.url(), &["primaryKey", "secondaryKey"]);
    world.connect("contoso", spec).await.unwrap();
    users_of_contoso(&world, &["alice"]).await;
    assert_eq!(signers(&world, 0), [KeySlot::Secondary]);
    let connection = world.connections().get("contoso").await.unwrap();
    assert!(message(&connection).contains("refused"), "{}", message(&connection));
    assert_eq!(beside(&connection), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_regenerated_in_azure_costs_nobody_a_token_while_the_other_is_good() {
    let world = unconnected().await;
    contoso_with_both_keys(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    assert_eq!(signers(&world, 0), [KeySlot::Primary]);
    let before = world.acs().last_call();

    regenerate(&world.resource, KeySlot::Primary);
    renew(&world, "alice", "the key was regenerated").await;
    let alice = until_renewed(&world, "alice", "the key was regenerated").await;
    assert_eq!(ready(&alice), Some(("True".into(), "TokenIssued".into())));
    let token = tokens(&world, &["alice"]).await.remove(0);
    assert_eq!(world.acs().token_state(&token), TokenState::Valid);
    assert_eq!(signers(&world, before), [KeySlot::Secondary]);
    assert!(count(&world.resource, before, Operation::Issue) <= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_secret_is_used_soon_and_every_token_of_the_key_that_left_is_issued_anew_once() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    let names = ["alice", "bob", "carol"];
    let users = users_of_contoso(&world, &names).await;
    let retired = credential_of(&users[0]);
    let old = tokens(&world, &names).await;
    let before = world.acs().last_call();

    put_connection_string(&world, &world.resource, KeySlot::Secondary).await;
    soon(re_issued(&world, &names, &retired)).await;
    let is_done = |connection: &CommunicationConnection| {
        let credential = connection.status.as_ref().and_then(|status| status.credential.as_ref());
        pending(connection) == Some(0) && credential.is_some_and(|credential| *credential != retired)
    };
    world.until_connection("contoso", "done", is_done).await.unwrap();
    world.quiet().await;
    assert_eq!(
        world.resource.operations_since(before),
        [Operation::Issue; 3],
        "one each"
    );
    assert!(signers(&world, before).iter().all(|slot| *slot == KeySlot::Secondary));
    for (user, was) in users.iter().zip(&old) {
        let is = world.users().get(user.metadata.name.as_deref().unwrap()).await.unwrap();
        assert_eq!(identity(&is), identity(user));
        assert_eq!(world.acs().token_state(was), TokenState::Valid, "nothing is revoked");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_budget_goes_to_the_tokens_that_expire_soonest_and_status_tells_how_many_are_left() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    let names = ["a-day", "an-hour", "half-a-day", "two-hours", "six-hours"];
    for (name, lifetime) in names.into_iter().zip(["24h", "1h", "12h", "2h", "6h"]) {
        let token = json!({"scopes": ["voip"], "lifetime": lifetime});
        let user = json!({"connectionRef": {"name": "contoso"}, "token": token});
        world.create(name, user).await.unwrap();
    }
    let users = issued(&world, &names).await;
    // One token in about five seconds.
    let tight = json!({"spec": {"rateLimits": {"issue": 6}, "requestBudgetPercent": 100}});
    let patched = world.patch_connection("contoso", tight).await.unwrap();
    let observed = |connection: &CommunicationConnection| {
        let status = connection.status.as_ref();
        status.and_then(|status| status.observed_generation) == patched.metadata.generation
    };
    world.until_connection("contoso", "observed", observed).await.unwrap();
    let before = world.acs().last_call();

    put_connection_string(&world, &world.resource, KeySlot::Secondary).await;
    let is_told = |connection: &CommunicationConnection| pending(connection).is_some_and(|pending| pending > 0);
    world.until_connection("contoso", "pending", is_told).await.unwrap();
    let calls = world
        .acs()
        .wait_for_calls(before, CEILING, |calls| {
            calls.iter().filter(|call| call.operation == Operation::Issue).count() >= 4
        })
        .await
        .unwrap();
    let of = |name: &str| identity(&users[names.iter().position(|is| *is == name).unwrap()]);
    let order = ["an-hour", "two-hours", "six-hours", "half-a-day"].map(of);
    let issues = calls.into_iter().filter(|call| call.operation == Operation::Issue);
    assert_eq!(issues.map(|call| call.identity).take(4).collect::<Vec<_>>(), order);

    let wide = json!({"spec": {"rateLimits": null}});
    world.patch_connection("contoso", wide).await.unwrap();
    let is_done = |connection: &CommunicationConnection| pending(connection) == Some(0);
    world.until_connection("contoso", "done", is_done).await.unwrap();
    assert_eq!(count(&world.resource, before, Operation::Issue), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_regenerated_in_azure_is_noticed_without_a_call_of_a_user_and_told_on_the_connection_alone() {
    let world = watchful().await;
    contoso(&world, &world.resource).await;
    let alice = users_of_contoso(&world, &["alice"]).await.remove(0);
    world.quiet().await;
    let before = world.acs().last_call();
    regenerate(&world.resource, KeySlot::Primary);
    let connection = world.until_connection_reason("contoso", "AccessDenied").await.unwrap();
    assert!(message(&connection).contains("regenerated"), "{}", message(&connection));
    world.quiet().await;
    let now = world.users().get("alice").await.unwrap();
    assert_eq!(
        now.metadata.resource_version, alice.metadata.resource_version,
        "nothing of it is due"
    );
    assert!(world.resource.work_since(before).is_empty());

    let retired = credential_of(&alice);
    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    soon(accepted(&world)).await;
    re_issued(&world, &["alice"], &retired).await;
    let token = tokens(&world, &["alice"]).await.remove(0);
    assert_eq!(world.acs().token_state(&token), TokenState::Valid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stray_refusal_of_a_call_issues_no_other_token_anew() {
    let world = watchful().await;
    contoso_with_both_keys(&world, &world.resource).await;
    users_of_contoso(&world, &["alice", "bob"]).await;
    let before = world.acs().last_call();
    world.acs().inject(stray_401().on(Operation::Issue));
    renew(&world, "alice", "now").await;
    until_renewed(&world, "alice", "now").await;
    accepted(&world).await;
    let again = world.acs().last_call();
    // Several proofs later.
    let proven = |calls: &[_]| calls.len() >= 3;
    world.acs().wait_for_calls(again, CEILING, proven).await.unwrap();
    let issued_for: Vec<_> = world
        .resource
        .work_since(before)
        .into_iter()
        .map(|call| call.identity)
        .collect();
    let alice = identity(&world.users().get("alice").await.unwrap());
    assert_eq!(issued_for, [alice.clone(), alice], "the refused call and its repeat");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stray_refusal_of_a_probe_issues_nothing_anew_and_is_forgotten() {
    let world = watchful().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    let before = world.acs().last_call();
    let fault = world.acs().inject(stray_401().on(Operation::Revoke));
    let has_hit = async || Ok(world.acs().faults().iter().any(|is| is.id == fault && is.hits == 1));
    world.eventually("no probe is made", has_hit).await.unwrap();
    let proven = |calls: &[Call]| calls.iter().rev().take_while(|call| call.fault.is_none()).count() >= 3;
    world.acs().wait_for_calls(before, CEILING, proven).await.unwrap();
    accepted(&world).await;
    assert!(world.resource.work_since(before).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_deleted_and_created_anew_is_a_rotation_like_any_other() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    let names = ["alice", "bob"];
    let users = users_of_contoso(&world, &names).await;
    let retired = credential_of(&users[0]);

    let secrets = world.secrets();
    secrets.delete("acs", &DeleteParams::default()).await.unwrap();
    soon(world.until_none(&secrets, "acs")).await.unwrap();
    let is_told = |connection: &CommunicationConnection| {
        ready(connection).is_some_and(|(is, _)| is == "True") && message(connection).contains("does not exist")
    };
    world
        .until_connection("contoso", "on what it had", is_told)
        .await
        .unwrap();
    renew(&world, "alice", "meanwhile").await;
    let alice = until_renewed(&world, "alice", "meanwhile").await;
    assert_eq!(ready(&alice), Some(("True".into(), "TokenIssued".into())));

    put_connection_string(&world, &world.resource, KeySlot::Secondary).await;
    soon(re_issued(&world, &names, &retired)).await;
    accepted(&world).await;
}

/// Takes more than a minute, since that is how long a key has to be refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_a_key_that_stays_refused_for_a_minute_are_issued_anew_with_the_other() {
    let world = watchful().await;
    contoso_with_both_keys(&world, &world.resource).await;
    let names = ["alice", "bob"];
    let retired = credential_of(&users_of_contoso(&world, &names).await[0]);
    let before = world.acs().last_call();
    regenerate(&world.resource, KeySlot::Primary);
    let told = |connection: &CommunicationConnection| message(connection).contains("refused");
    world
        .until_connection("contoso", "on its second key", told)
        .await
        .unwrap();

    let all_anew = async || Ok(count(&world.resource, before, Operation::Issue) == names.len());
    let (long, otherwise) = (Duration::from_secs(100), "the tokens are not issued anew");
    world.eventually_within(long, otherwise, all_anew).await.unwrap();
    let refused = world.resource.probes_since(before);
    let refused: Vec<_> = refused
        .iter()
        .filter(|probe| probe.error_code.as_deref() == Some("Denied"))
        .map(|probe| probe.at)
        .collect();
    let apart = refused.last().unwrap().duration_since(refused[0]);
    assert!(apart.as_secs() >= 59, "refused twice, {apart} apart");
    re_issued(&world, &names, &retired).await;
    for token in tokens(&world, &names).await {
        assert_eq!(world.acs().token_state(&token), TokenState::Valid);
    }
}
