//! What somebody with every right in one namespace, and none anywhere else, tries against another.

use acs_emulator::{Fault, KeySlot, Operation, TokenState};
use acs_operator::api::{
    ClusterCommunicationConnection, CommunicationConnection, CommunicationUser, DeletionPolicy, names::finalizer,
};
use acs_operator_testbed::{Place, Resource, Stranger, World, identity, message, ready};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    accepted, by_connection_string, contoso, of_cluster, of_contoso, platform_key, put_connection_string, renew,
    renewed, tokens, unconnected_with, users_of_contoso, with,
};
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

/// Writes a status by hand, as whoever has the right to can.
async fn forge(place: &Place, name: &str, status: Value) -> kube::Result<CommunicationUser> {
    let patch = Patch::Merge(json!({"status": status}));
    place.users().patch_status(name, &PatchParams::default(), &patch).await
}

/// The record of an identity as if it had been made for this object.
fn as_its_own(user: &CommunicationUser, id: &str) -> Value {
    json!({"identity": {"id": id, "origin": "Created", "ownerUid": user.metadata.uid}, "observedGeneration": 1})
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
    renew(world, "alice", "is she unharmed?").await;
    let alice = renewed(world, "alice", "is she unharmed?").await;
    assert_eq!(identity(&alice), Some(id));
    assert_eq!(ready(&alice), Some(("True".into(), "TokenIssued".into())));
}

/// Whether the connection serves the namespace or not, and whatever role is bound in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_forges_an_identity_whatever_rights_there_are_in_a_namespace() {
    let (world, attacker) = victim_and_attacker().await;
    let admin = world.tenant(&world.neighbours[0], "admin").await.unwrap();
    let shared = shared_connection(&world, &[&world.namespace]).await;
    world.create("alice", of_cluster(&shared)).await.unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    let before = world.acs().last_call();
    let mallory = attacker.create("mallory", of_cluster(&shared)).await.unwrap();
    attacker.until_reason("mallory", "ConnectionNotAllowed").await.unwrap();
    for tenant in [&admin, &attacker] {
        let refused = forge(tenant, "mallory", as_its_own(&mallory, &identity(&alice).unwrap())).await;
        assert!(
            matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403),
            "{refused:?}"
        );
    }
    // The finalizer alone, which makes a deletion the operator's business, leads to nothing.
    let guarded = json!({"metadata": {"finalizers": [finalizer::IDENTITY]}});
    attacker.patch("mallory", guarded).await.unwrap();
    attacker.delete("mallory").await.unwrap();
    attacker.until_gone("mallory").await.unwrap();
    assert!(world.resource.work_since(before).is_empty());
    unharmed(&world, &alice).await;
}

/// As a backup tool does it that restores into another namespace, and knows little of the identity.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_younger_object_in_another_namespace_with_the_record_of_an_identity_neither_uses_nor_deletes_it() {
    let (world, attacker) = victim_and_attacker().await;
    let shared = shared_connection(&world, &[&world.namespace, &attacker.namespace]).await;
    world.create("alice", of_cluster(&shared)).await.unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    let id = identity(&alice).unwrap();
    a_second_later(&world).await;
    let suspended = json!({"suspend": true, "identity": {"deletionPolicy": "Delete"}});
    let copy = attacker
        .create("copy", with(of_cluster(&shared), suspended))
        .await
        .unwrap();
    attacker.until_reason("copy", "Suspended").await.unwrap();
    let before = world.acs().last_call();
    let administrator = &world.neighbours[0];
    forge(administrator, "copy", as_its_own(&copy, &id)).await.unwrap();
    attacker
        .patch("copy", json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    attacker.until_reason("copy", "IdentityInUse").await.unwrap();
    attacker.delete("copy").await.unwrap();
    attacker.until_gone("copy").await.unwrap();
    assert!(world.resource.work_since(before).is_empty());
    unharmed(&world, &alice).await;
}

/// What status says of a token is the owner's of a namespace to write, as far as the policy goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_record_of_a_revocation_keeps_no_token_over_break_glass() {
    let (world, attacker) = victim_and_attacker().await;
    let shared = shared_connection(&world, &[&attacker.namespace]).await;
    attacker.create("mallory", of_cluster(&shared)).await.unwrap();
    attacker.until_reason("mallory", "TokenIssued").await.unwrap();
    let old = tokens(&attacker, &["mallory"]).await.remove(0);
    a_second_later(&world).await;
    let forged = json!({"token": {"revocationTime": "2126-11-26T08:00:00Z", "issueTime": "2126-11-26T08:00:00Z"}});
    forge(&attacker, "mallory", forged).await.unwrap();
    let now = jiff::Timestamp::from_second(world.acs().now().as_second()).unwrap();
    let patch = Patch::Merge(json!({"spec": {"tokensValidFrom": now.to_string()}}));
    world
        .cluster_connections()
        .patch(&shared, &PatchParams::default(), &patch)
        .await
        .unwrap();
    let revoked = async || Ok(world.acs().token_state(&old) == TokenState::Revoked);
    world.eventually("the token is still good", revoked).await.unwrap();
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

