//! Cluster connections, and which namespaces they serve. Where the operator watches some namespaces only, others may use
//! the same connections, so it leaves no trace on them.

use acs_emulator::{KeySlot, Operation};
use acs_operator_testbed::{Place, World, WorldSettings, identity, message, ready};
use serde_json::{Value, json};

use super::{renew, renewed, tokens};
use crate::settings;

/// A world with one more namespace, which holds the credential of a cluster connection that is named after the first one:
/// cluster connections are everybody's who shares the control plane.
async fn platform() -> (World, String) {
    let world = World::start(WorldSettings {
        connected: false,
        neighbours: 1,
        ..settings()
    })
    .await
    .unwrap();
    let connection = format!("of-{}", world.namespace);
    let string = world.resource.connects(KeySlot::Primary);
    credential_place(&world)
        .put_credential("platform-key", &[("connectionString", &string)])
        .await
        .unwrap();
    let spec = spec(&world, json!({"names": [world.namespace]}));
    world.connect_cluster(&connection, spec).await.unwrap();
    (world, connection)
}

fn credential_place(world: &World) -> &Place {
    &world.neighbours[0]
}

fn spec(world: &World, allowed: Value) -> Value {
    let secret = json!({"name": "platform-key", "namespace": credential_place(world).namespace});
    json!({"auth": {"connectionString": {"secretRef": secret}}, "allowedNamespaces": allowed})
}

fn user_of(connection: &str) -> Value {
    let reference = json!({"kind": "ClusterCommunicationConnection", "name": connection});
    json!({"connectionRef": reference, "token": {"scopes": ["voip"]}})
}

async fn allow(world: &World, connection: &str, allowed: Value) {
    let patch = kube::api::Patch::Merge(json!({"spec": {"allowedNamespaces": allowed}}));
    let params = kube::api::PatchParams::default();
    world
        .cluster_connections()
        .patch(connection, &params, &patch)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_connection_serves_the_namespaces_that_it_names_and_nothing_is_written_to_it() {
    let (world, connection) = platform().await;
    let before = world.cluster_connections().get(&connection).await.unwrap();
    world.create("alice", user_of(&connection)).await.unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(
        alice.status.as_ref().unwrap().connection,
        Some(format!("ClusterCommunicationConnection/{connection}"))
    );
    let stranger = credential_place(&world);
    stranger.create("mallory", user_of(&connection)).await.unwrap();
    let mallory = stranger.until_reason("mallory", "ConnectionNotAllowed").await.unwrap();
    for said in [stranger.namespace.as_str(), "allowedNamespaces"] {
        assert!(message(&mallory).contains(said), "{}", message(&mallory));
    }
    world.quiet().await;
    assert_eq!(world.resource.operations_since(0), [Operation::Create]);
    let now = world.cluster_connections().get(&connection).await.unwrap();
    assert_eq!(now.metadata.resource_version, before.metadata.resource_version);
    let secret = stranger.secrets().get("platform-key").await.unwrap();
    assert_eq!(secret.metadata.finalizers, None);

    allow(
        &world,
        &connection,
        json!({"names": [world.namespace, stranger.namespace]}),
    )
    .await;
    stranger.until_reason("mallory", "TokenIssued").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_not_served_any_more_gets_no_new_token_and_can_still_delete() {
    let (world, connection) = platform().await;
    for name in ["alice", "leaver"] {
        world.create(name, user_of(&connection)).await.unwrap();
        world.until_reason(name, "TokenIssued").await.unwrap();
    }
    let kept = tokens(&world, &["alice"]).await;
    let before = world.acs().last_call();
    allow(&world, &connection, json!({"names": ["another-namespace"]})).await;
    renew(&world, "alice", "now").await;
    let told = |user: &acs_operator::api::CommunicationUser| message(user).contains("allowedNamespaces");
    let alice = world.until("alice", "told", told).await.unwrap();
    assert_eq!(ready(&alice).unwrap().0, "True", "its token is valid");
    world.create("bob", user_of(&connection)).await.unwrap();
    world.until_reason("bob", "ConnectionNotAllowed").await.unwrap();
    assert_eq!(tokens(&world, &["alice"]).await, kept);

    world.delete("leaver").await.unwrap();
    world.until_gone("leaver").await.unwrap();
    assert_eq!(world.resource.operations_since(before), [Operation::Delete]);
    allow(&world, &connection, json!({"names": [world.namespace]})).await;
    renewed(&world, "alice", "now").await;
    world.until_reason("bob", "TokenIssued").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_connection_never_lets_anybody_adopt() {
    let (world, connection) = platform().await;
    let id = world.resource.make_identity().await.unwrap();
    let before = world.acs().last_call();
    let mut spec = user_of(&connection);
    spec["identity"] = json!({"id": id});
    world.create("alice", spec).await.unwrap();
    let alice = world.until_reason("alice", "AdoptionNotAllowed").await.unwrap();
    assert_eq!(identity(&alice), None);
    world.quiet().await;
    assert!(world.resource.work_since(before).is_empty());
}
