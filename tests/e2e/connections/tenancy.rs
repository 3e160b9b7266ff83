//! What somebody with every right in one namespace, and none anywhere else, tries against another.

mod forgery;
mod hostile_resource;

use acs_emulator::{KeySlot, TokenState};
use acs_operator::api::{ClusterCommunicationConnection, CommunicationUser, DeletionPolicy};
use acs_operator_testbed::{Place, Resource, World, identity, message, ready};
use kube::{Api, api::PostParams};
use serde_json::json;

use super::{
    accepted, by_connection_string, contoso, of_cluster, of_contoso, platform_key, put_connection_string, renew,
    tokens, unconnected_with, users_of_contoso, with,
};
use crate::alice::until_renewed;
use crate::settings;

/// Has every right in a namespace, even those that no shipped role gives.
const EVERY_RIGHT: &str = "cluster-admin";

/// A world with a victim, in its own namespace, and an attacker with every right in the neighbouring one.
async fn victim_and_attacker() -> (World, Place) {
    let world = unconnected_with(1, &[]).await;
    let attacker = world.tenant(&world.neighbours[0], EVERY_RIGHT).await.unwrap();
    (world, attacker)
}

/// A cluster connection to the world's resource that serves these namespaces.
async fn shared_connection(world: &World, namespaces: &[&str]) -> String {
    let name = format!("shared-{}", world.namespace);
    let auth = platform_key(world, &world.resource).await;
    let spec = json!({"auth": auth, "allowedNamespaces": {"names": namespaces}});
    world.connect_cluster(&name, spec).await.unwrap();
    name
}

/// Connection contoso of the attacker, to a resource of the attacker's own, which lets its users adopt.
async fn own_connection(attacker: &Place, resource: &Resource) {
    put_connection_string(attacker, resource, KeySlot::Primary).await;
    let spec = with(by_connection_string(), json!({"allowAdoption": true}));
    attacker.connect("contoso", spec).await.unwrap();
    accepted(attacker).await;
}

/// Waits until what is created is younger than what was: creation times are whole seconds.
async fn a_second_later(world: &World) {
    let now = world.acs().now().as_second();
    let is_later = async || Ok(world.acs().now().as_second() > now);
    world.eventually("the clock stands still", is_later).await.unwrap();
}

