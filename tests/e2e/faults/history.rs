//! A watch has fallen so far behind that it must list anew, in pages, and the list falls behind as well.

use acs_emulator::Operation;
use acs_operator_testbed::{Passed, Reply, World};
use futures::future::try_join_all;
use serde_json::json;

use crate::alice::{annotate_user, until_renewed};
use crate::world;

const USERS: usize = 8;

/// What a watch is told whose place in the history is gone: 410, as an event.
fn gone(text: &str) -> String {
    if text.trim().is_empty() {
        return String::new();
    }
    let words = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version: 1 (2)",
    });
    json!({"type": "ERROR", "object": words}).to_string() + "\n"
}

fn is_watch(request: &Passed) -> bool {
    request.path.contains("/communicationusers?") && request.path.contains("watch=true")
}

fn is_further_page(request: &Passed) -> bool {
    request.path.contains("/communicationusers?") && request.path.contains("continue=")
}

async fn until_served(world: &World, name: &str) -> anyhow::Result<()> {
    world.until_reason(name, "TokenIssued").await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_has_to_list_anew_forgets_nobody_and_does_nothing_twice() {
    let mut world = world().await;
    let names: Vec<_> = (0..USERS).map(|number| format!("user-{number}")).collect();
    let create = async |name: &String| {
        world.create(name, json!({"token": {"scopes": ["voip"]}})).await?;
        until_served(&world, name).await
    };
    try_join_all(names.iter().map(create)).await.unwrap();
    world.quiet().await;
    let before = world.acs().last_call();
    world.traffic.reset(None);
    world.traffic.pages_of(3);
    world.traffic.disturb(is_watch, 1, Reply::Rewritten(gone));
    world.traffic.disturb(is_further_page, 1, Reply::Status(410));
    world.gate.close().await.unwrap();
    world.delete("user-0").await.unwrap();
    annotate_user(&world, "user-1", "renew-requested-at", "now").await;
    world
        .create("latest", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.gate.reopen().unwrap();
    world.until_gone("user-0").await.unwrap();
    until_renewed(&world, "user-1", "now").await;
    until_served(&world, "latest").await.unwrap();
    let listed_anew = async || Ok(world.traffic.intercepted() == 2);
    world.eventually("no list fell behind", listed_anew).await.unwrap();
    world.quiet().await;
    let mut operations: Vec<_> = world.calls_since(before).iter().map(|call| call.operation).collect();
    operations.sort_by_key(Operation::to_string);
    assert_eq!(operations, [Operation::Create, Operation::Delete, Operation::Issue]);
    assert_eq!(world.acs().identities().len(), USERS);
    // Everybody is known as before.
    for name in &names[2..] {
        annotate_user(&world, name, "renew-requested-at", "now").await;
        until_renewed(&world, name, "now").await;
    }
}
