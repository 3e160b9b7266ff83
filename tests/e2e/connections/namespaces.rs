//! Cluster connections, and which namespaces they serve. Where the operator watches some namespaces only, others may use
//! the same connections, so it leaves no trace on them.

use acs_emulator::Operation;
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{Place, Reply, World, identity, message, ready};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{of_cluster, platform_key, renew, tokens, unconnected_with};
use crate::alice::until_renewed;
use crate::settings;

/// A world with one more namespace, which holds the credential of a cluster connection that is named after the first one:
/// cluster connections are everybody's who shares the control plane.
async fn platform() -> (World, String) {
    let world = unconnected_with(1, &[]).await;
    let connection = format!("of-{}", world.namespace);
    let auth = platform_key(owner(&world), &world.resource).await;
    let spec = json!({"auth": auth, "allowedNamespaces": {"names": [world.namespace]}});
    world.connect_cluster(&connection, spec).await.unwrap();
    (world, connection)
}

fn owner(world: &World) -> &Place {
    &world.neighbours[0]
}

async fn allow(world: &World, connection: &str, namespaces: &[&str]) {
    let patch = Patch::Merge(json!({"spec": {"allowedNamespaces": {"names": namespaces}}}));
    let params = PatchParams::default();
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
    world.create("alice", of_cluster(&connection)).await.unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(
        alice.status.as_ref().unwrap().connection,
        Some(format!("ClusterCommunicationConnection/{connection}"))
    );
    let stranger = owner(&world);
    stranger.create("mallory", of_cluster(&connection)).await.unwrap();
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

    allow(&world, &connection, &[&world.namespace, &stranger.namespace]).await;
    stranger.until_reason("mallory", "TokenIssued").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_not_served_any_more_gets_no_new_token_and_can_still_delete() {
    let (world, connection) = platform().await;
    for name in ["alice", "leaver"] {
        world.create(name, of_cluster(&connection)).await.unwrap();
        world.until_reason(name, "TokenIssued").await.unwrap();
    }
    let kept = tokens(&world, &["alice"]).await;
    let before = world.acs().last_call();
    allow(&world, &connection, &["another-namespace"]).await;
    // Which tells that the operator has seen it: users come by another watch.
    world.create("bob", of_cluster(&connection)).await.unwrap();
    world.until_reason("bob", "ConnectionNotAllowed").await.unwrap();
    renew(&world, "alice", "now").await;
    let told = |user: &CommunicationUser| message(user).contains("allowedNamespaces");
    let alice = world.until("alice", "told", told).await.unwrap();
    assert_eq!(ready(&alice).unwrap().0, "True", "its token is valid");
    assert_eq!(tokens(&world, &["alice"]).await, kept);

    world.delete("leaver").await.unwrap();
    world.until_gone("leaver").await.unwrap();
    assert_eq!(world.resource.operations_since(before), [Operation::Delete]);
    allow(&world, &connection, &[&world.namespace]).await;
    until_renewed(&world, "alice", "now").await;
    world.until_reason("bob", "TokenIssued").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_connection_never_lets_anybody_adopt() {
    let (world, connection) = platform().await;
    let id = world.resource.make_identity().await.unwrap();
    let before = world.acs().last_call();
    let mut spec = of_cluster(&connection);
    spec["identity"] = json!({"id": id});
    world.create("alice", spec).await.unwrap();
    let alice = world.until_reason("alice", "AdoptionNotAllowed").await.unwrap();
    assert_eq!(identity(&alice), None);
    world.quiet().await;
    assert!(world.resource.work_since(before).is_empty());
}

/// Which may be another resource than that of the environment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environments_connection_serves_nobody_while_it_is_not_known_whether_there_is_another_default() {
    let mut world = World::start(settings()).await.unwrap();
    let lists = |request: &acs_operator_testbed::Passed| request.path.contains("/clustercommunicationconnections");
    world.traffic.disturb(lists, usize::MAX, Reply::Status(500));
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    let user = json!({"token": {"scopes": ["voip"]}});
    world.create("alice", user.clone()).await.unwrap();
    let alice = world.until_reason("alice", "ConnectionNotReady").await.unwrap();
    assert!(message(&alice).contains("could not list"), "{}", message(&alice));
    assert!(world.calls().is_empty());
    // That none can be had is an answer.
    world.traffic.let_pass();
    world.traffic.disturb(lists, usize::MAX, Reply::Status(403));
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.traffic.let_pass();
    world.create("bob", user).await.unwrap();
    world.until_reason("bob", "TokenIssued").await.unwrap();
}
