//! Messages that stay as they are while nothing changes.

use acs_emulator::{Fault, Operation};
use acs_operator::api::{CommunicationUser, ConditionType};
use acs_operator_testbed::{World, ready};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};

use crate::world;

fn message(user: &CommunicationUser) -> &str {
    let conditions = &user.status.as_ref().unwrap().conditions;
    &ConditionType::Ready.find(conditions).unwrap().message
}

/// A user named alice with a token for chat and voip.
async fn alice_in(world: &World) {
    let spec = json!({"token": {"scopes": ["chat", "voip"]}});
    world.create("alice", spec).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
}

async fn until_said(world: &World, said: impl Fn(&str) -> bool) -> CommunicationUser {
    let is_said = |user: &CommunicationUser| ready(user).is_some_and(|(is, _)| is == "True") && said(message(user));
    world
        .until("alice", "as the message should say", is_said)
        .await
        .unwrap()
}

fn fewer_scopes() -> Value {
    json!({"token": {"scopes": ["chat"]}})
}

fn revocation() -> Value {
    json!({"annotations": {"acs-operator.dev/revoke-requested-at": "now"}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_older_tokens_keep_is_said_over_a_restart_without_a_write_and_until_they_are_revoked() {
    let mut world = world().await;
    alice_in(&world).await;
    let before = world.users().get("alice").await.unwrap();
    let expires = before.status.unwrap().token.unwrap().expiration_time.unwrap().0;
    let patch = json!({"spec": fewer_scopes()});
    world.patch("alice", patch).await.unwrap();
    let words = format!("keep voip until they expire, the newest of them at {expires}");
    let alice = until_said(&world, |message| message.contains(&words)).await;

    world.quiet().await;
    world.traffic.reset(None);
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    world.quiet().await;
    assert_eq!(world.traffic.passed(), []);
    assert_eq!(
        world.users().get("alice").await.unwrap().metadata.resource_version,
        alice.metadata.resource_version
    );

    let patch = json!({"metadata": revocation()});
    world.patch("alice", patch).await.unwrap();
    until_said(&world, |message| {
        message == "Secret alice holds a valid token for chat."
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_tokens_that_are_revoked_together_with_their_scopes_nothing_is_said() {
    let world = world().await;
    alice_in(&world).await;
    let patch = json!({"spec": fewer_scopes(), "metadata": revocation()});
    world.patch("alice", patch).await.unwrap();
    until_said(&world, |message| {
        message == "Secret alice holds a valid token for chat."
    })
    .await;
    let events: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    let reasons = async || {
        let all = events.list(&ListParams::default()).await?;
        anyhow::Ok(all.into_iter().filter_map(|event| event.reason).collect::<Vec<_>>())
    };
    // The event that follows is the sign that another one would be there.
    let told = async || {
        Ok(reasons()
            .await?
            .iter()
            .filter(|reason| *reason == "TokenIssued")
            .count()
            == 2)
    };
    world.eventually("the events are not there", told).await.unwrap();
    let reasons = reasons().await.unwrap();
    assert!(!reasons.contains(&"ScopesNarrowed".to_owned()), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_that_stays_the_same_is_written_once_however_often_it_is_tried_again() {
    let world = world().await;
    alice_in(&world).await;
    world.acs().inject(Fault::status(503).on(Operation::Issue));
    let patch = json!({"spec": fewer_scopes()});
    world.patch("alice", patch).await.unwrap();
    let failed = world.until_reason("alice", "ServiceUnavailable").await.unwrap();
    let tries = || world.resource.count(Operation::Issue);
    let seen = tries();
    let tried_again = async || Ok(tries() >= seen + 2);
    world.eventually("it is not tried again", tried_again).await.unwrap();
    let now = world.users().get("alice").await.unwrap();
    assert_eq!(now.metadata.resource_version, failed.metadata.resource_version);
}
