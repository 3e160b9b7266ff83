//! Objects that this version of the operator cannot decode, as a later one may store them: they are left alone, and all others are served.

use acs_operator_testbed::{Passed, Reply, World, identity, message, ready};
use serde_json::{Value, json};

use crate::alice::{annotate_user, until_renewed};
use crate::world;

fn reads(request: &Passed) -> bool {
    request.method == "GET"
}

/// A list or an event in which the objects named bad are not as their kind has it.
fn spoiled(text: &str) -> String {
    let Ok(mut whole) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    match whole.get_mut("items").and_then(Value::as_array_mut) {
        Some(items) => items.iter_mut().for_each(spoil),
        None => whole.get_mut("object").into_iter().for_each(spoil),
    }
    whole.to_string() + "\n"
}

fn spoil(object: &mut Value) {
    let is_ours = object["apiVersion"]
        .as_str()
        .is_none_or(|version| version.starts_with("acs-operator.dev/"));
    if is_ours && object["metadata"]["name"] == "bad" && object["spec"].is_object() {
        object["spec"]["suspend"] = json!("on Fridays");
    }
}

fn user() -> Value {
    json!({"token": {"scopes": ["voip"]}})
}

async fn until_said(world: &World) {
    let is_said = async || {
        let log = world.operator.log();
        let about = |line: &&str| line.contains("cannot be decoded") && line.contains("/bad\"");
        Ok(log.lines().any(|line| about(&line)))
    };
    world.eventually("the log does not tell of it", is_said).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_cannot_be_decoded_in_a_list_keeps_what_it_has_and_keeps_nobody_from_anything() {
    let mut world = world().await;
    for name in ["alice", "bad"] {
        world.create(name, user()).await.unwrap();
        world.until_reason(name, "TokenIssued").await.unwrap();
    }
    let token = world.secret_values("bad").await.unwrap();
    world.traffic.disturb(reads, usize::MAX, Reply::Rewritten(spoiled));
    world.operator.kill();
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    until_said(&world).await;
    for name in ["alice", "bad"] {
        annotate_user(&world, name, "renew-requested-at", "now").await;
    }
    until_renewed(&world, "alice", "now").await;
    world.create("bob", user()).await.unwrap();
    world.until_reason("bob", "TokenIssued").await.unwrap();
    world.quiet().await;
    assert_eq!(world.secret_values("bad").await.unwrap(), token);
    assert_eq!(world.acs().identities().len(), 3);

    world.traffic.let_pass();
    world.gate.end_watches();
    annotate_user(&world, "bad", "anything", "else").await;
    until_renewed(&world, "bad", "now").await;
    assert_eq!(world.acs().identities().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_cannot_be_decoded_in_an_event_is_served_once_it_can_be() {
    let world = world().await;
    world.create("alice", user()).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.traffic.disturb(reads, usize::MAX, Reply::Rewritten(spoiled));
    world.gate.end_watches();
    world.create("bad", user()).await.unwrap();
    until_said(&world).await;
    world.create("bob", user()).await.unwrap();
    world.until_reason("bob", "TokenIssued").await.unwrap();
    let bad = world.users().get("bad").await.unwrap();
    assert_eq!((ready(&bad), identity(&bad)), (None, None), "nothing is done for it");
    assert!(
        world
            .operator
            .metric("acs_operator_watch_up{kind=\"CommunicationUser\"}")
            .await
            .unwrap()
            > 0.5
    );
    world.operator.answers("/readyz", 200, "ok").await.unwrap();

    world.traffic.let_pass();
    world.gate.end_watches();
    annotate_user(&world, "bad", "anything", "else").await;
    world.until_reason("bad", "TokenIssued").await.unwrap();
    assert_eq!(world.acs().identities().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_a_connection_that_cannot_be_decoded_wait_for_it_and_those_of_others_do_not() {
    let world = world().await;
    let values = [("connectionString", &*world.acs().connection_string())];
    world.put_credential("acs", &values).await.unwrap();
    let auth = json!({"connectionString": {"secretRef": {"name": "acs"}}});
    world.traffic.disturb(reads, usize::MAX, Reply::Rewritten(spoiled));
    world.gate.end_watches();
    world.connect("bad", json!({"auth": auth})).await.unwrap();
    until_said(&world).await;
    let of_bad = json!({"connectionRef": {"name": "bad"}, "token": {"scopes": ["voip"]}});
    world.create("carol", of_bad).await.unwrap();
    let carol = world.until_reason("carol", "ConnectionNotReady").await.unwrap();
    let told = "cannot decode CommunicationConnection/bad";
    assert!(message(&carol).contains(told), "{}", message(&carol));
    world.create("alice", user()).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();

    world.traffic.let_pass();
    world.gate.end_watches();
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    world.patch_connection("bad", label).await.unwrap();
    world.until_reason("carol", "TokenIssued").await.unwrap();
}
