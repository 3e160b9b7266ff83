//! From a manifest to an identity and its token, and back to nothing.

use std::time::Duration;

use acs_emulator::{Fault, Operation, TokenState};
use acs_operator::api::{CommunicationUser, Origin};
use acs_operator_testbed::{World, WorldSettings, identity, ready};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::DeleteParams};
use serde_json::json;

use crate::{settings, world};

/// A world whose tokens live so many seconds.
async fn world_with_short_tokens(seconds: u64) -> World {
    let mut settings: WorldSettings = settings();
    settings.emulator.token_ttl = Some(Duration::from_secs(seconds));
    World::start(settings).await.unwrap()
}

fn expiry(user: &CommunicationUser) -> Option<String> {
    let token = user.status.as_ref()?.token.as_ref()?;
    Some(token.expiration_time.as_ref()?.0.to_string())
}

/// How many requests went to ACS and to the API server since the last reset.
fn counted(world: &World) -> (usize, usize) {
    let passed = world.traffic.passed();
    let calls = passed.iter().filter(|request| request.upstream == "ACS").count();
    (calls, passed.len() - calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declared_user_becomes_an_identity_with_a_valid_token_in_its_secret() {
    let world = world().await;
    world
        .create("alice", json!({"token": {"scopes": ["chat", "voip"]}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    assert_eq!(
        counted(&world),
        (1, 4),
        "one call and four writes: {:#?}",
        world.traffic.passed()
    );

    let id = identity(&alice).unwrap();
    let identities = world.acs().identities();
    assert_eq!(
        identities
            .iter()
            .map(|identity| identity.id.as_str())
            .collect::<Vec<_>>(),
        [id.as_str()]
    );

    let values = world.secret_values("alice").await.unwrap();
    assert_eq!(
        values.keys().collect::<Vec<_>>(),
        ["endpoint", "expiresOn", "token", "userId"]
    );
    assert_eq!(values["userId"], id);
    assert_eq!(Some(&values["expiresOn"]), expiry(&alice).as_ref());
    assert!(world.acs().token_state(&values["token"]) == TokenState::Valid);

    let status = alice.status.as_ref().unwrap();
    assert_eq!(
        status.connection.as_deref(),
        Some("ClusterCommunicationConnection/default")
    );
    let recorded = status.identity.as_ref().unwrap();
    assert_eq!(recorded.owner_uid, alice.metadata.uid);
    assert_eq!(recorded.origin, Some(Origin::Created));
    assert_eq!(recorded.endpoint.as_ref(), Some(&values["endpoint"]));

    let secret = world.secrets().get("alice").await.unwrap();
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    let owner = &secret.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.uid.as_str(), owner.controller),
        (alice.metadata.uid.as_deref().unwrap(), Some(true))
    );
    let annotations = secret.metadata.annotations.unwrap();
    let keys: Vec<_> = annotations
        .keys()
        .filter_map(|key| key.strip_prefix("acs-operator.dev/"))
        .collect();
    let record = [
        "credential",
        "expiration-time",
        "identity",
        "issue-time",
        "request",
        "scopes",
        "token-sha256",
        "user",
    ];
    assert_eq!(keys, record);
    let sha256 = world.acs().token(&values["token"]).unwrap().sha256;
    assert_eq!(annotations["acs-operator.dev/token-sha256"], sha256);
    assert_eq!(annotations["acs-operator.dev/expiration-time"], values["expiresOn"]);
    assert_eq!(annotations["acs-operator.dev/identity"], id);
    assert_eq!(annotations["acs-operator.dev/scopes"], "chat,voip");
    assert_eq!(
        annotations["acs-operator.dev/user"],
        format!("{}/alice", world.namespace)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_a_token_is_an_identity_and_no_secret() {
    let world = world().await;
    world.create("meeting-room", json!({})).await.unwrap();
    let user = world.until_reason("meeting-room", "IdentityCreated").await.unwrap();
    world.quiet().await;
    assert_eq!(counted(&world), (1, 2));
    assert!(world.acs().identity(&identity(&user).unwrap()).is_some());
    assert!(world.secrets().get_opt("meeting-room").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_renews_itself_before_it_expires_with_one_call_and_two_writes() {
    let world = world_with_short_tokens(12).await;
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let before = world.until_reason("alice", "TokenIssued").await.unwrap();
    let old = world.secret_values("alice").await.unwrap();
    world.traffic.reset(None);

    let renewed = world
        .until("alice", "renewed", |user| expiry(user) != expiry(&before))
        .await
        .unwrap();
    assert_eq!(counted(&world), (1, 2), "{:#?}", world.traffic.passed());
    assert_eq!(ready(&renewed), Some(("True".into(), "TokenIssued".into())));
    assert_eq!(identity(&renewed), identity(&before));
    let new = world.secret_values("alice").await.unwrap();
    assert_ne!(old["token"], new["token"]);
    assert!(world.acs().token_state(&new["token"]) == TokenState::Valid);
    assert!(
        world.acs().token_state(&old["token"]) == TokenState::Valid,
        "the old token is still valid when the new one is there"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_user_deletes_its_identity_and_its_secret_with_one_call_and_two_writes() {
    let world = world().await;
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    world.traffic.reset(None);

    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identities().is_empty());
    assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
    world.quiet().await;
    assert_eq!(counted(&world), (1, 2), "{:#?}", world.traffic.passed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_identity_outlives_its_user_but_its_secret_does_not() {
    let world = world().await;
    let spec = json!({"identity": {"deletionPolicy": "Retain"}, "token": {"scopes": ["voip"]}});
    world.create("alice", spec).await.unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    let values = world.secret_values("alice").await.unwrap();
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identity(&identity(&alice).unwrap()).is_some());
    assert_eq!(world.acs().token_state(&values["token"]), TokenState::Valid);
    assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_namespace_deletes_the_identities_in_it_and_does_not_hang() {
    let world = world().await;
    for name in ["alice", "bob", "carol"] {
        world
            .create(name, json!({"token": {"scopes": ["voip"]}}))
            .await
            .unwrap();
    }
    for name in ["alice", "bob", "carol"] {
        world.until_reason(name, "TokenIssued").await.unwrap();
    }
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces
        .delete(&world.namespace, &DeleteParams::default())
        .await
        .unwrap();
    let gone = async || Ok(namespaces.get_opt(&world.namespace).await?.is_none());
    world.eventually("the namespace is still there", gone).await.unwrap();
    assert!(world.acs().identities().is_empty(), "{:?}", world.acs().identities());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_nothing_due_calls_nothing_and_writes_nothing() {
    let mut world = world().await;
    for name in ["alice", "bob"] {
        world
            .create(name, json!({"token": {"scopes": ["voip"]}}))
            .await
            .unwrap();
        world.until_reason(name, "TokenIssued").await.unwrap();
    }
    world.quiet().await;
    world.traffic.reset(None);
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    assert_eq!(world.quiet().await, 0, "{:#?}", world.traffic.passed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_and_annotations_and_a_manifest_applied_again_cost_nothing() {
    let world = world().await;
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    world.traffic.reset(None);
    let metadata = json!({"labels": {"team": "support"}, "annotations": {"example.com/note": "x"}});
    world.patch("alice", json!({"metadata": metadata})).await.unwrap();
    world
        .patch("alice", json!({"spec": {"token": {"scopes": ["voip"]}}}))
        .await
        .unwrap();
    assert_eq!(world.quiet().await, 0, "{:#?}", world.traffic.passed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_waits_for_a_create_under_way_and_records_its_id() {
    let mut world = world().await;
    world
        .acs()
        .inject(Fault::delay_answer(Duration::from_secs(2)).on(Operation::Create));
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world
        .eventually("no create arrived", async || Ok(!world.acs().identities().is_empty()))
        .await
        .unwrap();

    let status = world.operator.stop(Duration::from_secs(30)).await.unwrap();
    assert!(status.success(), "{status}\n{}", world.operator.log_tail());
    let alice = world.users().get("alice").await.unwrap();
    assert_eq!(
        identity(&alice).as_deref(),
        Some(world.acs().identities()[0].id.as_str())
    );

    world.acs().clear_faults();
    world.operator.restart().unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(world.acs().identities().len(), 1);
    assert_eq!(alice.status.unwrap().identity.unwrap().suspected_orphans, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_user_makes_no_call_and_can_still_be_deleted() {
    let world = world().await;
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}, "suspend": true}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "Suspended").await.unwrap();
    assert_eq!(ready(&alice).unwrap().0, "False");
    assert_eq!(alice.status.unwrap().observed_generation, alice.metadata.generation);
    world.quiet().await;
    assert!(world.calls().is_empty());

    world.patch("alice", json!({"spec": {"suspend": false}})).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.patch("alice", json!({"spec": {"suspend": true}})).await.unwrap();
    let alice = world.until_reason("alice", "Suspended").await.unwrap();
    assert_eq!(ready(&alice).unwrap().0, "True", "its token is valid");
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identities().is_empty());
}