/// Alice is as she was: her identity lives, her token is valid, and she can have another one.
async fn unharmed(world: &World, before: &CommunicationUser) {
    let id = identity(before).unwrap();
    assert!(world.acs().identity(&id).is_some());
    let token = tokens(world, &["alice"]).await.remove(0);
    assert_eq!(world.acs().token_state(&token), TokenState::Valid);
    let request = format!("is she unharmed after call {}?", world.acs().last_call());
    renew(world, "alice", &request).await;
    let alice = until_renewed(world, "alice", &request).await;
    assert_eq!(identity(&alice), Some(id));
    assert_eq!(ready(&alice), Some(("True".into(), "TokenIssued".into())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn naming_anothers_identity_keeps_nothing_from_its_owner_however_old_the_object_that_names_it() {
    let (world, attacker) = victim_and_attacker().await;
    let own = world.another_resource().await.unwrap();
    own_connection(&attacker, &own).await;
    let waiting = with(of_contoso(), json!({"suspend": true}));
    attacker.create("older", waiting).await.unwrap();
    attacker.until_reason("older", "Suspended").await.unwrap();
    a_second_later(&world).await;
    contoso(&world, &world.resource).await;
    let alice = users_of_contoso(&world, &["alice"]).await.remove(0);
    let id = identity(&alice).unwrap();
    let claim = json!({"spec": {"identity": {"id": id, "deletionPolicy": "Delete"}, "suspend": false}});
    attacker.patch("older", claim).await.unwrap();
    let refused = |user: &CommunicationUser| {
        ready(user).is_some_and(|(is, reason)| is == "False" && reason != "Suspended" && reason != "Progressing")
    };
    attacker.until("older", "refused", refused).await.unwrap();
    unharmed(&world, &alice).await;
    attacker.delete("older").await.unwrap();
    attacker.until_gone("older").await.unwrap();
    unharmed(&world, &alice).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_field_reaches_a_secret_of_another_namespace() {
    let (world, attacker) = victim_and_attacker().await;
    contoso(&world, &world.resource).await;
    let before = world.acs().last_call();
    // A field that the kind does not have: whoever validates strictly is told, and it is dropped for others.
    let elsewhere = json!({"auth": {"connectionString": {"secretRef": {"name": "acs", "namespace": world.namespace}}}});
    attacker.connect("contoso", elsewhere).await.unwrap();
    let connection = attacker
        .until_connection_reason("contoso", "CredentialMissing")
        .await
        .unwrap();
    let words = message(&connection);
    assert!(
        words.contains(&format!("{}/acs", attacker.namespace)) && !words.contains(&world.namespace),
        "{words}"
    );
    for name in [
        format!("{}/acs", world.namespace),
        format!("../{}/acs", world.namespace),
    ] {
        let spec = json!({"auth": {"connectionString": {"secretRef": {"name": name}}}});
        let refused = attacker.connect("path", spec).await.unwrap_err();
        assert!(
            format!("{refused:#}").contains("must be the name of a Kubernetes object"),
            "{refused:#}"
        );
    }
    // A cluster connection could, so it takes the right to create one.
    let cluster: Api<ClusterCommunicationConnection> = Api::all(attacker.client.clone());
    let spec = json!({
        "auth": {"connectionString": {"secretRef": {"name": "acs", "namespace": world.namespace}}},
        "allowedNamespaces": {"names": [attacker.namespace]},
    });
    let wanted = serde_json::from_value(json!({
        "apiVersion": "acs-operator.dev/v1beta1", "kind": "ClusterCommunicationConnection",
        "metadata": {"name": format!("of-{}", attacker.namespace)}, "spec": spec,
    }))
    .unwrap();
    let refused = cluster.create(&PostParams::default(), &wanted).await;
    assert!(
        matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403),
        "{refused:?}"
    );
    assert!(world.acs().calls_since(before).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_another_namespace_cannot_be_named() {
    let (world, attacker) = victim_and_attacker().await;
    contoso(&world, &world.resource).await;
    let before = world.acs().last_call();
    let elsewhere = json!({"connectionRef": {"name": "contoso", "namespace": world.namespace}});
    attacker.create("mallory", elsewhere).await.unwrap();
    let mallory = attacker.until_reason("mallory", "ConnectionNotFound").await.unwrap();
    assert!(message(&mallory).contains(&attacker.namespace), "{}", message(&mallory));
    let path = json!({"connectionRef": {"name": format!("{}/contoso", world.namespace)}});
    attacker.create("path", path).await.unwrap_err();
    world.quiet().await;
    assert!(world.acs().calls_since(before).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_named_like_another_is_not_taken_for_it() {
    let world = World::start(settings()).await.unwrap();
    let own = world.another_resource().await.unwrap();
    put_connection_string(&world, &own, KeySlot::Primary).await;
    let shared = shared_connection(&world, &[&world.namespace]).await;
    for name in ["default", &shared] {
        world.connect(name, by_connection_string()).await.unwrap();
        world.until_connection_reason(name, "CredentialAccepted").await.unwrap();
    }
    // Who names no connection means the default one of the cluster, and who names one of the cluster means that.
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.create("bob", of_cluster(&shared)).await.unwrap();
    for name in ["alice", "bob"] {
        let user = world.until_reason(name, "TokenIssued").await.unwrap();
        assert!(world.acs().identity(&identity(&user).unwrap()).is_some());
    }
    assert!(own.work_since(0).is_empty());
    // And the other way round: a connection of the namespace is never one of the cluster.
    world.create("carol", of_contoso()).await.unwrap();
    world.until_reason("carol", "ConnectionNotFound").await.unwrap();
}

/// The names of Secrets and of their metadata are chosen by whoever writes users: none may touch what is not the operator's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_never_lands_in_the_secret_of_a_credential_nor_carries_what_other_controllers_act_on() {
    let (world, attacker) = victim_and_attacker().await;
    contoso(&attacker, &world.resource).await;
    let credential = attacker.secret_values("acs").await.unwrap();
    let into_it = with(of_contoso(), json!({"secret": {"name": "acs"}}));
    attacker.create("mallory", into_it).await.unwrap();
    attacker.until_reason("mallory", "SecretConflict").await.unwrap();
    assert_eq!(attacker.secret_values("acs").await.unwrap(), credential);
    for metadata in [
        json!({"labels": {"argocd.argoproj.io/secret-type": "cluster"}}),
        json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}),
        json!({"annotations": {"kubernetes.io/service-account.name": "default"}}),
        json!({"annotations": {"acs-operator.dev/user": format!("{}/alice", world.namespace)}}),
        json!({"annotations": {"replicator.v1.k8s.io/replicate-to": "*"}}),
    ] {
        let spec = with(of_contoso(), json!({"secret": metadata}));
        let refused = attacker.create("reserved", spec).await.unwrap_err();
        assert!(format!("{refused:#}").contains("reserved"), "{refused:#}");
    }
    // What stands on the object itself is not copied.
    attacker
        .create("copied", with(of_contoso(), json!({"suspend": true})))
        .await
        .unwrap();
    let marked =
        json!({"labels": {"argocd.argoproj.io/secret-type": "cluster"}, "annotations": {"example.com/a": "b"}});
    attacker
        .patch("copied", json!({"metadata": marked, "spec": {"suspend": false}}))
        .await
        .unwrap();
    attacker.until_reason("copied", "TokenIssued").await.unwrap();
    let secret = attacker.secrets().get("copied").await.unwrap().metadata;
    let keys = secret
        .labels
        .iter()
        .flatten()
        .chain(secret.annotations.iter().flatten());
    for (key, _) in keys {
        assert!(
            key.starts_with("acs-operator.dev/") || key == "app.kubernetes.io/managed-by",
            "{key}"
        );
    }
}

/// As when one team uses a resource from two namespaces: each keeps to its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenants_connection_to_the_same_resource_is_worth_only_what_its_own_users_have() {
    let (world, attacker) = victim_and_attacker().await;
    contoso(&world, &world.resource).await;
    let alice = users_of_contoso(&world, &["alice"]).await.remove(0);
    let id = identity(&alice).unwrap();
    own_connection(&attacker, &world.resource).await;
    let spec = json!({"identity": {"id": id, "deletionPolicy": DeletionPolicy::Delete.as_str()}});
    attacker.create("mallory", with(of_contoso(), spec)).await.unwrap();
    let mallory = attacker.until_reason("mallory", "IdentityInUse").await.unwrap();
    assert_eq!(identity(&mallory), None);
    attacker.delete("mallory").await.unwrap();
    attacker.until_gone("mallory").await.unwrap();
    unharmed(&world, &alice).await;
}
