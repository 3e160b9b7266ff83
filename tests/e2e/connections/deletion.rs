//! Users are deleted together with what their deletion needs, in every order.

use acs_emulator::{Fault, KeySlot, Operation};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{CEILING, Moment, Passed, Place, Reply, World, beside, identity, message};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

use super::{
    contoso, count, of_contoso, put_connection_string, regenerate, renew, soon, unconnected, unconnected_with,
    users_of_contoso,
};
use crate::alice::{annotate, notes, until_renewed};

const NAMES: [&str; 3] = ["alice", "bob", "carol"];

/// What people delete before the namespace, one after the other.
const ORDERS: [&[What]; 6] = [
    &[],
    &[What::Secret],
    &[What::Connection],
    &[What::Users],
    &[What::Secret, What::Connection],
    &[What::Connection, What::Users, What::Secret],
];

#[derive(Clone, Copy, Debug)]
enum What {
    Secret,
    Connection,
    Users,
}

async fn delete(place: &Place, what: What) {
    let params = DeleteParams::default();
    match what {
        What::Secret => {
            place.secrets().delete("acs", &params).await.unwrap();
        }
        What::Connection => {
            place.connections().delete("contoso", &params).await.unwrap();
        }
        What::Users => {
            let all = ListParams::default();
            place.users().delete_collection(&params, &all).await.unwrap();
        }
    }
}

fn namespaces(world: &World) -> Api<Namespace> {
    Api::all(world.client.clone())
}

async fn delete_namespace(world: &World, place: &Place) {
    let params = DeleteParams::default();
    namespaces(world).delete(&place.namespace, &params).await.unwrap();
}