/// An emulator is a host that an operator for tests allows; a real one cannot lie like this.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_that_claims_to_have_made_anothers_identity_takes_it_from_nobody() {
    let (world, attacker) = victim_and_attacker().await;
    let own = world.another_resource().await.unwrap();
    own_connection(&attacker, &own).await;
    attacker
        .create("older", with(of_contoso(), json!({"suspend": true})))
        .await
        .unwrap();
    attacker.until_reason("older", "Suspended").await.unwrap();
    a_second_later(&world).await;
    contoso(&world, &world.resource).await;
    let alice = users_of_contoso(&world, &["alice"]).await.remove(0);
    let body = json!({
        "identity": {"id": identity(&alice).unwrap()},
        "accessToken": {"token": "forged", "expiresOn": "2126-11-26T08:00:00Z"},
    });
    let lie = Fault::respond(201, &[("content-type", "application/json")], body.to_string());
    own.inject(lie.on(Operation::Create));
    attacker
        .patch("older", json!({"spec": {"suspend": false}}))
        .await
        .unwrap();
    let lied = async || Ok(own.faults()[0].hits > 0);
    world.eventually("nothing is created", lied).await.unwrap();
    world.quiet().await;
    unharmed(&world, &alice).await;
    attacker.delete("older").await.unwrap();
    world.quiet().await;
    unharmed(&world, &alice).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_status_of_a_connection_proves_nothing_and_is_put_right() {
    let (world, attacker) = victim_and_attacker().await;
    contoso(&world, &world.resource).await;
    let alice = users_of_contoso(&world, &["alice"]).await.remove(0);
    let own = world.another_resource().await.unwrap();
    own_connection(&attacker, &own).await;
    let before = world.acs().last_call();
    let forged = json!({"status": {
        "endpoint": world.resource.url(), "resourceId": world.acs().resource_id().to_string(), "credential": "forged",
    }});
    let params = PatchParams::default();
    attacker
        .connections()
        .patch_status("contoso", &params, &Patch::Merge(forged))
        .await
        .unwrap();
    let adopter = json!({"identity": {"id": identity(&alice).unwrap(), "deletionPolicy": "Delete"}});
    attacker.create("mallory", with(of_contoso(), adopter)).await.unwrap();
    let refused = |user: &CommunicationUser| ready(user).is_some_and(|(is, _)| is == "False");
    attacker.until("mallory", "refused", refused).await.unwrap();
    attacker.delete("mallory").await.unwrap();
    attacker.until_gone("mallory").await.unwrap();
    let right = |connection: &CommunicationConnection| {
        let status = connection.status.as_ref().unwrap();
        let endpoint = status.endpoint.as_deref().unwrap_or_default();
        endpoint.trim_end_matches('/') == own.url() && status.credential.as_deref() != Some("forged")
    };
    attacker.until_connection("contoso", "put right", right).await.unwrap();
    assert!(world.resource.work_since(before).is_empty());
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_signature_follows_a_redirection_of_a_probe_or_of_a_call() {
    let (world, attacker) = victim_and_attacker().await;
    let stranger = Stranger::listen().await.unwrap();
    let own = world.another_resource().await.unwrap();
    let location = format!("http://{}/identities", stranger.host());
    for status in [301, 302, 303, 307, 308] {
        own.inject(Fault::respond(status, &[("location", &location)], "").times(2));
    }
    put_connection_string(&attacker, &own, KeySlot::Primary).await;
    attacker.connect("contoso", by_connection_string()).await.unwrap();
    attacker.create("mallory", of_contoso()).await.unwrap();
    let probed = async || Ok(own.calls().len() >= 3);
    attacker.eventually("no probe is made", probed).await.unwrap();
    own.clear_faults();
    attacker.until_reason("mallory", "TokenIssued").await.unwrap();
    let issue = Fault::respond(307, &[("location", &location)], "").on(Operation::Issue);
    let fault = own.inject(issue.times(2));
    renew(&attacker, "mallory", "now").await;
    let hit = async || Ok(own.faults().iter().any(|is| is.id == fault && is.hits > 0));
    attacker.eventually("no token is asked for", hit).await.unwrap();
    world.quiet().await;
    assert_eq!(stranger.heard(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hostile_resource_says_is_told_in_few_words() {
    let (world, attacker) = victim_and_attacker().await;
    let own = world.another_resource().await.unwrap();
    put_connection_string(&attacker, &own, KeySlot::Primary).await;
    // More than anybody reads, and what a terminal acts on.
    let said = |times: usize| json!({"error": {"code": "Flood", "message": "flood\u{1b}[31m ".repeat(times)}});
    for (status, times) in [(502, 100_000), (500, 100), (400, 100), (401, 100)] {
        let answer = Fault::respond(status, &[("content-type", "application/json")], said(times).to_string());
        let fault = own.inject(answer);
        let name = format!("told-{status}");
        attacker.connect(&name, by_connection_string()).await.unwrap();
        let told = |connection: &CommunicationConnection| message(connection).contains(&status.to_string());
        let connection = attacker.until_connection(&name, "told", told).await.unwrap();
        let words = message(&connection);
        assert!(words.len() < 1000 && !words.contains('\u{1b}'), "{words}");
        own.remove_fault(fault);
    }
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
