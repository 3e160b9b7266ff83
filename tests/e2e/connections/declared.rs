//! A connection is declared, and its users get their tokens through it.

use acs_emulator::{ApiVersion, Config, KeySlot, Operation, TokenState};
use acs_operator::api::{CommunicationConnection, ConnectionStatus};
use acs_operator_testbed::{CEILING, beside, identity, message, ready};
use serde_json::json;

use super::{
    by_connection_string, by_keys, contoso, count, credential_of, of_contoso, put_connection_string, put_keys, renew,
    stray_401, unconnected, users_of_contoso, with,
};
use crate::alice::until_renewed;

fn status(connection: &CommunicationConnection) -> &ConnectionStatus {
    connection.status.as_ref().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_string_in_a_secret_is_all_it_takes_and_status_tells_what_it_leads_to() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    let alice = &users_of_contoso(&world, &["alice"]).await[0];
    let id = identity(alice).unwrap();
    assert!(world.acs().identity(&id).is_some());
    assert_eq!(
        alice.status.as_ref().unwrap().connection.as_deref(),
        Some("CommunicationConnection/contoso")
    );
    let values = world.secret_values("alice").await.unwrap();
    assert_eq!(world.acs().token_state(&values["token"]), TokenState::Valid);

    let counted = |connection: &CommunicationConnection| status(connection).users == Some(1);
    let connection = world.until_connection("contoso", "counted", counted).await.unwrap();
    let told = status(&connection);
    assert_eq!(ready(&connection), Some(("True".into(), "CredentialAccepted".into())));
    assert_eq!(beside(&connection), [""; 0]);
    assert_eq!(told.observed_generation, connection.metadata.generation);
    assert_eq!(told.endpoint.as_ref(), Some(&values["endpoint"]));
    assert_eq!(
        told.endpoint.as_deref().unwrap().trim_end_matches('/'),
        world.resource.url()
    );
    assert_eq!(told.auth_method.as_deref(), Some("connectionString"));
    assert_eq!(told.credential, Some(credential_of(alice)));
    assert_eq!(told.resource_id, Some(world.acs().resource_id().to_string()));
    assert_eq!((told.tokens_pending, told.suspected_orphans), (Some(0), Some(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_key_in_a_secret_connects_to_the_endpoint_that_is_declared() {
    let world = unconnected().await;
    put_keys(&world, &[("accessKey", &world.resource.key(KeySlot::Primary))]).await;
    let spec = json!({"endpoint": world.resource.url(), "auth": {"accessKey": {"secretRef": {"name": "acs"}}}});
    world.connect("contoso", spec).await.unwrap();
    let alice = &users_of_contoso(&world, &["alice"]).await[0];
    assert!(world.acs().identity(&identity(alice).unwrap()).is_some());
    let connection = world.connections().get("contoso").await.unwrap();
    assert_eq!(status(&connection).auth_method.as_deref(), Some("accessKey"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_proven_by_one_call_that_creates_nothing_before_anybody_uses_it() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    world.quiet().await;
    let calls = world.acs().calls();
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!(calls[0].operation, Operation::Revoke);
    assert_eq!(calls[0].error_code.as_deref(), Some("IdentityNotOwned"));
    assert!(world.acs().identities().is_empty());

    users_of_contoso(&world, &["alice"]).await;
    assert_eq!(
        world.resource.probes_since(0).len(),
        1,
        "a second user needs no second proof"
    );
    assert_eq!(world.resource.operations_since(0), [Operation::Create]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_get_shows_connections_with_their_endpoint_method_and_users() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice", "bob"]).await;
    let counted = |connection: &CommunicationConnection| status(connection).users == Some(2);
    world.until_connection("contoso", "counted", counted).await.unwrap();

    let printed = world
        .control_plane
        .kubectl(["get", "acsc", "--namespace", &world.namespace])
        .unwrap();
    let lines: Vec<Vec<_>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0],
        ["NAME", "READY", "REASON", "ENDPOINT", "AUTH", "USERS", "AGE"]
    );
    let endpoint = world.secret_values("alice").await.unwrap()["endpoint"].clone();
    assert_eq!(
        lines[1][..6],
        [
            "contoso",
            "True",
            "CredentialAccepted",
            &endpoint,
            "connectionString",
            "2"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_two_connections_never_meet() {
    let world = unconnected().await;
    let fabrikam = world.another_resource().await.unwrap();
    contoso(&world, &world.resource).await;
    world
        .put_credential(
            "fabrikam",
            &[("connectionString", &fabrikam.connects(KeySlot::Primary))],
        )
        .await
        .unwrap();
    let spec = json!({"auth": {"connectionString": {"secretRef": {"name": "fabrikam"}}}});
    world.connect("fabrikam", spec).await.unwrap();

    let bob = json!({"connectionRef": {"name": "fabrikam"}, "token": {"scopes": ["chat"]}});
    world.create("bob", bob).await.unwrap();
    let alice = users_of_contoso(&world, &["alice"]).await.remove(0);
    let bob = world.until_reason("bob", "TokenIssued").await.unwrap();
    for (user, resource) in [(&alice, &world.resource), (&bob, &fabrikam)] {
        let alive: Vec<_> = resource.identities().into_iter().map(|identity| identity.id).collect();
        assert_eq!(alive, [identity(user).unwrap()]);
    }
    for name in ["alice", "bob"] {
        world.delete(name).await.unwrap();
        world.until_gone(name).await.unwrap();
    }
    for resource in [&world.resource, &fabrikam] {
        assert!(resource.identities().is_empty());
        assert_eq!(resource.operations_since(0), [Operation::Create, Operation::Delete]);
        assert!(
            resource
                .calls()
                .iter()
                .all(|call| call.error_code.as_deref() != Some("Denied"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_the_preview_version_creates_carry_the_uid_of_their_object() {
    let world = unconnected().await;
    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    let preview = json!({"serviceApiVersion": "2025-03-02-preview"});
    world
        .connect("contoso", with(by_connection_string(), preview))
        .await
        .unwrap();
    let alice = &users_of_contoso(&world, &["alice"]).await[0];
    let made = world.acs().identity(&identity(alice).unwrap()).unwrap();
    assert!(
        made.custom_id
            .as_ref()
            .is_some_and(|id| id.starts_with(alice.metadata.uid.as_deref().unwrap())),
        "{made:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_the_resource_does_not_speak_is_told_on_the_connection() {
    let world = unconnected().await;
    let old = Config {
        api_versions: vec![ApiVersion::ALL[0]],
        ..Config::default()
    };
    let resource = world.resource_with(old).await.unwrap();
    put_connection_string(&world, &resource, KeySlot::Primary).await;
    world.connect("contoso", by_connection_string()).await.unwrap();
    world.create("alice", of_contoso()).await.unwrap();
    let connection = world
        .until_connection_reason("contoso", "InvalidRequest")
        .await
        .unwrap();
    assert_eq!(beside(&connection), ["Stalled"]);
    assert!(
        message(&connection).contains("UnsupportedApiVersion"),
        "{}",
        message(&connection)
    );
    world.until_reason("alice", "ConnectionNotReady").await.unwrap();
    assert!(resource.work_since(0).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_connection_makes_no_call_but_for_deletions_and_goes_on_when_it_may() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice", "leaver"]).await;
    let suspend = |suspend: bool| json!({"spec": {"suspend": suspend}});
    world.patch_connection("contoso", suspend(true)).await.unwrap();
    let connection = world.until_connection_reason("contoso", "Suspended").await.unwrap();
    assert_eq!(beside(&connection), [""; 0]);
    let before = world.acs().last_call();

    renew(&world, "alice", "while suspended").await;
    world.create("bob", of_contoso()).await.unwrap();
    let bob = world.until_reason("bob", "Suspended").await.unwrap();
    assert_eq!(ready(&bob).unwrap().0, "False", "it has no token");
    let alice = world.until_reason("alice", "Suspended").await.unwrap();
    assert_eq!(ready(&alice).unwrap().0, "True", "its token is valid");
    world.delete("leaver").await.unwrap();
    world.until_gone("leaver").await.unwrap();
    assert_eq!(world.resource.operations_since(before), [Operation::Delete]);

    world.patch_connection("contoso", suspend(false)).await.unwrap();
    world.until_reason("bob", "TokenIssued").await.unwrap();
    until_renewed(&world, "alice", "while suspended").await;
    assert_eq!(count(&world.resource, before, Operation::Create), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_through_a_suspended_connection_survives_a_stray_refusal() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["leaver"]).await;
    let suspend = json!({"spec": {"suspend": true}});
    world.patch_connection("contoso", suspend).await.unwrap();
    world.until_connection_reason("contoso", "Suspended").await.unwrap();
    world.acs().inject(stray_401().on(Operation::Delete));
    world.delete("leaver").await.unwrap();
    world.until_gone("leaver").await.unwrap();
    assert!(world.acs().identities().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_a_connection_that_does_not_exist_wait_for_it() {
    let world = unconnected().await;
    world.create("alice", of_contoso()).await.unwrap();
    let alice = world.until_reason("alice", "ConnectionNotFound").await.unwrap();
    assert!(
        message(&alice).contains("CommunicationConnection/contoso"),
        "{}",
        message(&alice)
    );
    assert_eq!(beside(&alice), ["Reconciling"]);
    contoso(&world, &world.resource).await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_default_connection_both_ways_to_have_one_are_named() {
    let world = unconnected().await;
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "ConnectionNotFound").await.unwrap();
    for way in [
        "ClusterCommunicationConnection",
        "COMMUNICATION_SERVICES_CONNECTION_STRING",
    ] {
        assert!(message(&alice).contains(way), "{}", message(&alice));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_proves_each_connection_once_and_writes_nothing() {
    let mut world = unconnected().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice", "bob"]).await;
    let counted = |connection: &CommunicationConnection| status(connection).users == Some(2);
    world.until_connection("contoso", "counted", counted).await.unwrap();
    world.quiet().await;
    let before = world.acs().last_call();
    world.traffic.reset(None);

    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    let proven = |calls: &[_]| !calls.is_empty();
    world.acs().wait_for_calls(before, CEILING, proven).await.unwrap();
    world.quiet().await;
    assert_eq!(world.acs().calls_since(before).len(), 1, "the probe alone");
    assert_eq!(world.traffic.passed(), [], "{}", world.operator.log_tail());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_of_entra_are_said_to_be_of_no_use_yet_and_nothing_is_sent() {
    let world = unconnected().await;
    let ids = |more| with(json!({"tenantId": "t", "clientId": "c"}), more);
    for (name, method) in [
        (
            "secret",
            json!({"clientSecret": ids(json!({"secretRef": {"name": "acs"}}))}),
        ),
        (
            "federated",
            json!({"workloadIdentity": ids(json!({"serviceAccountRef": {"name": "acs"}}))}),
        ),
    ] {
        let spec = json!({"endpoint": world.resource.url(), "auth": method});
        world.connect(name, spec).await.unwrap();
        let connection = world.until_connection_reason(name, "AccessDenied").await.unwrap();
        let words = message(&connection);
        for said in ["this version", "connectionString", "accessKey"] {
            assert!(words.contains(said), "{words}");
        }
        let user = json!({"connectionRef": {"name": name}});
        world.create(name, user).await.unwrap();
        world.until_reason(name, "ConnectionNotReady").await.unwrap();
    }
    assert!(world.acs().calls().is_empty());
}

/// The credential that it had is left for deletions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_changed_to_a_method_that_cannot_be_used_serves_deletions_only() {
    let world = unconnected().await;
    put_keys(&world, &[("accessKey", &world.resource.key(KeySlot::Primary))]).await;
    let spec = by_keys(&world.resource.url(), &["accessKey"]);
    world.connect("contoso", spec.clone()).await.unwrap();
    users_of_contoso(&world, &["alice", "leaver"]).await;
    let before = world.acs().last_call();
    let secret = json!({"tenantId": "t", "clientId": "c", "secretRef": {"name": "acs"}});
    let auth = json!({"spec": {"auth": {"accessKey": null, "clientSecret": secret}}});
    world.patch_connection("contoso", auth).await.unwrap();
    world.until_connection_reason("contoso", "AccessDenied").await.unwrap();
    renew(&world, "alice", "now").await;
    let alice = world.until_reason("alice", "RenewalDelayed").await.unwrap();
    assert!(message(&alice).contains("AccessDenied"), "{}", message(&alice));
    world.delete("leaver").await.unwrap();
    world.until_gone("leaver").await.unwrap();
    world.quiet().await;
    assert_eq!(world.resource.operations_since(before), [Operation::Delete]);

    let back = json!({"spec": {"auth": {"clientSecret": null, "accessKey": spec["auth"]["accessKey"]}}});
    world.patch_connection("contoso", back).await.unwrap();
    until_renewed(&world, "alice", "now").await;
    assert_eq!(
        world.resource.operations_since(before),
        [Operation::Delete, Operation::Issue]
    );
}

/// What Azure Service Operator exports for its kind `CommunicationService`, as it names it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_that_azure_service_operator_writes_works_as_it_is() {
    let world = unconnected().await;
    let resource = &world.resource;
    put_keys(
        &world,
        &[
            ("primaryConnectionString", &resource.connects(KeySlot::Primary)),
            ("secondaryConnectionString", &resource.connects(KeySlot::Secondary)),
            ("primaryKey", &resource.key(KeySlot::Primary)),
            ("secondaryKey", &resource.key(KeySlot::Secondary)),
        ],
    )
    .await;
    let strings = ["primaryConnectionString", "secondaryConnectionString"];
    let by_strings = json!({"auth": {"connectionString": {"secretRef": {"name": "acs", "keys": strings}}}});
    let specs = [
        ("by-strings", by_strings),
        ("by-keys", by_keys(&resource.url(), &["primaryKey", "secondaryKey"])),
    ];
    for (name, spec) in specs {
        world.connect(name, spec).await.unwrap();
        let user = json!({"connectionRef": {"name": name}, "token": {"scopes": ["voip"]}});
        world.create(name, user).await.unwrap();
        world.until_reason(name, "TokenIssued").await.unwrap();
    }
    let signers: Vec<_> = resource.calls().into_iter().filter_map(|call| call.signed_by).collect();
    assert_eq!(signers, [KeySlot::Primary; 4], "the first that is named is used");
}
