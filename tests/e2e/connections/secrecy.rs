//! What people can read of connections: enough to mend them, and nothing that is not theirs.

use acs_emulator::KeySlot;
use acs_operator_testbed::{World, message};
use serde_json::{Value, json};

use super::{
    contoso, of_cluster, put_connection_string, regenerate, renew, unconnected_with, users_of_contoso, watchful,
    wrong_key,
};
use crate::alice::until_renewed;

/// Everything that kubectl shows of a namespace.
fn shown(world: &World, namespace: &str) -> String {
    let kinds = "communicationusers,communicationconnections,events.events.k8s.io";
    let as_yaml = ["get", kinds, "--namespace", namespace, "--output", "yaml"];
    let described = [
        "describe",
        "communicationusers,communicationconnections",
        "--namespace",
        namespace,
    ];
    let kubectl = |arguments: &[&str]| world.control_plane.kubectl(arguments.iter().copied()).unwrap();
    kubectl(&as_yaml) + &kubectl(&described)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_status_and_no_event_holds_a_credential_or_a_token() {
    let world = watchful().await;
    contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    regenerate(&world.resource, KeySlot::Primary);
    renew(&world, "alice", "now").await;
    world.until_connection_reason("contoso", "AccessDenied").await.unwrap();
    world.until_reason("alice", "RenewalDelayed").await.unwrap();
    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    until_renewed(&world, "alice", "now").await;
    world.quiet().await;
    let shown = shown(&world, &world.namespace);
    assert_eq!(world.leak_in(&shown), None);
}

/// The users of a cluster connection are told that it does not work, and what to do, but not how its owner connects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_a_cluster_connection_learn_nothing_of_its_secret_or_principal_whatever_is_wrong_with_it() {
    let world = unconnected_with(1, &[]).await;
    let owner = &world.neighbours[0];
    let secret = json!({"name": "platform-key", "namespace": owner.namespace});
    let entra = json!({"tenantId": "tenant-of-the-owner", "clientId": "client-of-the-owner", "secretRef": secret});
    owner
        .put_credential("refused-key", &[("accessKey", &wrong_key())])
        .await
        .unwrap();
    owner
        .put_credential("unusable-key", &[("owners-own-key", "no key at all")])
        .await
        .unwrap();
    let refused = json!({"name": "refused-key", "namespace": owner.namespace});
    let unusable = json!({"name": "unusable-key", "namespace": owner.namespace, "keys": ["owners-own-key"]});
    let endpoint = json!({"endpoint": world.resource.url()});
    let mut names = Vec::new();
    for (what, auth) in [
        ("missing", json!({"accessKey": {"secretRef": secret}})),
        ("refused", json!({"accessKey": {"secretRef": refused}})),
        ("unusable", json!({"accessKey": {"secretRef": unusable}})),
        ("entra", json!({"clientSecret": entra})),
        (
            "identity",
            json!({"managedIdentity": {"clientId": "client-of-the-owner"}}),
        ),
    ] {
        let connection = format!("{what}-{}", world.namespace);
        let mut spec: Value = endpoint.clone();
        spec["auth"] = auth;
        spec["allowedNamespaces"] = json!({"names": [world.namespace]});
        world.connect_cluster(&connection, spec).await.unwrap();
        world.create(what, of_cluster(&connection)).await.unwrap();
        names.push(what);
    }
    for name in names {
        let user = world.until_reason(name, "ConnectionNotReady").await.unwrap();
        assert!(
            message(&user).contains(name),
            "it names the connection: {}",
            message(&user)
        );
    }
    world.quiet().await;
    let shown = shown(&world, &world.namespace);
    for secret in [
        "platform-key",
        "refused-key",
        "unusable-key",
        "owners-own-key",
        "of-the-owner",
        &owner.namespace,
    ] {
        let line = shown.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is told");
    }
}
