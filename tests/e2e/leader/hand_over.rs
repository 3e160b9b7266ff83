//! From one replica to the next: in order, after a crash, and in a rolling update.

use std::{collections::BTreeSet, time::Duration};

use acs_emulator::{Call, Fault, KeySlot, Operation, TokenState};
use acs_operator::api::{CommunicationUser, Scope};
use acs_operator_testbed::{
    CEILING, Moment, Passed, Replica, Reply, Signal, World, WorldSettings, has_reason, identity,
};
use jiff::SignedDuration;
use kube::api::ListParams;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::{SHORT, lease, pair, pair_with, standby, until_leads};
use crate::{
    alice::{annotate, annotate_user, status, until_renewed, until_revoked},
    settings,
};

/// Longer than any test: whoever has to wait for its end is too late.
const LONG: Duration = Duration::from_mins(2);

/// Much more than it takes, for the sake of a busy machine, and nowhere near the end of such a lease.
const MOMENTS: Duration = Duration::from_secs(20);

/// Asks the leader to end in order, and waits until it has and the other leads: how long the latter took.
async fn hand_over(world: &mut World, replica: &Replica) -> Duration {
    let (ended, took) = tokio::join!(world.operator.stop(CEILING), until_leads(&replica.operator, CEILING));
    assert!(ended.unwrap().success());
    took
}

