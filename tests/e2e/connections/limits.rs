//! Each connection keeps to its own share of the rate limits, and takes nothing from another.

use std::time::{Duration, Instant};

use acs_emulator::{Fault, KeySlot, Operation};
use acs_operator_testbed::{CEILING, Moment, Passed, Place, Reply, World, has_reason};
use http::Method;
use jiff::SignedDuration;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::{
    SERVED_WITHIN, by_connection_string, contoso, issued, of_contoso, put_connection_string, soon, unconnected,
    unconnected_with, users_of_contoso, with,
};
use crate::alice::until_revoked;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Connection contoso of a place to the world's resource, with these settings, proven.
async fn contoso_with(world: &World, place: &Place, more: Value) {
    put_connection_string(place, &world.resource, KeySlot::Primary).await;
    let spec = with(by_connection_string(), more);
    place.connect("contoso", spec).await.unwrap();
    super::accepted(place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creates_keep_to_the_share_of_the_declared_limits_and_a_restart_does_not_add_to_it() {
    let mut world = unconnected().await;
    creates_keep_to_their_share(&mut world, async |world| {
        world.operator.restart().unwrap();
        world.operator.ready().await.unwrap();
    })
    .await;
}

/// It stood by for so long that its share would be there, had it begun to count at its start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_takes_over_does_not_add_to_the_share_of_its_predecessor() {
    let mut world = unconnected().await;
    let mut replica = world.another_replica(&[]).await.unwrap();
    replica.operator.ready().await.unwrap();
    creates_keep_to_their_share(&mut world, async |_| {}).await;
}

/// Of twelve creates in thirty seconds a half may be made: one in about five seconds. Another operator follows after the second.
async fn creates_keep_to_their_share(world: &mut World, followed: impl AsyncFnOnce(&mut World)) {
    let limits = json!({"rateLimits": {"create": 12}, "requestBudgetPercent": 50});
    contoso_with(world, world, limits).await;
    for name in NAMES {
        world.create(name, of_contoso()).await.unwrap();
    }
    let two_are_served = async || {
        let users = world.users().list(&ListParams::default()).await?;
        Ok(users.into_iter().filter(has_reason("TokenIssued")).count() >= 2)
    };
    world.eventually("nobody is served", two_are_served).await.unwrap();
    // It lets a create under way come to its end.
    world.operator.stop(CEILING).await.unwrap();
    followed(world).await;
    issued(world, &NAMES).await;
    let creates = world.resource.work_since(0).into_iter();
    let at: Vec<_> = creates
        .filter(|call| call.operation == Operation::Create)
        .map(|call| call.at)
        .collect();
    assert_eq!(at.len(), NAMES.len());
    let gaps: Vec<_> = at.windows(2).map(|two| two[1].duration_since(two[0])).collect();
    // A permit comes every 5.5 s, and its call up to 2.5 s later.
    assert!(gaps.iter().all(|gap| gap.as_secs() >= 2), "{gaps:?}");
    let all = at[NAMES.len() - 1].duration_since(at[0]);
    assert!(
        all.as_secs() >= 5 * (i64::try_from(NAMES.len()).unwrap() - 1) - 2,
        "{all}"
    );
}

/// One create in about five seconds. The API server takes so long to take down the first that it would be made with the second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_an_api_server_holds_up_until_the_next_may_be_made_waits_for_another_turn() {
    let world = unconnected().await;
    let limits = json!({"rateLimits": {"create": 12}, "requestBudgetPercent": 50});
    contoso_with(&world, &world, limits).await;
    let is_announcement = |request: &Passed| request.method == Method::PATCH && request.path.ends_with("/a");
    let announcement = world.traffic.hold(Moment::Before, is_announcement);
    world.create("a", of_contoso()).await.unwrap();
    announcement.caught(CEILING).await.unwrap();
    users_of_contoso(&world, &["b"]).await;
    announcement.release();
    issued(&world, &["a"]).await;
    let calls = world.resource.work_since(0);
    let at: Vec<_> = calls.iter().map(|call| call.at).collect();
    assert_eq!(at.len(), 2, "{calls:#?}");
    let gap = at[1].duration_since(at[0]);
    assert!(gap.as_secs() >= 2, "{gap:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_that_wait_for_their_turn_are_told_so_and_go_on_when_the_limits_are_raised() {
    let world = unconnected().await;
    contoso_with(
        &world,
        &world,
        json!({"rateLimits": {"create": 1}, "requestBudgetPercent": 1}),
    )
    .await;
    for name in NAMES {
        world.create(name, of_contoso()).await.unwrap();
    }
    for name in NAMES {
        world.until_reason(name, "Throttled").await.unwrap();
    }
    assert!(world.resource.work_since(0).is_empty());
    let raise = json!({"spec": {"rateLimits": null, "requestBudgetPercent": 50}});
    world.patch_connection("contoso", raise).await.unwrap();
    soon(issued(&world, &NAMES)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_that_asked_to_wait_is_left_alone_when_the_limits_are_changed_meanwhile() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    world.acs().inject(Fault::throttled(Some("600")).once());
    world.create("a", of_contoso()).await.unwrap();
    world.until_reason("a", "Throttled").await.unwrap();
    let before = world.acs().last_call();
    let changed = json!({"spec": {"rateLimits": {"create": 5000}, "requestBudgetPercent": 100}});
    world.patch_connection("contoso", changed).await.unwrap();
    world.quiet().await;
    world.create("b", of_contoso()).await.unwrap();
    world.until_reason("b", "Throttled").await.unwrap();
    assert_eq!(world.acs().calls_since(before), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_tiny_nor_huge_limits_of_one_tenant_slow_another_at_the_same_resource() {
    for create in [1, 1_000_000] {
        let world = unconnected_with(1, &[]).await;
        let limits = json!({"rateLimits": {"create": create}, "requestBudgetPercent": 100});
        contoso_with(&world, &world.neighbours[0], limits).await;
        contoso(&world, &world.resource).await;
        for number in 0..20 {
            let name = format!("user-{number}");
            world.neighbours[0].create(&name, of_contoso()).await.unwrap();
        }
        soon(users_of_contoso(&world, &NAMES)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_that_asks_one_tenant_to_wait_for_a_day_does_not_slow_another() {
    let world = unconnected_with(1, &[]).await;
    let hostile = world.another_resource().await.unwrap();
    contoso(&world.neighbours[0], &hostile).await;
    hostile.inject(Fault::throttled(Some("86400")));
    contoso(&world, &world.resource).await;
    world.neighbours[0].create("a", of_contoso()).await.unwrap();
    world.neighbours[0].until_reason("a", "Throttled").await.unwrap();
    soon(users_of_contoso(&world, &NAMES)).await;
}

/// As at a port that Azure's hosts drop packets for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_leave_one_tenants_proofs_unanswered_do_not_slow_another() {
    let world = unconnected_with(1, &[]).await;
    let hostile = world.another_resource().await.unwrap();
    hostile.inject(Fault::delay(Duration::from_mins(10)).on(Operation::Revoke));
    let tenant = &world.neighbours[0];
    put_connection_string(tenant, &hostile, KeySlot::Primary).await;
    for number in 0..30 {
        let name = format!("hanging-{number}");
        tenant.connect(&name, by_connection_string()).await.unwrap();
    }
    let hanging = async || Ok(hostile.faults()[0].hits > 3);
    world.eventually("no proof hangs", hanging).await.unwrap();
    soon(contoso(&world, &world.resource)).await;
    // Lets go what hangs, so that the operator ends at once.
    hostile.clear_faults();
}

/// A tenant's resource proves itself, and then leaves every other call unanswered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_that_never_answers_keeps_no_worker_from_the_users_of_another() {
    let world = unconnected_with(1, &["--workers=4"]).await;
    let hostile = world.another_resource().await.unwrap();
    contoso(&world.neighbours[0], &hostile).await;
    hostile.inject(Fault::delay(Duration::from_mins(10)).on(Operation::Create));
    contoso(&world, &world.resource).await;
    for number in 0..20 {
        let name = format!("user-{number}");
        world.neighbours[0].create(&name, of_contoso()).await.unwrap();
    }
    let hanging = async || Ok(hostile.faults()[0].hits > 0);
    world.eventually("no create hangs", hanging).await.unwrap();
    soon(users_of_contoso(&world, &NAMES)).await;
    // Lets go what hangs, so that the operator ends at once.
    hostile.clear_faults();
}

/// The same with as many connections as it takes to have all workers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_of_one_tenant_that_never_answer_keep_no_worker_from_another() {
    let world = unconnected_with(1, &["--workers=4"]).await;
    let (hostile, tenant) = (world.another_resource().await.unwrap(), &world.neighbours[0]);
    put_connection_string(tenant, &hostile, KeySlot::Primary).await;
    contoso(&world, &world.resource).await;
    for number in 0..5 {
        let name = format!("hanging-{number}");
        tenant.connect(&name, by_connection_string()).await.unwrap();
        tenant
            .until_connection_reason(&name, "CredentialAccepted")
            .await
            .unwrap();
    }
    hostile.inject(Fault::delay(Duration::from_mins(10)).on(Operation::Create));
    for number in 0..20 {
        let reference = json!({"name": format!("hanging-{}", number % 5)});
        let user = json!({"connectionRef": reference, "token": {"scopes": ["voip"]}});
        tenant.create(&format!("user-{number}"), user).await.unwrap();
    }
    let hanging = async || Ok(hostile.faults()[0].hits >= 2);
    world.eventually("no creates hang", hanging).await.unwrap();
    soon(users_of_contoso(&world, &NAMES)).await;
    // Lets go what hangs, so that the operator ends at once.
    hostile.clear_faults();
}

/// As when a region is away, where many have their resources: a call of each would be enough to have all workers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_whose_resources_all_leave_calls_unanswered_keep_no_user_of_another_waiting() {
    const REGION: usize = 6;
    let world = unconnected_with(REGION, &["--workers=4"]).await;
    let away = world.another_resource().await.unwrap();
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    for tenant in &world.neighbours {
        contoso(tenant, &away).await;
    }
    away.inject(Fault::delay(Duration::from_mins(10)).on(Operation::Create));
    for number in 0..10 {
        for tenant in &world.neighbours {
            tenant.create(&format!("user-{number}"), of_contoso()).await.unwrap();
        }
    }
    let hanging = async || Ok(away.faults()[0].hits >= 4);
    world.eventually("too few creates hang", hanging).await.unwrap();
    let begun = Instant::now();
    let revoke = json!({"metadata": {"annotations": {"acs-operator.dev/revoke-requested-at": "now"}}});
    world.patch("alice", revoke).await.unwrap();
    users_of_contoso(&world, &["newcomer"]).await;
    until_revoked(&world, "alice", "now").await;
    assert!(begun.elapsed() < SERVED_WITHIN * 4, "{:?}", begun.elapsed());
    // Lets go what hangs, so that the operator ends at once.
    away.clear_faults();
}

/// As after a restart of an operator with many connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_tenants_connections_only_a_share_is_proven_at_a_time_and_all_in_the_end() {
    const SHARE: u32 = 16;
    let world = unconnected_with(1, &[]).await;
    let slow = world.another_resource().await.unwrap();
    slow.inject(Fault::delay(Duration::from_secs(5)).on(Operation::Revoke));
    let tenant = &world.neighbours[0];
    put_connection_string(tenant, &slow, KeySlot::Primary).await;
    let names: Vec<_> = (0..SHARE + 4).map(|number| format!("slow-{number}")).collect();
    for name in &names {
        tenant.connect(name, by_connection_string()).await.unwrap();
    }
    let hits = || slow.faults()[0].hits;
    let full = async || Ok(hits() >= SHARE);
    world.eventually("too few are proven", full).await.unwrap();
    soon(contoso(&world, &world.resource)).await;
    // In this order: one that ends meanwhile makes room for another.
    let begun = hits();
    let over = u32::try_from(slow.probes_since(0).len()).unwrap();
    assert!(begun <= SHARE + over, "{begun} have begun, {over} are over");
    slow.clear_faults();
    for name in &names {
        tenant
            .until_connection_reason(name, "CredentialAccepted")
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identities_that_cannot_be_recorded_are_deleted_again_no_faster_than_the_limits_allow() {
    const USERS: usize = 8;
    let world = unconnected().await;
    // One is deleted in 1.1 seconds.
    let limits = json!({"rateLimits": {"create": 100_000, "delete": 30}, "requestBudgetPercent": 100});
    contoso_with(&world, &world, limits).await;
    world
        .traffic
        .intercept(Passed::is_status_of_user, USERS, Reply::Status(403));
    let before = world.acs().last_call();
    for number in 0..USERS {
        world.create(&format!("user-{number}"), of_contoso()).await.unwrap();
    }
    for number in 0..USERS {
        world
            .until_reason(&format!("user-{number}"), "TokenIssued")
            .await
            .unwrap();
    }
    let calls = world.resource.work_since(before).into_iter();
    let deletes: Vec<_> = calls.filter(|call| call.operation == Operation::Delete).collect();
    // A refusal may meet what is told of one that waits instead of a record.
    assert!(deletes.len() > USERS / 2, "{deletes:#?}");
    let took = deletes[deletes.len() - 1].at.duration_since(deletes[0].at);
    let pauses = i32::try_from(deletes.len() - 1).unwrap();
    assert!(took > SignedDuration::from_millis(500) * pauses, "{took:?}");
}
