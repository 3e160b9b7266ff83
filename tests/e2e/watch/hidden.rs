//! A connection that this version of the operator cannot decode is there all the same.

use acs_operator_testbed::{Passed, Reply, World, WorldSettings, message};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::settings;

/// An event in which the connection named default is not as its kind has it.
fn spoiled(text: &str) -> String {
    let Ok(mut event) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    if event["object"]["metadata"]["name"] == "default" && event["object"]["spec"].is_object() {
        event["object"]["spec"]["suspend"] = json!("on Fridays");
    }
    event.to_string() + "\n"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environments_connection_stands_in_for_a_default_that_is_not_there_and_for_none_that_cannot_be_decoded() {
    let world = World::start(WorldSettings {
        cluster_wide: true,
        ..settings()
    })
    .await
    .unwrap();
    // So that nothing else is new of it later on.
    let is_proven = async || Ok(world.operator.log().contains("credential proven"));
    world.eventually("its key is not proven", is_proven).await.unwrap();
    let watches = |request: &Passed| {
        request.path.contains("/clustercommunicationconnections?") && request.path.contains("watch=true")
    };
    world.traffic.disturb(watches, usize::MAX, Reply::Rewritten(spoiled));
    world.gate.end_watches();
    let auth = json!({"connectionString": {"secretRef": {"name": "acs", "namespace": world.namespace}}});
    let spec = json!({"auth": auth, "allowedNamespaces": {"names": [world.namespace]}});
    world.connect_cluster("default", spec).await.unwrap();
    let is_said = async || Ok(world.operator.log().contains("it cannot be decoded"));
    world.eventually("the log does not tell of it", is_said).await.unwrap();
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "ConnectionNotReady").await.unwrap();
    let told = "cannot decode ClusterCommunicationConnection/default";
    assert!(message(&alice).contains(told), "{}", message(&alice));
    assert!(world.calls().is_empty());

    let connections = world.cluster_connections();
    connections.delete("default", &DeleteParams::default()).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
}
