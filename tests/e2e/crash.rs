//! The operator is killed with SIGKILL around each of its requests, and a new one takes over.

use std::collections::BTreeSet;

use acs_emulator::{Operation, TokenState};
use acs_operator_testbed::{CEILING, Stop, World, identity};
use kube::api::ListParams;
use serde_json::json;

use crate::world;

/// Identities in ACS that no object names must all be counted as suspected orphans, in status and in the metric.
async fn check(world: &World, context: &str) -> usize {
    let users = world.users().list(&ListParams::default()).await.unwrap();
    let named: BTreeSet<_> = users.iter().filter_map(identity).collect();
    let alive: BTreeSet<_> = world
        .acs()
        .identities()
        .into_iter()
        .map(|identity| identity.id)
        .collect();
    for id in &named {
        assert!(alive.contains(id), "{context}: {id} is recorded and does not exist");
    }
    alive.difference(&named).count()
}

/// Kills the operator at `stop` of what `begin` sets off, and lets a successor begin.
async fn kill_at(world: &mut World, stop: Stop) {
    world.traffic.stopped(CEILING).await.unwrap();
    world.operator.kill();
    world.traffic.reset(None);
    world.operator.restart().unwrap();
    world
        .operator
        .ready()
        .await
        .unwrap_or_else(|error| panic!("{stop:?}: {error:#}"));
}

