//! Requests that serve no single object fail: watches and lists, events, the lease.

use std::time::Duration;

use acs_operator_testbed::{Matcher, Passed, Reply, World};
use serde_json::json;
use tokio::time::Instant;

use crate::alice::notes;
use crate::leader::lease;
use crate::{settings, with_lease, world};

/// What fails at once. That nothing answers is a matter of outages.
const FAULTS: [(&str, Reply); 7] = [
    ("429", Reply::Status(429)),
    ("429-retry-after", Reply::Throttled(1)),
    ("500", Reply::Status(500)),
    ("503", Reply::Status(503)),
    ("504", Reply::Status(504)),
    ("cut", Reply::Cut),
    ("cut-answer", Reply::CutAnswer),
];

/// After an outage all due work is under way within this time.
const SOON: Duration = Duration::from_secs(30);

fn lists_or_watches(request: &Passed) -> bool {
    request.method == "GET" && request.path.contains("limit=") || is_watch(request)
}

fn is_watch(request: &Passed) -> bool {
    request.path.contains("watch=true")
}

async fn user_is_served(world: &World, name: &str) {
    world
        .create(name, json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason(name, "TokenIssued").await.unwrap();
}

/// Has the next requests fail, each in another way.
fn disturb_each(world: &World, matcher: Matcher) {
    for (_, reply) in FAULTS {
        world.traffic.disturb(matcher, 1, reply);
    }
}

/// Waits until each of them has failed.
async fn until_disturbed(world: &World) {
    let disturbed = async || Ok(world.traffic.intercepted() >= FAULTS.len());
    world.eventually("not all of it failed", disturbed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_watches_fail_they_are_taken_up_again_and_nothing_is_missed() {
    let mut world = world().await;
    user_is_served(&world, "alice").await;
    disturb_each(&world, is_watch);
    // Watches last for a minute, so they are ended here.
    world.gate.close().await.unwrap();
    world
        .create("bob", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.delete("alice").await.unwrap();
    world.gate.reopen().unwrap();
    until_disturbed(&world).await;
    let since = Instant::now();
    world.until_reason("bob", "TokenIssued").await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert_eq!(world.acs().identities().len(), 1);
    assert_eq!(world.calls().len(), 3, "{:#?}", world.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_lists_fail_at_the_start_they_are_made_again_and_nothing_is_done_twice() {
    let mut world = world().await;
    user_is_served(&world, "alice").await;
    world.quiet().await;
    let before = world.acs().last_call();
    world.operator.kill();
    world.traffic.reset(None);
    disturb_each(&world, lists_or_watches);
    world.operator.restart().unwrap();
    until_disturbed(&world).await;
    let since = Instant::now();
    world.operator.ready().await.unwrap();
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    world.quiet().await;
    assert_eq!(world.traffic.passed(), []);
    assert!(world.calls_since(before).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_its_first_questions_are_answered_the_operator_begins_soon_after() {
    let mut world = world().await;
    world.operator.kill();
    let questions: [Matcher; 3] = [
        |request| request.path.ends_with("/version"),
        |request| request.path.ends_with("/apis/acs-operator.dev/v1beta1"),
        |request| request.path.contains("authorization.k8s.io"),
    ];
    for question in questions {
        for reply in [Reply::Status(500), Reply::Cut] {
            world.traffic.disturb(question, 1, reply);
        }
    }
    let lease: Matcher = |request| request.path.contains("/leases");
    world.traffic.disturb(lease, 1, Reply::Status(503));
    world.operator.restart().unwrap();
    let since = Instant::now();
    world.operator.ready().await.unwrap();
    user_is_served(&world, "alice").await;
    assert!(world.traffic.intercepted() >= 6, "{}", world.traffic.intercepted());
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_events_fail_users_are_served_and_later_events_are_written() {
    let world = world().await;
    for (fault, reply) in FAULTS.into_iter().chain([("silence", Reply::Silence)]) {
        let is_event = |request: &Passed| request.path.contains("/events");
        world.traffic.disturb(is_event, 2, reply);
        user_is_served(&world, &format!("user-{fault}")).await;
    }
    user_is_served(&world, "alice").await;
    let told = async || {
        let told = notes(&world, "TokenIssued").await?;
        Ok(told.iter().any(|note| note.contains("Secret alice ")))
    };
    world.eventually("no event is written", told).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_the_lease_fails_for_a_moment_its_holder_keeps_it() {
    let settings = with_lease(settings(), Duration::from_secs(30));
    let world = World::start(settings).await.unwrap();
    let process = world.operator.id();
    for (fault, reply) in FAULTS
        .into_iter()
        .chain([("silence", Reply::Silence), ("lost", Reply::LoseAnswer)])
    {
        let is_renewal = |request: &Passed| request.method == "PATCH" && request.path.contains("/leases");
        let before = (lease(&world).await.renew_time, world.traffic.intercepted());
        world.traffic.disturb(is_renewal, 1, reply);
        let goes_on = async || Ok(world.traffic.intercepted() > before.1 && lease(&world).await.renew_time > before.0);
        world.eventually(fault, goes_on).await.unwrap();
    }
    assert_eq!(world.operator.id(), process);
    assert!(world.operator.is_running() && world.operator.leads().await.unwrap());
    user_is_served(&world, "alice").await;
}
