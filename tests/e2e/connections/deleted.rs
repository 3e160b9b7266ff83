//! A connection is deleted, and what it and its Secret are held by meanwhile.

use acs_emulator::{KeySlot, Operation};
use acs_operator::api::{CommunicationConnection, names::finalizer};
use acs_operator_testbed::{CEILING, Moment, Passed, World, message};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::{
    by_keys, contoso, contoso_with_both_keys, count, of_contoso, platform_key, put_keys, renew, unconnected,
    users_of_contoso,
};
use crate::alice::until_renewed;

fn is_held(metadata: &ObjectMeta, by: &str) -> bool {
    metadata.finalizers.iter().flatten().any(|held| held == by)
}

async fn secret_is_held(world: &World, name: &str) -> anyhow::Result<bool> {
    let secret = world.secrets().get(name).await?;
    Ok(is_held(&secret.metadata, finalizer::CREDENTIAL_IN_USE))
}

async fn until_held(world: &World) {
    let held = async || secret_is_held(world, "acs").await;
    world.eventually("the Secret is not held", held).await.unwrap();
}

/// The connection reads its credential from Secret other instead of acs.
async fn name_another_secret(world: &World) {
    let string = world.resource.connects(KeySlot::Primary);
    world
        .put_credential("other", &[("connectionString", &string)])
        .await
        .unwrap();
    let elsewhere = json!({"spec": {"auth": {"connectionString": {"secretRef": {"name": "other"}}}}});
    world.patch_connection("contoso", elsewhere).await.unwrap();
}

async fn until_the_other_is_held(world: &World) {
    let changed = async || Ok(!secret_is_held(world, "acs").await? && secret_is_held(world, "other").await?);
    world.eventually("the wrong Secret is held", changed).await.unwrap();
}

