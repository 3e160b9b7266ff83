//! An operator that serves the whole cluster also writes to cluster connections. Each of these tests has a control plane
//! of its own.

use std::time::Instant;

use acs_emulator::Operation;
use acs_operator::api::{ClusterCommunicationConnection, CommunicationUser, names::finalizer};
use acs_operator_testbed::{
    CEILING, Moment, Place, Resource, World, WorldSettings, has_reason, identity, message, ready,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{SERVED_WITHIN, count, issued, platform_key, renew, wrong_key};
use crate::settings;

async fn cluster(connected: bool) -> World {
    World::start(WorldSettings {
        connected,
        cluster_wide: true,
        ..settings()
    })
    .await
    .unwrap()
}

/// The ClusterCommunicationConnection `default`, to a resource, with its credential in this world's own namespace.
async fn default_connection(world: &World, resource: &Resource, allowed: Value) {
    let auth = platform_key(world, resource).await;
    let spec = json!({"auth": auth, "allowedNamespaces": allowed});
    world.connect_cluster("default", spec).await.unwrap();
}

fn user() -> Value {
    json!({"token": {"scopes": ["voip"]}})
}

async fn until_default(
    world: &World,
    what: &str,
    wanted: impl Fn(&ClusterCommunicationConnection) -> bool,
) -> ClusterCommunicationConnection {
    world
        .until_is(&world.cluster_connections(), "default", what, wanted)
        .await
        .unwrap()
}

async fn label(world: &World, place: &Place, labels: Value) {
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
    let params = PatchParams::default();
    namespaces.patch(&place.namespace, &params, &patch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_named_default_serves_whom_it_allows_instead_of_the_environments() {
    let world = cluster(true).await;
    // Until there is one, the environment's stands in for it.
    world.create("early", user()).await.unwrap();
    let early = world.until_reason("early", "TokenIssued").await.unwrap();
    assert!(world.acs().identity(&identity(&early).unwrap()).is_some());
    world.delete("early").await.unwrap();
    world.until_gone("early").await.unwrap();
    let before = world.acs().last_call();

    let resource = world.another_resource().await.unwrap();
    default_connection(&world, &resource, json!({"selector": {"matchLabels": {"acs": "yes"}}})).await;
    until_default(&world, "proven", has_reason("CredentialAccepted")).await;
    let (served, other) = (world.new_place().await.unwrap(), world.new_place().await.unwrap());
    label(&world, &served, json!({"acs": "yes"})).await;
    for place in [&served, &other] {
        place.create("alice", user()).await.unwrap();
    }
    let alice = served.until_reason("alice", "TokenIssued").await.unwrap();
    assert!(resource.identity(&identity(&alice).unwrap()).is_some());
    other.until_reason("alice", "ConnectionNotAllowed").await.unwrap();
    assert!(world.resource.work_since(before).is_empty());

    label(&world, &other, json!({"acs": "yes"})).await;
    other.until_reason("alice", "TokenIssued").await.unwrap();
    label(&world, &served, json!({"acs": null})).await;
    // Which tells that the operator has seen it: users come by another watch.
    served.create("bob", user()).await.unwrap();
    served.until_reason("bob", "ConnectionNotAllowed").await.unwrap();
    served.delete("bob").await.unwrap();
    served.until_gone("bob").await.unwrap();
    renew(&served, "alice", "now").await;
    let told = |user: &CommunicationUser| message(user).contains("allowedNamespaces");
    served.until("alice", "told", told).await.unwrap();

    let counted = until_default(&world, "counted", |connection| {
        connection.status.as_ref().is_some_and(|status| status.users == Some(2))
    })
    .await;
    let held = counted.metadata.finalizers.unwrap_or_default();
    assert_eq!(held, [finalizer::IN_USE]);
    let printed = world.control_plane.kubectl(["get", "cacsc", "default"]).unwrap();
    let row: Vec<_> = printed.lines().nth(1).unwrap().split_whitespace().take(3).collect();
    assert_eq!(row, ["default", "True", "CredentialAccepted"], "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_go_with_their_identities_though_the_one_with_the_shared_credential_goes_too() {
    let mut world = cluster(false).await;
    let resource = world.another_resource().await.unwrap();
    default_connection(&world, &resource, json!({"selector": {}})).await;
    let places = [world.new_place().await.unwrap(), world.new_place().await.unwrap()];
    for place in &places {
        for name in ["alice", "bob"] {
            place.create(name, user()).await.unwrap();
        }
    }
    for place in &places {
        issued(place, &["alice", "bob"]).await;
    }
    let held = async || {
        let secret = world.secrets().get("platform-key").await?;
        Ok(secret.metadata.finalizers.unwrap_or_default() == [finalizer::CREDENTIAL_IN_USE])
    };
    world.eventually("the credential is not held", held).await.unwrap();

    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let params = DeleteParams::default();
    // First the credential's, which is held until the users of the other ones are gone, whoever runs meanwhile.
    namespaces.delete(&world.namespace, &params).await.unwrap();
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    world.quiet().await;
    assert!(world.secrets().get_opt("platform-key").await.unwrap().is_some());
    let connections = world.cluster_connections();
    connections.delete("default", &params).await.unwrap();
    for place in &places {
        namespaces.delete(&place.namespace, &params).await.unwrap();
    }
    for namespace in [&world.namespace, &places[0].namespace, &places[1].namespace] {
        world.until_none(&namespaces, namespace).await.unwrap();
    }
    world.until_none(&connections, "default").await.unwrap();
    assert!(resource.identities().is_empty(), "{:#?}", resource.identities());
    assert_eq!(count(&resource, 0, Operation::Delete), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_cluster_connection_waits_for_users_in_every_namespace() {
    let world = cluster(false).await;
    default_connection(&world, &world.resource, json!({"selector": {}})).await;
    let place = world.new_place().await.unwrap();
    place.create("alice", user()).await.unwrap();
    place.until_reason("alice", "TokenIssued").await.unwrap();
    let params = DeleteParams::default();
    world.cluster_connections().delete("default", &params).await.unwrap();
    let leaving = until_default(&world, "leaving", |connection| message(connection).contains("one user")).await;
    assert_eq!(ready(&leaving).unwrap().0, "False");
    place.create("bob", user()).await.unwrap();
    let bob = place.until_reason("bob", "ConnectionNotReady").await.unwrap();
    assert!(message(&bob).contains("being deleted"), "{}", message(&bob));
    for name in ["alice", "bob"] {
        place.delete(name).await.unwrap();
        place.until_gone(name).await.unwrap();
    }
    world.until_none(&world.cluster_connections(), "default").await.unwrap();
    assert!(world.acs().identities().is_empty());
}

/// The API server is slow to take it down. A process that is to end has no time for that, and the next one looks again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_asked_to_end_leaves_secrets_that_nothing_names_any_more_to_the_next() {
    let mut world = cluster(false).await;
    world.operator.stop(CEILING).await.unwrap();
    world
        .put_credential("left", &[("accessKey", &wrong_key())])
        .await
        .unwrap();
    let held = json!({"metadata": {"finalizers": [finalizer::CREDENTIAL_IN_USE]}});
    let params = PatchParams::default();
    world
        .secrets()
        .patch("left", &params, &Patch::Merge(held))
        .await
        .unwrap();
    let let_go = world
        .traffic
        .hold(Moment::Before, |request| request.path.ends_with("/secrets/left"));
    world.operator.restart().unwrap();
    let_go.caught(CEILING).await.unwrap();
    let asked = Instant::now();
    assert!(world.operator.stop(CEILING).await.unwrap().success());
    assert!(asked.elapsed() < SERVED_WITHIN, "{:?}", asked.elapsed());
    drop(let_go);

    world.operator.restart().unwrap();
    let is_let_go = async || Ok(world.secrets().get("left").await?.metadata.finalizers.is_none());
    world.eventually("it is still held", is_let_go).await.unwrap();
}
