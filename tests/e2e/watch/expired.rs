//! The API server, or what stands before it, answers 410: what was asked for is history.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use acs_emulator::Operation;
use acs_operator_testbed::{Passed, Reply, World};
use kube::api::DeleteParams;
use serde_json::json;

use super::rights::{ask_for_renewal, watch_up};
use crate::alice::{is_renewed, until_renewed};
use crate::world;

fn user() -> serde_json::Value {
    json!({"token": {"scopes": ["voip"]}})
}

async fn world_with_alice() -> World {
    let world = world().await;
    world.create("alice", user()).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    world
}

fn is_of(kind: &str, request: &Passed) -> bool {
    let path = request.path.split('?').next().unwrap_or_default();
    request.method == "GET" && path.ends_with(kind)
}

async fn until_readyz(world: &World, status: u16, words: &str) {
    let answers = async || {
        let (is, text) = world.operator.get("/readyz").await?;
        Ok(is == status && text.contains(words))
    };
    let otherwise = format!("/readyz is not {status} {words}");
    let ceiling = Duration::from_mins(2);
    world.eventually_within(ceiling, &otherwise, answers).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_may_not_begin_where_the_last_one_ended_lists_anew_and_nothing_is_missed_or_done_twice() {
    let mut world = world_with_alice().await;
    world.create("carol", user()).await.unwrap();
    world.until_reason("carol", "TokenIssued").await.unwrap();
    let before = world.acs().last_call();
    let is_listed = AtomicBool::new(false);
    // As some that stand before an API server do: they refuse the request, where that would send an event.
    let begins_too_early = move |request: &Passed| {
        if !is_of("/communicationusers", request) {
            return false;
        }
        if !request.path.contains("watch=true") {
            is_listed.store(true, Ordering::Relaxed);
        }
        !is_listed.load(Ordering::Relaxed)
    };
    world.traffic.disturb(begins_too_early, usize::MAX, Reply::Status(410));
    world.gate.close().await.unwrap();
    world.delete("carol").await.unwrap();
    ask_for_renewal(&world, "alice", "now").await;
    world.create("bob", user()).await.unwrap();
    world.gate.reopen().unwrap();
    world.until_gone("carol").await.unwrap();
    until_renewed(&world, "alice", "now").await;
    world.until_reason("bob", "TokenIssued").await.unwrap();
    world.quiet().await;
    let mut operations: Vec<_> = world.calls_since(before).iter().map(|call| call.operation).collect();
    operations.sort_by_key(Operation::to_string);
    assert_eq!(operations, [Operation::Create, Operation::Delete, Operation::Issue]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_that_are_always_too_late_are_told_while_all_else_goes_on_and_forget_nobody() {
    let mut world = world_with_alice().await;
    let of_users = |request: &Passed| is_of("/communicationusers", request);
    world.traffic.disturb(of_users, usize::MAX, Reply::Status(410));
    world.gate.close().await.unwrap();
    world.gate.reopen().unwrap();
    let is_down = async || Ok(!watch_up(&world.operator, "CommunicationUser").await?);
    world.eventually("the watch is not down", is_down).await.unwrap();
    world.create("bob", user()).await.unwrap();
    // Alice is still known, and her Secret is watched.
    let uid = async || {
        let secret = world.secrets().get_opt("alice").await?;
        Ok(secret.and_then(|secret| secret.metadata.uid))
    };
    let before: Option<String> = uid().await.unwrap();
    world.secrets().delete("alice", &DeleteParams::default()).await.unwrap();
    let is_back = async || uid().await.map(|now| now.is_some() && now != before);
    world.eventually("her Secret is not back", is_back).await.unwrap();
    until_readyz(&world, 503, "keeps too little of its history").await;
    assert!(!watch_up(&world.operator, "CommunicationUser").await.unwrap());
    assert!(watch_up(&world.operator, "CommunicationConnection").await.unwrap());

    world.traffic.let_pass();
    world.until_reason("bob", "TokenIssued").await.unwrap();
    until_readyz(&world, 200, "ok").await;
    assert_eq!(world.acs().identities().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_one_kind_that_always_fail_hold_up_the_start_for_less_than_a_minute() {
    let mut world = world_with_alice().await;
    let of_secrets = |request: &Passed| is_of("/secrets", request);
    world.traffic.disturb(of_secrets, usize::MAX, Reply::Status(410));
    world.operator.kill();
    world.operator.restart().unwrap();
    ask_for_renewal(&world, "alice", "now").await;
    world.create("bob", user()).await.unwrap();
    let are_served = async || {
        let (alice, bob) = (world.users().get("alice").await?, world.users().get("bob").await?);
        let has_token = |user: &acs_operator::api::CommunicationUser| {
            user.status.as_ref().is_some_and(|status| status.token.is_some())
        };
        Ok(is_renewed(&alice, "now") && has_token(&bob))
    };
    let ceiling = Duration::from_mins(1);
    world
        .eventually_within(ceiling, "they are not served", are_served)
        .await
        .unwrap();
    until_readyz(&world, 503, "watch of Secret").await;
    world.traffic.let_pass();
    until_readyz(&world, 200, "ok").await;
    world.quiet().await;
    assert_eq!(world.acs().identities().len(), 2);
}
