//! The API server is away as a whole: its port is closed, or it answers nothing any more.

use std::time::Duration;

use acs_emulator::Operation;
use acs_operator_testbed::{CEILING, Passed, Reply, World};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::alice::{alice_in, annotate_user, until_renewed};
use crate::leader::lease;
use crate::{settings, with_lease};

/// After an outage all due work is under way within this time.
const SOON: Duration = Duration::from_secs(30);

/// How the API server is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    /// Its connections end, and new ones are refused.
    Closed,
    /// What is sent to it gets no answer, and no watch tells anything.
    Silent,
}

impl Away {
    async fn begin(self, world: &mut World) {
        match self {
            Self::Closed => world.gate.close().await.unwrap(),
            Self::Silent => {
                world.gate.cut();
                world.gate.hold_events();
            }
        }
    }

    fn end(self, world: &mut World) {
        match self {
            Self::Closed => world.gate.reopen().unwrap(),
            Self::Silent => {
                world.gate.mend();
                world.gate.release_events();
            }
        }
    }
}

/// A world with a lease of this length, and the users alice and carol.
async fn world_of_two(lease: Duration) -> World {
    let world = World::start(with_lease(settings(), lease)).await.unwrap();
    for name in ["alice", "carol"] {
        world
            .create(name, json!({"token": {"scopes": ["voip"]}}))
            .await
            .unwrap();
        world.until_reason(name, "TokenIssued").await.unwrap();
    }
    world.quiet().await;
    world
}

/// People go on: one user is to be renewed, one comes, one goes.
async fn go_on(world: &World) {
    annotate_user(world, "alice", "renew-requested-at", "now").await;
    world
        .create("bob", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.delete("carol").await.unwrap();
}

/// All of that is done, once and soon.
async fn caught_up(world: &World, since: Instant, before: u64) {
    until_renewed(world, "alice", "now").await;
    world.until_reason("bob", "TokenIssued").await.unwrap();
    world.until_gone("carol").await.unwrap();
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    let mut operations: Vec<_> = world.calls_since(before).iter().map(|call| call.operation).collect();
    operations.sort_by_key(Operation::to_string);
    assert_eq!(operations, [Operation::Create, Operation::Delete, Operation::Issue]);
}

async fn watch_up(world: &World) -> bool {
    let series = "acs_operator_watch_up{kind=\"CommunicationUser\"}";
    world.operator.metric(series).await.unwrap() > 0.5
}

async fn outlasted(away: Away) {
    let mut world = world_of_two(Duration::from_mins(1)).await;
    let (process, before) = (world.operator.id(), world.acs().last_call());
    away.begin(&mut world).await;
    go_on(&world).await;
    // The length of the outage is what is tested: less than what the leader bears of its lease.
    sleep(Duration::from_secs(3)).await;
    world.operator.answers("/livez", 200, "ok").await.unwrap();
    world.operator.answers("/readyz", 200, "ok").await.unwrap();
    assert!(world.operator.leads().await.unwrap());
    // Of a silent one a watch can't know.
    assert_eq!(watch_up(&world).await, away == Away::Silent);
    assert!(world.calls_since(before).is_empty(), "nobody tells it what to do");
    away.end(&mut world);
    caught_up(&world, Instant::now(), before).await;
    assert_eq!(world.operator.id(), process);
    assert!(world.operator.is_running() && world.operator.leads().await.unwrap());
    world
        .eventually("the watch is down", async || Ok(watch_up(&world).await))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_its_port_is_closed_for_less_than_the_lease_the_leader_goes_on_and_catches_up() {
    outlasted(Away::Closed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_is_silent_for_less_than_the_lease_the_leader_goes_on_and_catches_up() {
    outlasted(Away::Silent).await;
}

async fn overtaken(away: Away) {
    let mut world = world_of_two(Duration::from_secs(20)).await;
    let before = world.acs().last_call();
    away.begin(&mut world).await;
    go_on(&world).await;
    let ended = world.operator.ended(CEILING).await.unwrap();
    assert_eq!(ended.code(), Some(1), "{}", world.operator.log_tail());
    // As the kubelet does it: the API server is still away.
    world.operator.restart().unwrap();
    world.operator.answers("/livez", 200, "ok").await.unwrap();
    world.operator.answers("/readyz", 503, "definitions").await.unwrap();
    assert!(!world.operator.leads().await.unwrap());
    let waits = async || Ok(away == Away::Silent || world.operator.log().contains("waiting for the API server"));
    world
        .eventually("it does not say what it waits for", waits)
        .await
        .unwrap();
    assert!(world.calls_since(before).is_empty());
    away.end(&mut world);
    let since = Instant::now();
    world.operator.ready().await.unwrap();
    caught_up(&world, since, before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_its_port_is_closed_for_longer_than_the_lease_the_leader_ends_and_the_next_one_catches_up() {
    overtaken(Away::Closed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_it_is_silent_for_longer_than_the_lease_the_leader_ends_and_the_next_one_catches_up() {
    overtaken(Away::Silent).await;
}

/// Longer than the least that a renewal is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_each_answer_takes_seconds_the_leader_leads_on_and_what_is_asked_for_is_done() {
    let settings = with_lease(settings(), Duration::from_secs(30));
    let world = World::start(settings).await.unwrap();
    alice_in(&world).await;
    let process = world.operator.id();
    let all_but_watches = |request: &Passed| request.upstream == "Kubernetes" && !request.path.contains("watch=");
    let late = Reply::Late(Duration::from_secs(4));
    world.traffic.disturb(all_but_watches, usize::MAX, late);
    annotate_user(&world, "alice", "renew-requested-at", "now").await;
    // Together longer than it relies on one of them.
    for _ in 0..5 {
        let before = lease(&world).await.renew_time;
        let goes_on = async || Ok(lease(&world).await.renew_time > before);
        world.eventually("the lease is not renewed", goes_on).await.unwrap();
    }
    until_renewed(&world, "alice", "now").await;
    assert_eq!(world.operator.id(), process);
    assert!(world.operator.is_running() && world.operator.leads().await.unwrap());
}
