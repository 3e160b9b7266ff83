//! A connection that does not work is one fault, however many users it has.

use std::collections::BTreeMap;

use acs_emulator::{Fault, KeySlot, Operation};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{CEILING, World, message, ready};
use kube::api::ListParams;

use super::{
    accepted, by_connection_string, contoso, issued, of_contoso, put_connection_string, put_keys, refused_contoso,
    regenerate, renew, unconnected, users_of_contoso, watchful,
};
use crate::alice::until_renewed;

const MANY: usize = 20;

fn names() -> Vec<String> {
    (0..MANY).map(|number| format!("user-{number}")).collect()
}

/// The version of each user: it changes with every write.
async fn versions(world: &World) -> BTreeMap<String, String> {
    let users = world.users().list(&ListParams::default()).await.unwrap();
    let version = |user: CommunicationUser| (user.metadata.name.unwrap(), user.metadata.resource_version.unwrap());
    users.into_iter().map(version).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_new_users_of_a_refused_key_cause_probes_and_no_other_call_and_all_go_on_after_the_repair() {
    let world = unconnected().await;
    refused_contoso(&world, &world.resource).await;
    for name in names() {
        world.create(&name, of_contoso()).await.unwrap();
    }
    for name in names() {
        world.until_reason(&name, "ConnectionNotReady").await.unwrap();
    }
    let told = versions(&world).await;
    let before = world.acs().last_call();
    let more_probes = |calls: &[_]| calls.len() >= 2;
    world.acs().wait_for_calls(before, CEILING, more_probes).await.unwrap();
    assert_eq!(versions(&world).await, told, "what stays the same is not written again");
    assert!(
        world.resource.work_since(0).is_empty(),
        "{:#?}",
        world.resource.work_since(0)
    );
    let probes = world.resource.probes_since(0).len();
    assert!(probes < MANY, "{probes} probes");

    put_keys(&world, &[("accessKey", &world.resource.key(KeySlot::Primary))]).await;
    for name in names() {
        world.until_reason(&name, "TokenIssued").await.unwrap();
    }
    assert_eq!(world.resource.operations_since(0), [Operation::Create; MANY]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_with_nothing_due_are_not_written_to_when_their_connection_fails() {
    let world = watchful().await;
    contoso(&world, &world.resource).await;
    let all = names();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    users_of_contoso(&world, &all).await;
    world.quiet().await;
    let mut settled = versions(&world).await;
    let before = world.acs().last_call();

    regenerate(&world.resource, KeySlot::Primary);
    world.until_connection_reason("contoso", "AccessDenied").await.unwrap();
    renew(&world, "user-0", "now").await;
    let blocked =
        |user: &CommunicationUser| ready(user).is_some_and(|(is, reason)| is == "True" && reason == "RenewalDelayed");
    let user = world.until("user-0", "told", blocked).await.unwrap();
    assert!(message(&user).contains("contoso"), "{}", message(&user));
    world.quiet().await;
    let mut now = versions(&world).await;
    assert_ne!(now.remove("user-0"), settled.remove("user-0"));
    assert_eq!(now, settled);
    assert!(
        world.resource.work_since(before).is_empty(),
        "{:#?}",
        world.resource.work_since(before)
    );

    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    until_renewed(&world, "user-0", "now").await;
    issued(&world, &all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_refused_call_of_a_user_opens_the_circuit_for_all() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    let all = names();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    users_of_contoso(&world, &all).await;
    let before = world.acs().last_call();
    regenerate(&world.resource, KeySlot::Primary);
    renew(&world, "user-0", "now").await;
    world.until_connection_reason("contoso", "AccessDenied").await.unwrap();
    for name in &all[1..] {
        renew(&world, name, "now").await;
    }
    for name in &all {
        world.until_reason(name, "RenewalDelayed").await.unwrap();
    }
    assert_eq!(world.resource.operations_since(before), [Operation::Issue]);
    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    for name in &all {
        until_renewed(&world, name, "now").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_never_proven_says_whether_acs_is_away_or_asks_to_wait() {
    let world = unconnected().await;
    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    let away = world.acs().inject(Fault::status(503));
    world.connect("contoso", by_connection_string()).await.unwrap();
    world.create("alice", of_contoso()).await.unwrap();
    world
        .until_connection_reason("contoso", "ServiceUnavailable")
        .await
        .unwrap();
    world.until_reason("alice", "ConnectionNotReady").await.unwrap();
    // In this order: no probe is answered well in between.
    world.acs().inject(Fault::throttled(None));
    world.acs().remove_fault(away);
    world.until_connection_reason("contoso", "Throttled").await.unwrap();
    assert!(world.resource.work_since(0).is_empty());
    world.acs().clear_faults();
    accepted(&world).await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_does_not_make_a_proven_connection_unready_and_everything_due_follows_its_end() {
    let world = watchful().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    let before = world.acs().last_call();
    world.acs().inject(Fault::status(503));
    renew(&world, "alice", "now").await;
    world.until_reason("alice", "RenewalDelayed").await.unwrap();
    let probed = |calls: &[_]| calls.len() >= 3;
    world.acs().wait_for_calls(before, CEILING, probed).await.unwrap();
    let connection = world.connections().get("contoso").await.unwrap();
    assert_eq!(
        ready(&connection).unwrap().0,
        "True",
        "its credential is as good as before"
    );
    world.acs().clear_faults();
    until_renewed(&world, "alice", "now").await;
}