async fn delete_connection(world: &World) {
    let connections = world.connections();
    connections.delete("contoso", &DeleteParams::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_and_its_secret_are_held_while_there_are_users_and_not_before_or_after() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    world.quiet().await;
    assert!(!secret_is_held(&world, "acs").await.unwrap(), "nobody needs it yet");
    users_of_contoso(&world, &["alice"]).await;
    let connection = world.connections().get("contoso").await.unwrap();
    assert!(is_held(&connection.metadata, finalizer::IN_USE));
    until_held(&world).await;
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    let let_go = async || Ok(!secret_is_held(&world, "acs").await?);
    world.eventually("the Secret is still held", let_go).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_a_connection_does_not_name_any_more_is_let_go() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    until_held(&world).await;
    name_another_secret(&world).await;
    until_the_other_is_held(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_no_connection_names_any_more_since_no_operator_ran_is_let_go() {
    let mut world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    until_held(&world).await;
    world.operator.kill();
    name_another_secret(&world).await;
    // One that another installation holds for a cluster connection.
    let auth = platform_key(&world, &world.resource).await;
    let cluster_connection = format!("platform-{}", world.namespace);
    let spec = json!({"auth": auth, "allowedNamespaces": {"names": [world.namespace]}});
    world.connect_cluster(&cluster_connection, spec).await.unwrap();
    let hold = json!({"metadata": {"finalizers": [finalizer::CREDENTIAL_IN_USE]}});
    let (to_this, patch) = (PatchParams::default(), Patch::Merge(hold));
    world
        .secrets()
        .patch_metadata("platform-key", &to_this, &patch)
        .await
        .unwrap();

    world.operator.restart().unwrap();
    until_the_other_is_held(&world).await;
    world.quiet().await;
    assert!(secret_is_held(&world, "platform-key").await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_of_a_connection_that_someone_made_go_is_let_go_with_the_last_user() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    until_held(&world).await;
    delete_connection(&world).await;
    let stripped = json!({"metadata": {"finalizers": null}});
    world.patch_connection("contoso", stripped).await.unwrap();
    world.until_none(&world.connections(), "contoso").await.unwrap();
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    let let_go = async || Ok(!secret_is_held(&world, "acs").await?);
    world.eventually("the Secret is still held", let_go).await.unwrap();
    assert!(world.acs().identities().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_reads_other_keys_of_its_secret_does_not_let_go_of_it() {
    let world = unconnected().await;
    contoso_with_both_keys(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    until_held(&world).await;
    let before = world.secrets().get("acs").await.unwrap().metadata;
    let secret = json!({"name": "acs", "keys": ["secondaryKey"]});
    let keys = json!({"spec": {"auth": {"accessKey": {"secretRef": secret}}}});
    let patched = world.patch_connection("contoso", keys).await.unwrap();
    let observed = |connection: &CommunicationConnection| {
        let status = connection.status.as_ref();
        status.and_then(|status| status.observed_generation) == patched.metadata.generation
    };
    world.until_connection("contoso", "observed", observed).await.unwrap();
    world.quiet().await;
    let now = world.secrets().get("acs").await.unwrap().metadata;
    assert_eq!(now.resource_version, before.resource_version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_connection_without_users_goes_at_once() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    delete_connection(&world).await;
    world.until_none(&world.connections(), "contoso").await.unwrap();
    assert!(
        world.secrets().get_opt("acs").await.unwrap().is_some(),
        "the Secret is not ours"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_connection_waits_for_its_users_says_how_many_and_takes_no_new_ones() {
    let mut world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice", "bob"]).await;
    delete_connection(&world).await;
    let says = |words: &'static str| move |connection: &CommunicationConnection| message(connection).contains(words);
    world
        .until_connection("contoso", "waiting for two", says("2 users"))
        .await
        .unwrap();
    world.create("carol", of_contoso()).await.unwrap();
    let carol = world.until_reason("carol", "ConnectionNotReady").await.unwrap();
    assert!(message(&carol).contains("being deleted"), "{}", message(&carol));
    world.delete("carol").await.unwrap();
    world.until_gone("carol").await.unwrap();

    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    world
        .until_connection("contoso", "waiting for one", says("one user"))
        .await
        .unwrap();
    renew(&world, "bob", "while it lasts").await;
    until_renewed(&world, "bob", "while it lasts").await;

    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    world.delete("bob").await.unwrap();
    world.until_gone("bob").await.unwrap();
    world.until_none(&world.connections(), "contoso").await.unwrap();
    assert!(world.acs().identities().is_empty());
    assert!(!secret_is_held(&world, "acs").await.unwrap(), "its Secret is let go");
    assert_eq!(count(&world.resource, 0, Operation::Create), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_connections_by_one_secret_hold_it_until_the_last_has_no_user() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    let (string, key) = (
        world.resource.connects(KeySlot::Primary),
        world.resource.key(KeySlot::Primary),
    );
    put_keys(&world, &[("connectionString", &string), ("accessKey", &key)]).await;
    world
        .connect("same-secret", by_keys(&world.resource.url(), &["accessKey"]))
        .await
        .unwrap();
    users_of_contoso(&world, &["alice"]).await;
    let bob = json!({"connectionRef": {"name": "same-secret"}, "token": {"scopes": ["voip"]}});
    world.create("bob", bob).await.unwrap();
    world.until_reason("bob", "TokenIssued").await.unwrap();
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    world.quiet().await;
    assert!(secret_is_held(&world, "acs").await.unwrap(), "bob needs it");
    world.delete("bob").await.unwrap();
    world.until_gone("bob").await.unwrap();
    let let_go = async || Ok(!secret_is_held(&world, "acs").await?);
    world.eventually("the Secret is still held", let_go).await.unwrap();
}

/// As when a namespace goes: the Secret is gone as soon as it is let go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_goes_is_let_go_once_however_late_the_watch_tells_of_it() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    until_held(&world).await;
    world.quiet().await;
    let is_release = |request: &Passed| request.method == "PATCH" && request.path.ends_with("/secrets/acs");
    let releases = || world.traffic.passed().into_iter().filter(is_release).count();
    let before = releases();
    let release = world.traffic.hold(Moment::Before, is_release);
    world.secrets().delete("acs", &DeleteParams::default()).await.unwrap();
    release.caught(CEILING).await.unwrap();
    world.gate.hold_events();
    release.release();
    let gone = async || Ok(world.secrets().get_opt("acs").await?.is_none());
    world.eventually("the Secret is still there", gone).await.unwrap();
    world.quiet().await;
    assert_eq!(releases() - before, 1);
    world.gate.release_events();
    world
        .until_connection("contoso", "told", |connection| {
            message(connection).contains("does not exist")
        })
        .await
        .unwrap();
}