/// An operator of so many more namespaces, each with contoso and its users.
async fn neighbourhood(neighbours: usize) -> World {
    let world = unconnected_with(neighbours, &[]).await;
    for place in &world.neighbours {
        contoso(place, &world.resource).await;
        users_of_contoso(place, &NAMES).await;
    }
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_goes_with_every_identity_in_it_whatever_was_deleted_before() {
    let world = neighbourhood(ORDERS.len()).await;
    for (place, order) in world.neighbours.iter().zip(ORDERS) {
        for what in order {
            delete(place, *what).await;
        }
        delete_namespace(&world, place).await;
    }
    for (place, order) in world.neighbours.iter().zip(ORDERS) {
        let gone = world.until_none(&namespaces(&world), &place.namespace).await;
        gone.unwrap_or_else(|error| panic!("{order:?}: {error:#}"));
    }
    assert!(world.acs().identities().is_empty(), "{:#?}", world.acs().identities());
    assert_eq!(
        count(&world.resource, 0, Operation::Delete),
        ORDERS.len() * NAMES.len(),
        "one each"
    );
}

/// As where namespaces may not be watched, or while their watch is down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_namespace_made_anew_under_its_name_a_credential_is_rotated_as_anywhere_though_no_watch_tells_of_it() {
    let world = neighbourhood(1).await;
    let place = &world.neighbours[0];
    let of_namespaces = |request: &Passed| request.path.starts_with("/api/v1/namespaces?");
    world.traffic.disturb(of_namespaces, usize::MAX, Reply::Status(403));
    world.gate.end_watches();
    let is_refused = async || Ok(world.traffic.intercepted() > 0);
    world.eventually("namespaces are watched", is_refused).await.unwrap();
    world.acs().inject(Fault::status(503).on(Operation::Delete));
    delete_namespace(&world, place).await;
    let is_tried = async || Ok(count(&world.resource, 0, Operation::Delete) > 0);
    world.eventually("no identity is deleted", is_tried).await.unwrap();
    let goes = |secret: &Secret| secret.metadata.deletion_timestamp.is_some();
    place.until_is(&place.secrets(), "acs", "going", goes).await.unwrap();
    world.quiet().await;
    let held = place.secrets().get_opt("acs").await.unwrap();
    assert!(
        held.is_some(),
        "what the deletion of users needs goes with its namespace"
    );
    world.acs().clear_faults();
    world.until_none(&namespaces(&world), &place.namespace).await.unwrap();
    assert!(world.acs().identities().is_empty());

    let anew = serde_json::from_value(json!({"metadata": {"name": place.namespace}})).unwrap();
    namespaces(&world).create(&PostParams::default(), &anew).await.unwrap();
    contoso(place, &world.resource).await;
    users_of_contoso(place, &["alice"]).await;
    delete(place, What::Secret).await;
    soon(place.until_none(&place.secrets(), "acs")).await.unwrap();
    renew(place, "alice", "meanwhile").await;
    until_renewed(place, "alice", "meanwhile").await;
    put_connection_string(place, &world.resource, KeySlot::Secondary).await;
    renew(place, "alice", "afterwards").await;
    until_renewed(place, "alice", "afterwards").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_goes_with_every_identity_in_it_when_the_operator_is_killed_in_the_middle() {
    for moment in [Moment::Before, Moment::After] {
        let mut world = neighbourhood(1).await;
        let hold = world.traffic.hold(moment, |request| {
            request.upstream == "ACS" && request.method == "DELETE"
        });
        delete_namespace(&world, &world.neighbours[0]).await;
        hold.caught(CEILING).await.unwrap();
        world.operator.kill();
        hold.release();
        world.operator.restart().unwrap();
        let gone = world
            .until_none(&namespaces(&world), &world.neighbours[0].namespace)
            .await;
        gone.unwrap_or_else(|error| panic!("{moment:?}: {error:#}"));
        assert!(world.acs().identities().is_empty(), "{moment:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_deleted_while_the_operator_is_away_goes_when_it_is_back() {
    let mut world = neighbourhood(ORDERS.len()).await;
    // What holds the Secrets has to be there before.
    world.quiet().await;
    world.operator.kill();
    for (place, order) in world.neighbours.iter().zip(ORDERS) {
        delete_namespace(&world, place).await;
        for what in order {
            // The namespace controller may have been faster.
            let _ = match what {
                What::Secret => place.secrets().delete("acs", &DeleteParams::default()).await.map(drop),
                What::Connection => place
                    .connections()
                    .delete("contoso", &DeleteParams::default())
                    .await
                    .map(drop),
                What::Users => Ok(()),
            };
        }
    }
    world.operator.restart().unwrap();
    for (place, order) in world.neighbours.iter().zip(ORDERS) {
        let gone = world.until_none(&namespaces(&world), &place.namespace).await;
        gone.unwrap_or_else(|error| panic!("{order:?}: {error:#}"));
    }
    assert!(world.acs().identities().is_empty(), "{:#?}", world.acs().identities());
}

/// A user of contoso whose Secret is gone for good: no process remembers what it held.
async fn without_credentials(world: &mut World) {
    contoso(world, &world.resource).await;
    users_of_contoso(world, &["alice"]).await;
    world.quiet().await;
    delete(world, What::Secret).await;
    world.until_none(&world.secrets(), "acs").await.unwrap();
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_without_credentials_is_blocked_and_seen_in_status_event_and_metric_until_they_return() {
    let mut world = unconnected().await;
    without_credentials(&mut world).await;
    let before = world.acs().last_call();
    world.delete("alice").await.unwrap();
    let alice = world.until_reason("alice", "DeletionBlocked").await.unwrap();
    assert_eq!(beside(&alice), ["Reconciling"]);
    for said in [identity(&alice).unwrap().as_str(), "acs-operator.dev/abandon"] {
        assert!(message(&alice).contains(said), "{}", message(&alice));
    }
    let told = async || Ok(!notes(&world, "DeletionBlocked").await?.is_empty());
    world.eventually("no event tells of it", told).await.unwrap();
    let blocked = async |world: &World| world.operator.metric("acs_operator_deletions_blocked").await;
    let one = async || Ok(blocked(&world).await?.to_string() == "1");
    world.eventually("the metric does not count it", one).await.unwrap();
    assert!(world.resource.work_since(before).is_empty());

    put_connection_string(&world, &world.resource, KeySlot::Secondary).await;
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identities().is_empty());
    let none = async || Ok(blocked(&world).await?.to_string() == "0");
    world.eventually("the metric still counts it", none).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_deletion_is_let_go_by_who_names_the_identity_that_is_left() {
    let mut world = unconnected().await;
    without_credentials(&mut world).await;
    world.delete("alice").await.unwrap();
    let alice = world.until_reason("alice", "DeletionBlocked").await.unwrap();
    let id = identity(&alice).unwrap();
    annotate(&world, "abandon", "another").await;
    world.quiet().await;
    assert!(world.users().get_opt("alice").await.unwrap().is_some());
    annotate(&world, "abandon", &id).await;
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identity(&id).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_with_a_refused_key_is_blocked_until_there_is_a_good_one() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    regenerate(&world.resource, KeySlot::Primary);
    world.delete("alice").await.unwrap();
    world.until_reason("alice", "DeletionBlocked").await.unwrap();
    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    soon(world.until_gone("alice")).await.unwrap();
    assert!(world.acs().identities().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_outlive_the_object_of_a_connection_that_someone_forced_away() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice", "bob"]).await;
    world
        .operator_paused(async || {
            delete(&world, What::Connection).await;
            let forced = json!({"metadata": {"finalizers": null}});
            world.patch_connection("contoso", forced).await?;
            world.until_none(&world.connections(), "contoso").await
        })
        .await
        .unwrap();
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    renew(&world, "bob", "now").await;
    let told = |user: &CommunicationUser| message(user).contains("contoso");
    world.until("bob", "told", told).await.unwrap();
    contoso(&world, &world.resource).await;
    until_renewed(&world, "bob", "now").await;
}

fn changes_the_credential(request: &Passed) -> bool {
    request.upstream == "Kubernetes" && request.path.ends_with("/secrets/acs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_an_identity_before_the_secret_that_its_deletion_needs_is_held() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    let hold = world.traffic.hold(Moment::Before, changes_the_credential);
    world.create("alice", of_contoso()).await.unwrap();
    hold.caught(CEILING).await.unwrap();
    world.quiet().await;
    assert!(world.calls().is_empty(), "{:#?}", world.calls());
    hold.release();
    soon(world.until_reason("alice", "TokenIssued")).await.unwrap();
}

/// As by an admission policy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_cannot_be_held_keeps_new_users_waiting_and_those_of_old_lose_nothing() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    world.secrets().delete("acs", &DeleteParams::default()).await.unwrap();
    world.until_none(&world.secrets(), "acs").await.unwrap();
    world
        .traffic
        .intercept(changes_the_credential, usize::MAX, Reply::Status(403));
    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    let tried = async || Ok(world.traffic.intercepted() > 0);
    world.eventually("the Secret is not to be held", tried).await.unwrap();
    world.create("bob", of_contoso()).await.unwrap();
    let bob = world.until_reason("bob", "ConnectionNotReady").await.unwrap();
    assert!(message(&bob).contains("finalizer"), "{}", message(&bob));
    renew(&world, "alice", "now").await;
    until_renewed(&world, "alice", "now").await;
    world.traffic.let_pass();
    world.until_reason("bob", "TokenIssued").await.unwrap();
}

/// Nothing else asks ACS then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_is_deleted_while_its_connection_is_suspended_and_refused_goes_once_the_key_is_good_again() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    let key = world.acs().access_key(KeySlot::Primary);
    regenerate(&world.resource, KeySlot::Primary);
    renew(&world, "alice", "now").await;
    world.until_connection_reason("contoso", "AccessDenied").await.unwrap();
    let suspend = json!({"spec": {"suspend": true}});
    world.patch_connection("contoso", suspend).await.unwrap();
    world.until_connection_reason("contoso", "Suspended").await.unwrap();
    world.quiet().await;
    world.delete("alice").await.unwrap();
    world.until_reason("alice", "DeletionBlocked").await.unwrap();
    world.acs().replace_key(KeySlot::Primary, key);
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identities().is_empty());
}