async fn user(world: &World, name: &str) {
    world
        .create(name, json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_leads_at_once_when_no_other_does() {
    let (world, _) = pair(LONG).await;
    let log = world.operator.log();
    let at = |words: &str| {
        let line = log.lines().find(|line| line.contains(words)).unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    let took = at("every object is listed").duration_since(at("watching CommunicationUsers"));
    println!("from its start to its first work: {took:?}");
    let took = Duration::try_from(took).unwrap();
    assert!(took < MOMENTS, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_ends_in_order_the_other_leads_within_moments_and_works() {
    let (mut world, replica) = pair(LONG).await;
    user(&world, "alice").await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    let before = (lease(&world).await, world.acs().last_call());

    let took = hand_over(&mut world, &replica).await;
    println!("from SIGTERM to the next leader: {took:?}");
    assert!(took < MOMENTS, "{took:?}");

    let after = lease(&world).await;
    assert_ne!(after.holder_identity, before.0.holder_identity);
    assert_eq!(
        after.lease_transitions,
        before.0.lease_transitions.map(|count| count + 1)
    );
    assert_eq!(after.lease_duration_seconds, Some(120));
    user(&world, "bob").await;
    world.until_reason("bob", "TokenIssued").await.unwrap();
    assert_eq!(world.calls_since(before.1).len(), 1, "nothing is done again");
}

/// A call is given up after ten seconds otherwise: whoever waits for that is too late.
const WITHOUT_THE_ANSWER: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_ends_does_not_wait_for_a_token_that_acs_leaves_it_waiting_for() {
    let (mut world, replica) = pair(LONG).await;
    user(&world, "alice").await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    let unanswered = Fault::delay(Duration::from_mins(10)).on(Operation::Issue).once();
    world.acs().inject(unanswered);
    annotate(&world, "renew-requested-at", "now").await;
    let hangs = async || Ok(world.acs().faults()[0].hits > 0);
    world.eventually("no call hangs", hangs).await.unwrap();

    let took = hand_over(&mut world, &replica).await;
    println!("from SIGTERM to the next leader, while ACS leaves a call unanswered: {took:?}");
    assert!(
        world.operator.log().contains("is given up"),
        "{}",
        world.operator.log_tail()
    );
    until_renewed(&world, "alice", "now").await;
}

/// The run that asked for it records that nothing was made: nobody else knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_acs_refuses_while_the_leader_ends_leaves_no_suspected_orphan() {
    let (mut world, replica) = pair(LONG).await;
    let refused_late = Fault::throttled(None).on(Operation::Create).once();
    world.acs().inject(refused_late.delayed(Duration::from_secs(4)));
    user(&world, "alice").await;
    let hangs = async || Ok(world.acs().faults()[0].hits > 0);
    world.eventually("no create is under way", hangs).await.unwrap();
    hand_over(&mut world, &replica).await;
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    let identity = status(&alice).identity.as_ref().unwrap();
    assert_eq!(identity.suspected_orphans.unwrap_or(0), 0, "{identity:#?}");
    assert_eq!(world.acs().identities().len(), 1);
}

/// Carried out after the next leader has issued a token, it would end that one too, and nobody would notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_ends_waits_for_a_revocation_so_that_it_ends_no_token_of_the_next() {
    let (mut world, replica) = pair(LONG).await;
    for name in ["alice", "bob"] {
        user(&world, name).await;
        world.until_reason(name, "TokenIssued").await.unwrap();
    }
    world.quiet().await;
    let is_revocation: fn(&Passed) -> bool = |request| request.path.ends_with(":revokeAccessTokens");
    let is_issue: fn(&Passed) -> bool = |request| request.path.ends_with(":issueAccessToken");
    let revocation = world.traffic.hold(Moment::Before, is_revocation);
    let issue = world.traffic.hold(Moment::Before, is_issue);
    annotate_user(&world, "bob", "renew-requested-at", "now").await;
    issue.caught(CEILING).await.unwrap();
    annotate(&world, "revoke-requested-at", "now").await;
    revocation.caught(CEILING).await.unwrap();
    let begun = Instant::now();

    world.operator.signal(Signal::SIGTERM).unwrap();
    let followed = timeout(Duration::from_secs(3), until_leads(&replica.operator, CEILING)).await;
    // On a machine that stands still for as long it may have given up the call itself.
    if begun.elapsed() < WITHOUT_THE_ANSWER {
        assert!(followed.is_err(), "the lease is free before ACS has revoked");
    }
    let is_in_time = begun.elapsed() < WITHOUT_THE_ANSWER;
    revocation.release();
    assert!(world.operator.ended(CEILING).await.unwrap().success());
    until_leads(&replica.operator, CEILING).await;
    until_revoked(&world, "alice", "now").await;
    issue.release();
    until_renewed(&world, "bob", "now").await;
    for name in ["alice", "bob"] {
        let token = world.secret_values(name).await.unwrap()["token"].clone();
        assert!(
            !is_in_time || world.acs().token_state(&token) == TokenState::Valid,
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_is_killed_the_other_leads_when_the_lease_is_over_and_not_before() {
    let (mut world, replica) = pair(SHORT).await;
    user(&world, "alice").await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.operator.kill();
    let took = until_leads(&replica.operator, CEILING).await;
    println!("from SIGKILL to the next leader, of a lease of {SHORT:?}: {took:?}");
    // The last renewal was at most two thirds of the duration old, for otherwise it would not have led any more.
    assert!(took > SHORT / 3, "{took:?}");
    assert!(took < 2 * SHORT, "{took:?}");
    user(&world, "bob").await;
    world.until_reason("bob", "TokenIssued").await.unwrap();
}

/// As a Deployment does it: a new one is ready, then an old one is asked to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_update_loses_nothing_and_makes_nothing_twice() {
    let (mut world, mut second) = pair(LONG).await;
    let mut names = Vec::new();
    let mut herd = async |world: &World, stage: &str| {
        for number in 0..5 {
            let name = format!("{stage}-{number}");
            user(world, &name).await;
            names.push(name);
        }
    };
    herd(&world, "before").await;
    let third: Replica = standby(&world).await;
    herd(&world, "third").await;
    assert!(world.operator.stop(CEILING).await.unwrap().success());
    herd(&world, "first-gone").await;
    let fourth = standby(&world).await;
    assert!(second.operator.stop(CEILING).await.unwrap().success());
    herd(&world, "second-gone").await;

    for name in &names {
        world.until_reason(name, "TokenIssued").await.unwrap();
    }
    let mut leaders = Vec::new();
    for replica in [&third, &fourth] {
        leaders.push(replica.operator.leads().await.unwrap());
    }
    assert_eq!(leaders.iter().filter(|leads| **leads).count(), 1, "{leaders:?}");
    let users = world.users().list(&ListParams::default()).await.unwrap();
    let named: BTreeSet<_> = users.iter().filter_map(identity).collect();
    let alive: BTreeSet<_> = world.acs().identities().into_iter().map(|alive| alive.id).collect();
    assert_eq!((named.len(), named), (names.len(), alive));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_told_late_what_the_last_leader_did_does_nothing_of_it_again() {
    // The leader stands still for a moment, and has to lead after it.
    let (mut world, replica) = pair(2 * SHORT).await;
    user(&world, "alice").await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    let before = world.acs().last_call();
    let both_know = async || {
        world
            .patch("alice", json!({"spec": {"token": {"scopes": ["chat"]}}}))
            .await?;
        // Seen after that, so both are.
        world.create("bob", json!({"suspend": true})).await?;
        let bob = "acs_operator_users{reason=\"Progressing\"}";
        let sees = async || Ok(replica.operator.metric(bob).await? > 0.5);
        world.eventually("the replica does not see bob", sees).await?;
        replica.gate.hold_events();
        Ok(())
    };
    world.operator_paused(both_know).await.unwrap();
    let has_chat = |user: &CommunicationUser| {
        let token = user.status.as_ref().and_then(|status| status.token.as_ref());
        token.is_some_and(|token| token.scopes == [Scope::Chat])
    };
    world.until("alice", "narrowed", has_chat).await.unwrap();
    world.quiet().await;
    world.operator.kill();
    until_leads(&replica.operator, CEILING).await;
    let is_done = async || {
        let mut passed = replica.traffic.passed().into_iter();
        Ok(passed.any(|request| request.path.contains("/alice")))
    };
    world.eventually("it does not look at alice", is_done).await.unwrap();
    replica.gate.release_events();
    world.quiet().await;
    assert_eq!(world.resource.operations_since(before), [Operation::Issue]);
}

/// The leader is killed after it has written the first token, and before it could say so in status.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_told_late_of_a_first_token_issues_no_other() {
    let (mut world, replica) = pair(SHORT).await;
    world.create("alice", json!({})).await.unwrap();
    world.until_reason("alice", "IdentityCreated").await.unwrap();
    world.quiet().await;
    let watches_secrets: fn(&Passed) -> bool =
        |request| request.path.contains("/secrets?") && request.path.contains("watch=true");
    let tells_nothing = Reply::Rewritten(|_| String::new());
    replica.traffic.disturb(watches_secrets, usize::MAX, tells_nothing);
    replica.gate.end_watches();
    let is_deaf = async || Ok(replica.traffic.intercepted() > 0);
    world
        .eventually("Secrets are not watched again", is_deaf)
        .await
        .unwrap();
    let before = world.acs().last_call();
    let is_status: fn(&Passed) -> bool = |request| request.path.ends_with("/alice/status");
    let told = world.traffic.hold(Moment::Before, is_status);
    let token = json!({"spec": {"token": {"scopes": ["voip"]}}});
    world.patch("alice", token).await.unwrap();
    told.caught(CEILING).await.unwrap();
    assert!(!world.secret_values("alice").await.unwrap().is_empty());
    world.operator.kill();
    until_leads(&replica.operator, CEILING).await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(world.resource.operations_since(before), [Operation::Issue]);
}

/// The largest number of these calls in any 30 seconds. A window that begins with a call is as full as any.
fn fullest_window(calls: &[Call]) -> usize {
    let ends = |from: &Call| from.at + SignedDuration::from_secs(30);
    let until = |from: &Call| calls.partition_point(|call| call.at < ends(from));
    let windows = calls.iter().enumerate().map(|(index, from)| until(from) - index);
    windows.max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_middle_of_a_herd_the_next_leader_goes_on_within_moments_twice_nothing_and_inside_the_budget() {
    const HERD: usize = 200;
    const BUDGET: usize = 180;
    let unconnected = WorldSettings {
        connected: false,
        ..settings()
    };
    let (mut world, replica) = pair_with(LONG, unconnected).await;
    let connects = world.resource.connects(KeySlot::Primary);
    world
        .put_credential("acs", &[("connectionString", &connects)])
        .await
        .unwrap();
    let contoso = json!({
        "auth": {"connectionString": {"secretRef": {"name": "acs"}}},
        "rateLimits": {"create": BUDGET}, "requestBudgetPercent": 100,
    });
    world.connect("contoso", contoso).await.unwrap();
    world
        .until_connection_reason("contoso", "CredentialAccepted")
        .await
        .unwrap();
    let spec = json!({"connectionRef": {"name": "contoso"}, "token": {"scopes": ["voip"]}});
    world.create_many("user", HERD, &spec).await.unwrap();

    let asked = Instant::now();
    hand_over(&mut world, &replica).await;
    while replica.traffic.passed().is_empty() {
        assert!(asked.elapsed() < CEILING, "the next leader does nothing");
        sleep(Duration::from_millis(5)).await;
    }
    let took = asked.elapsed();
    println!("in the middle of a herd, from SIGTERM to the first work of the next leader: {took:?}");
    assert!(took < MOMENTS, "{took:?}");

    let served = async || {
        let users = world.users().list(&ListParams::default()).await?;
        Ok(users.into_iter().filter(has_reason("TokenIssued")).count() == HERD)
    };
    assert!(!served().await.unwrap(), "the herd is over before the hand-over");
    world
        .eventually_within(CEILING * 3, "not all are served", served)
        .await
        .unwrap();
    let mut calls = world.resource.work_since(0);
    calls.retain(|call| call.operation == Operation::Create);
    assert_eq!((calls.len(), world.acs().identities().len()), (HERD, HERD));
    let fullest = fullest_window(&calls);
    println!("of {BUDGET} calls in a window at most {fullest} were made");
    assert!(fullest <= BUDGET, "{fullest}");
}
