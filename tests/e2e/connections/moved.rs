//! The credential of a connection is suddenly another resource's.

use acs_emulator::{KeySlot, Operation};
use acs_operator::api::CommunicationConnection;
use acs_operator_testbed::{identity, message, ready};
use kube::api::DeleteParams;
use serde_json::json;

use super::{accepted, contoso, of_contoso, put_connection_string, renew, soon, tokens, unconnected, users_of_contoso};
use crate::alice::until_renewed;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_string_of_another_resource_is_not_used_for_identities_of_the_first() {
    let mut world = unconnected().await;
    let other = world.another_resource().await.unwrap();
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice", "leaver", "tokenless"]).await;
    let kept = tokens(&world, &["alice"]).await;
    let before = world.acs().last_call();

    put_connection_string(&world, &other, KeySlot::Primary).await;
    let connection = world
        .until_connection_reason("contoso", "ResourceMismatch")
        .await
        .unwrap();
    assert_eq!(ready(&connection).unwrap().0, "False");
    for endpoint in [world.resource.url(), other.url()] {
        assert!(message(&connection).contains(&endpoint), "{}", message(&connection));
    }
    renew(&world, "alice", "now").await;
    world.create("bob", of_contoso()).await.unwrap();
    let bob = soon(world.until_reason("bob", "ConnectionNotReady")).await.unwrap();
    let alice = soon(world.until_reason("alice", "RenewalDelayed")).await.unwrap();
    world.delete("leaver").await.unwrap();
    let leaver = soon(world.until_reason("leaver", "DeletionBlocked")).await.unwrap();
    for user in [&alice, &bob, &leaver] {
        assert!(message(user).contains("ResourceMismatch"), "{}", message(user));
    }
    // Its token is lost, and nothing may make another.
    world
        .secrets()
        .delete("tokenless", &DeleteParams::default())
        .await
        .unwrap();
    world.until_reason("tokenless", "ResourceMismatch").await.unwrap();
    // Another process knows it from status alone.
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    world.quiet().await;
    world
        .until_connection_reason("contoso", "ResourceMismatch")
        .await
        .unwrap();
    assert!(other.work_since(0).is_empty(), "{:#?}", other.work_since(0));
    assert!(world.resource.work_since(before).is_empty());
    assert_eq!(tokens(&world, &["alice"]).await, kept);

    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    soon(accepted(&world)).await;
    until_renewed(&world, "alice", "now").await;
    world.until_gone("leaver").await.unwrap();
    let bob = world.until_reason("bob", "TokenIssued").await.unwrap();
    assert!(world.acs().identity(&identity(&bob).unwrap()).is_some());
    assert!(other.work_since(0).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_users_may_move() {
    let world = unconnected().await;
    let other = world.another_resource().await.unwrap();
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    put_connection_string(&world, &other, KeySlot::Primary).await;
    let has_moved = |connection: &CommunicationConnection| {
        let status = connection.status.as_ref().unwrap();
        let is_there = status
            .endpoint
            .as_ref()
            .is_some_and(|is| is.trim_end_matches('/') == other.url());
        is_there && ready(connection).is_some_and(|(is, _)| is == "True")
    };
    world.until_connection("contoso", "moved", has_moved).await.unwrap();
    let bob = users_of_contoso(&world, &["bob"]).await.remove(0);
    assert!(other.identity(&identity(&bob).unwrap()).is_some());
    assert_eq!(other.operations_since(0), [Operation::Create]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_moves_once_nobody_holds_an_identity_of_where_it_was_though_others_wait_for_it() {
    let world = unconnected().await;
    let other = world.another_resource().await.unwrap();
    contoso(&world, &world.resource).await;
    let alice = users_of_contoso(&world, &["alice"]).await.remove(0);
    put_connection_string(&world, &other, KeySlot::Primary).await;
    world
        .until_connection_reason("contoso", "ResourceMismatch")
        .await
        .unwrap();
    world.create("bob", of_contoso()).await.unwrap();
    world.until_reason("bob", "ConnectionNotReady").await.unwrap();
    let let_go = json!({"metadata": {"annotations": {"acs-operator.dev/abandon": identity(&alice).unwrap()}}});
    world.patch("alice", let_go).await.unwrap();
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    let bob = soon(world.until_reason("bob", "TokenIssued")).await.unwrap();
    assert!(other.identity(&identity(&bob).unwrap()).is_some());
    soon(accepted(&world)).await;
}

/// As when it was deleted in Azure and another one has its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_that_was_made_anew_serves_new_users_and_those_of_the_former_one_are_told() {
    let mut world = unconnected().await;
    contoso(&world, &world.resource).await;
    let alice = users_of_contoso(&world, &["alice"]).await.remove(0);
    let (id, former) = (identity(&alice).unwrap(), world.acs().resource_id().to_string());
    world.resource.make_anew().await.unwrap();
    let resource = world.acs().resource_id().to_string();
    for name in ["bob", "carol"] {
        users_of_contoso(&world, &[name]).await;
        let connection = world
            .until_connection_reason("contoso", "ResourceMismatch")
            .await
            .unwrap();
        for said in [&resource, &former, "one user", "acs-operator.dev/abandon"] {
            assert!(message(&connection).contains(said), "{}", message(&connection));
        }
        assert_eq!(connection.status.unwrap().resource_id.as_ref(), Some(&resource));
    }
    renew(&world, "bob", "now").await;
    until_renewed(&world, "bob", "now").await;

    let before = world.acs().last_call();
    renew(&world, "alice", "now").await;
    let alice = soon(world.until_reason("alice", "RenewalDelayed")).await.unwrap();
    let words = format!("is one of the ACS resource {former}");
    assert!(message(&alice).contains(&words), "{}", message(&alice));
    world.delete("alice").await.unwrap();
    soon(world.until_reason("alice", "DeletionBlocked")).await.unwrap();
    assert_eq!(world.resource.operations_since(before), []);
    let let_go = json!({"metadata": {"annotations": {"acs-operator.dev/abandon": id}}});
    world.patch("alice", let_go).await.unwrap();
    world.until_gone("alice").await.unwrap();
    soon(accepted(&world)).await;
}
