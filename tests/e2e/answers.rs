//! ACS answers whatever it likes: nothing of it may end in a panic, a leak, a loop or an identity that nobody counts.

use acs_emulator::{Fault, Operation, TokenState};
use acs_operator::api::{CommunicationUser, ConditionType};
use acs_operator_testbed::{World, identity, ready};
use futures::future::join_all;
use serde_json::json;

use crate::alice::{is_renewed, is_revoked};
use crate::world;

fn orphans(user: &CommunicationUser) -> i32 {
    let identity = user.status.as_ref().and_then(|status| status.identity.as_ref());
    identity.and_then(|identity| identity.suspected_orphans).unwrap_or(0)
}

/// Answers that no service should give, and some that it does give.
fn bad_answers() -> Vec<(&'static str, Fault)> {
    let json = [("content-type", "application/json")];
    vec![
        ("500", Fault::status(500)),
        ("502 in HTML", Fault::html_bad_gateway()),
        ("503", Fault::status(503)),
        ("429", Fault::throttled(None)),
        ("429 with a second", Fault::throttled(Some("1"))),
        ("429 with nonsense", Fault::throttled(Some("soon"))),
        ("400", Fault::status(400)),
        ("401", Fault::status(401)),
        ("403", Fault::status(403)),
        ("404", Fault::status(404)),
        ("409", Fault::status(409)),
        ("302", Fault::respond(302, &[("location", "http://127.0.0.1:1/")], "")),
        ("cut before", Fault::cut_before_processing()),
        ("cut after", Fault::cut_after_processing()),
        ("truncated", Fault::truncated()),
        ("empty 201", Fault::respond(201, &[], "").processed()),
        ("null", Fault::respond(201, &json, "null").processed()),
        ("an array", Fault::respond(201, &json, "[]").processed()),
        (
            "garbage",
            Fault::respond(201, &json, "{\"identity\": {\"id\": \u{1}").processed(),
        ),
        (
            "an id that is none",
            Fault::respond(201, &json, r#"{"identity":{"id":"../../x"}}"#).processed(),
        ),
        (
            "a huge body",
            Fault::respond(201, &json, "x".repeat(300_000)).processed(),
        ),
        ("error as text", Fault::respond(400, &json, r#"{"error":"no"}"#)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_of_acs_to_a_create_ends_in_anything_but_one_identity_and_counted_orphans() {
    let world = world().await;
    for (number, (what, fault)) in bad_answers().into_iter().enumerate() {
        let name = format!("user-{number}");
        let before = world.acs().identities().len();
        let calls = world.acs().last_call();
        world.acs().inject(fault.on(Operation::Create).once());
        world
            .create(&name, json!({"token": {"scopes": ["voip"]}}))
            .await
            .unwrap();
        let answered = |user: &CommunicationUser| {
            ready(user).is_some_and(|(_, reason)| reason == "TokenIssued" || reason == "InvalidRequest")
        };
        let user = world
            .until(&name, "ready or stalled", answered)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e:#}"));
        if is_stalled(&user) {
            change_spec(&world, &name).await;
        }
        let user = world
            .until_reason(&name, "TokenIssued")
            .await
            .unwrap_or_else(|e| panic!("{what}: {e:#}"));
        let made = world.acs().identities().len() - before;
        let counted = usize::try_from(orphans(&user)).unwrap();
        assert!(
            made >= 1 && made - 1 <= counted && counted <= 1,
            "{what}: {made} made, {counted} counted"
        );
        assert!(
            world.calls_since(calls).len() <= 4,
            "{what}: {:#?}",
            world.calls_since(calls)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_of_acs_to_a_renewal_ends_in_anything_but_a_valid_token_after_few_calls() {
    let world = world().await;
    for (number, (what, fault)) in bad_answers().into_iter().enumerate() {
        let name = format!("user-{number}");
        let spec = json!({"token": {"scopes": ["voip"]}});
        world.create(&name, spec).await.unwrap();
        let before = world.until_reason(&name, "TokenIssued").await.unwrap();
        let calls = world.acs().last_call();
        world.acs().inject(fault.on(Operation::Issue).once());
        let request = json!({"metadata": {"annotations": {"acs-operator.dev/renew-requested-at": "now"}}});
        world.patch(&name, request).await.unwrap();

        let answered = |user: &CommunicationUser| is_renewed(user, "now") || is_stalled(user);
        let user = world
            .until(&name, "renewed or stalled", answered)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e:#}"));
        if !is_renewed(&user, "now") {
            change_spec(&world, &name).await;
        }
        let fine = |user: &CommunicationUser| is_renewed(user, "now") && ready(user).unwrap().1 == "TokenIssued";
        let user = world
            .until(&name, "renewed", fine)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e:#}"));
        let seen = world.calls_since(calls);
        assert!((2..=4).contains(&seen.len()), "{what}: {seen:#?}");
        assert_eq!(identity(&user), identity(&before), "{what}");
        let token = &world.secret_values(&name).await.unwrap()["token"];
        assert_eq!(world.acs().token_state(token), TokenState::Valid, "{what}");
        assert_eq!(world.acs().identities().len(), number + 1, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_of_acs_to_a_revocation_ends_in_anything_but_dead_old_tokens_and_a_valid_new_one_after_few_calls() {
    let world = world().await;
    let is_revoked = |user: &CommunicationUser| is_revoked(user, "now");
    let revoked = async |(number, (what, fault)): (usize, (&str, Fault))| {
        let name = format!("user-{number}");
        let spec = json!({"token": {"scopes": ["voip"]}});
        world.create(&name, spec).await.unwrap();
        let user = world.until_reason(&name, "TokenIssued").await.unwrap();
        let id = identity(&user).unwrap();
        let old = world.secret_values(&name).await.unwrap()["token"].clone();
        world.acs().inject(fault.on(Operation::Revoke).for_identity(&id).once());
        let request = json!({"metadata": {"annotations": {"acs-operator.dev/revoke-requested-at": "now"}}});
        world.patch(&name, request).await.unwrap();

        let answered = |user: &CommunicationUser| is_revoked(user) || is_stalled(user);
        let user = world
            .until(&name, "revoked or stalled", answered)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e:#}"));
        if !is_revoked(&user) {
            change_spec(&world, &name).await;
        }
        let fine = |user: &CommunicationUser| is_revoked(user) && ready(user).unwrap().1 == "TokenIssued";
        world
            .until(&name, "revoked", fine)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e:#}"));
        let token = &world.secret_values(&name).await.unwrap()["token"];
        assert_eq!(world.acs().token_state(token), TokenState::Valid, "{what}");
        assert_ne!(world.acs().token_state(&old), TokenState::Valid, "{what}");
        let calls = world
            .calls()
            .into_iter()
            .filter(|call| call.identity.as_ref() == Some(&id));
        let calls: Vec<_> = calls.map(|call| call.operation).collect();
        let revocations = calls
            .iter()
            .filter(|operation| **operation == Operation::Revoke)
            .count();
        assert!((1..=3).contains(&revocations) && calls.len() <= 6, "{what}: {calls:?}");
    };
    join_all(bad_answers().into_iter().enumerate().map(revoked)).await;
    assert_eq!(world.acs().identities().len(), bad_answers().len());
}

/// Whether nothing is tried again before the spec changes.
fn is_stalled(user: &CommunicationUser) -> bool {
    let conditions = &user.status.as_ref().unwrap().conditions;
    ConditionType::Stalled.find(conditions).is_some()
}

/// Once ACS said that a repeat is of no use, nothing is repeated before this.
async fn change_spec(world: &World, name: &str) {
    let edit = json!({"spec": {"token": {"lifetime": "2h"}}});
    world.patch(name, edit).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_of_acs_to_a_deletion_ends_in_anything_but_nothing_left_after_few_calls() {
    let world = world().await;
    for (number, (what, fault)) in bad_answers().into_iter().enumerate() {
        let name = format!("user-{number}");
        let spec = json!({"token": {"scopes": ["voip"]}});
        world.create(&name, spec).await.unwrap();
        world.until_reason(&name, "TokenIssued").await.unwrap();
        let calls = world.acs().last_call();
        // 404 means that the identity is gone already, so for that answer it has to be.
        let fault = if what == "404" { fault.processed() } else { fault };
        world.acs().inject(fault.on(Operation::Delete).once());
        world.delete(&name).await.unwrap();
        world
            .until_gone(&name)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e:#}"));
        assert!(world.acs().identities().is_empty(), "{what}");
        assert!(world.secrets().get_opt(&name).await.unwrap().is_none(), "{what}");
        let calls = world.calls_since(calls);
        assert!((1..=4).contains(&calls.len()), "{what}: {calls:#?}");
    }
}
