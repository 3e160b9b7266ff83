//! A namespace goes: its Secrets are taken away before its users are deleted, and nothing may be made for them any more.

use acs_emulator::Operation;
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{World, message, ready};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use serde_json::json;

use super::policy::{EVERYBODY, Policy};
use super::world_and_neighbour;

const USERS: usize = 5;

async fn delete_namespace(world: &World, name: &str) {
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces.delete(name, &DeleteParams::default()).await.unwrap();
}

async fn until_namespace_is_gone(world: &World, name: &str) {
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    world.until_none(&namespaces, name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_goes_takes_its_identities_along_and_costs_no_token() {
    let world = world_and_neighbour().await;
    let leaving = &world.neighbours[0];
    let create = async |number: usize| {
        let name = format!("user-{number}");
        let spec = json!({"token": {"scopes": ["voip"]}});
        leaving.create(&name, spec).await?;
        leaving.until_reason(&name, "TokenIssued").await
    };
    try_join_all((0..USERS).map(create)).await.unwrap();
    world.quiet().await;
    let before = world.acs().last_call();
    // In a large namespace it takes a while until the users are deleted too.
    let attempt = async || {
        let params = DeleteParams::default().dry_run();
        leaving.users().delete("user-0", &params).await.map(drop)
    };
    let deletion = ("acs-operator.dev", "communicationusers", "DELETE");
    let policy = Policy::refuse(&world, &leaving.namespace, EVERYBODY, deletion, attempt).await;
    delete_namespace(&world, &leaving.namespace).await;
    let told = |user: &CommunicationUser| message(user).contains("being terminated");
    for number in 0..USERS {
        let user = leaving.until(&format!("user-{number}"), "told", told).await.unwrap();
        assert_eq!(ready(&user).unwrap(), ("False".into(), "Progressing".into()));
    }
    assert!(world.calls_since(before).is_empty(), "{:#?}", world.calls_since(before));

    policy.lift().await;
    let is_empty = async || Ok(leaving.users().list(&ListParams::default()).await?.items.is_empty());
    world.eventually("users are left", is_empty).await.unwrap();
    until_namespace_is_gone(&world, &leaving.namespace).await;
    let calls = world.calls_since(before);
    assert!(
        calls.iter().all(|call| call.operation == Operation::Delete),
        "{calls:#?}"
    );
    assert_eq!(world.acs().identities(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_served_while_a_namespace_goes() {
    let world = world_and_neighbour().await;
    let leaving = &world.neighbours[0];
    // What others have not let go keeps the namespace, without its Secrets, for as long as they like.
    let spec = json!({"token": {"scopes": ["voip"]}});
    leaving.create("alice", spec.clone()).await.unwrap();
    leaving.until_reason("alice", "TokenIssued").await.unwrap();
    let finalizers = json!({"metadata": {"finalizers": ["acs-operator.dev/identity", "example.com/somebody-else"]}});
    leaving.patch("alice", finalizers).await.unwrap();
    delete_namespace(&world, &leaving.namespace).await;
    let is_gone = async || Ok(world.acs().identities().is_empty());
    world.eventually("the identity is left", is_gone).await.unwrap();
    let before = world.traffic.requests();
    world.create("bob", spec).await.unwrap();
    world.until_reason("bob", "TokenIssued").await.unwrap();
    world.quiet().await;
    let requests = world.traffic.requests() - before;
    assert!(requests < 20, "{requests}");
    let alice = leaving.users().get("alice").await.unwrap();
    assert_eq!(ready(&alice).unwrap().0, "False", "she has no token any more");
    assert!(
        message(&alice).contains("example.com/somebody-else"),
        "{}",
        message(&alice)
    );
    leaving
        .patch("alice", json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    until_namespace_is_gone(&world, &leaving.namespace).await;
}