fn stops(requests: usize) -> impl Iterator<Item = Stop> {
    (0..requests).flat_map(|number| [Stop::Before(number), Stop::After(number)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_request_of_a_create_it_ends_in_one_recorded_identity_or_a_counted_orphan() {
    let mut world = world().await;
    let mut unaccounted_before = 0;
    for (number, stop) in stops(5).enumerate() {
        let name = format!("user-{number}");
        world.traffic.reset(Some(stop));
        world
            .create(&name, json!({"token": {"scopes": ["voip"]}}))
            .await
            .unwrap();
        kill_at(&mut world, stop).await;

        let user = world.until_reason(&name, "TokenIssued").await.unwrap();
        let values = world.secret_values(&name).await.unwrap();
        assert_eq!(Some(&values["userId"]), identity(&user).as_ref(), "{stop:?}");
        let counted = user.status.unwrap().identity.unwrap().suspected_orphans.unwrap_or(0);
        let unaccounted = check(&world, &format!("{stop:?}")).await;
        assert!(
            unaccounted - unaccounted_before <= usize::try_from(counted).unwrap(),
            "{stop:?}: {} identities without an object, {counted} counted",
            unaccounted - unaccounted_before
        );
        let metric = world
            .operator
            .metric("acs_operator_suspected_orphans_total")
            .await
            .unwrap();
        assert!((metric - f64::from(counted)).abs() < 0.5, "{stop:?}: {metric}");
        unaccounted_before = unaccounted;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_request_of_a_deletion_it_ends_with_nothing_left() {
    let mut world = world().await;
    for (number, stop) in stops(3).enumerate() {
        let name = format!("user-{number}");
        world
            .create(&name, json!({"token": {"scopes": ["voip"]}}))
            .await
            .unwrap();
        world.until_reason(&name, "TokenIssued").await.unwrap();
        world.quiet().await;
        world.traffic.reset(Some(stop));
        world.delete(&name).await.unwrap();
        kill_at(&mut world, stop).await;

        world
            .until_gone(&name)
            .await
            .unwrap_or_else(|error| panic!("{stop:?}: {error:#}"));
        assert!(world.acs().identities().is_empty(), "{stop:?}");
        assert!(world.secrets().get_opt(&name).await.unwrap().is_none(), "{stop:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_request_of_a_renewal_the_secret_holds_a_valid_token_of_the_identity() {
    let mut world = world().await;
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let before = world.until_reason("alice", "TokenIssued").await.unwrap();
    for (number, stop) in stops(3).enumerate() {
        world.quiet().await;
        world.traffic.reset(Some(stop));
        let request = format!("request {number}");
        let annotations = json!({"acs-operator.dev/renew-requested-at": request});
        world
            .patch("alice", json!({"metadata": {"annotations": annotations}}))
            .await
            .unwrap();
        kill_at(&mut world, stop).await;

        let handled = |user: &acs_operator::api::CommunicationUser| {
            user.status
                .as_ref()
                .is_some_and(|status| status.last_handled_renew_at.as_deref() == Some(request.as_str()))
        };
        let user = world.until("alice", "renewed", handled).await.unwrap();
        assert_eq!(identity(&user), identity(&before), "{stop:?}");
        let values = world.secret_values("alice").await.unwrap();
        assert_eq!(Some(&values["userId"]), identity(&user).as_ref(), "{stop:?}");
        assert!(
            world.acs().token_state(&values["token"]) == TokenState::Valid,
            "{stop:?}"
        );
    }
    assert_eq!(world.acs().identities().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_create_and_record_and_then_deleted_it_is_counted_and_goes() {
    let mut world = world().await;
    let stop = Stop::After(1);
    world.traffic.reset(Some(stop));
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.traffic.stopped(CEILING).await.unwrap();
    world.operator.kill();
    world.traffic.reset(None);
    world.delete("alice").await.unwrap();
    world.operator.restart().unwrap();
    world.until_gone("alice").await.unwrap();
    assert_eq!(world.acs().identities().len(), 1, "nobody knows its id");
    let suspected = world.operator.metric("acs_operator_suspected_orphans_total").await;
    assert_eq!(suspected.unwrap().to_string(), "1");
}

/// The calls to ACS that follow what `ask` asks of a settled alice, when the operator is killed at `stop` of it.
async fn calls_after_a_kill(world: &mut World, stop: Stop, name: &str, patch: serde_json::Value) -> Vec<Operation> {
    world
        .create(name, json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason(name, "TokenIssued").await.unwrap();
    world.quiet().await;
    let before = world.acs().last_call();
    world.traffic.reset(Some(stop));
    world.patch(name, patch).await.unwrap();
    kill_at(world, stop).await;
    world.quiet().await;
    let user = world.until_reason(name, "TokenIssued").await.unwrap();
    let user_id = identity(&user).unwrap();
    let secrets = world.secrets().list(&ListParams::default()).await.unwrap();
    let named = format!("{}/{name}", world.namespace);
    let mut tokens = Vec::new();
    for secret in secrets {
        let annotations = secret.metadata.annotations.unwrap_or_default();
        if annotations.get("acs-operator.dev/user") == Some(&named) {
            let values = world.secret_values(&secret.metadata.name.unwrap()).await.unwrap();
            assert_eq!(values["userId"], user_id, "{stop:?}");
            tokens.push(world.acs().token_state(&values["token"]));
        }
    }
    assert_eq!(tokens, [TokenState::Valid], "{stop:?}");
    let calls = world.calls_since(before).into_iter();
    calls.map(|call| call.operation).collect()
}

/// A revocation is told in status, carried out, and followed by a token, its Secret and status.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_during_a_revocation_the_next_operator_never_revokes_the_token_that_was_handed_out() {
    use Operation::{Issue, Revoke};
    let mut world = world().await;
    let ask = json!({"metadata": {"annotations": {"acs-operator.dev/revoke-requested-at": "now"}}});
    for (stop, name, expected) in [
        (Stop::After(1), "revoked", vec![Revoke, Revoke, Issue]),
        (Stop::After(2), "issued", vec![Revoke, Issue, Revoke, Issue]),
        (Stop::After(3), "written", vec![Revoke, Issue]),
        (Stop::After(4), "recorded", vec![Revoke, Issue]),
    ] {
        let calls = calls_after_a_kill(&mut world, stop, name, ask.clone()).await;
        assert_eq!(calls, expected, "{name}");
    }
}

/// A renamed Secret is written, the old one deleted, status written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_a_secret_is_renamed_the_next_operator_finishes_without_a_call() {
    let mut world = world().await;
    for (number, stop) in stops(3).enumerate() {
        let renamed = json!({"spec": {"secret": {"name": format!("other-{number}")}}});
        let calls = calls_after_a_kill(&mut world, stop, &format!("user-{number}"), renamed).await;
        assert_eq!(calls, [], "{stop:?}");
    }
}
