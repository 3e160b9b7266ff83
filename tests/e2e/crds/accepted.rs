//! Manifests that are right, and what the API server adds to them.

use std::fs;

use anyhow::Result;
use serde_json::{Value, json};

use super::cluster::{Cluster, Kind};
use crate::deploy::samples;

/// Manifests that are taken, by what they show.
const TAKEN: &[(&str, Kind, &str)] = &[
    ("an identity without a token", Kind::User, "{}"),
    ("the smallest user with a token", Kind::User, "token: {scopes: [voip]}"),
    (
        "everything that a user can be",
        Kind::User,
        "
        connectionRef: {kind: ClusterCommunicationConnection, name: contoso.eu}
        identity: {id: '8:acs:11111111-2222-3333-4444-555555555555_0000000a-1b2c-3d4e-5f60-718293a4b5c6', deletionPolicy: Delete}
        token: {scopes: [chat, chat.join, chat.join.limited, voip, voip.join], lifetime: 24h, renewBefore: 8h}
        secret:
          name: alice.token
          keys: {token: ACS_TOKEN, userId: user-id, expiresOn: .expires, endpoint: endpoint}
          labels: {team: contact-center, example.com/tier: '', app.kubernetes.io/part-of: shop}
          annotations: {reloader.example.com/watch: 'every token, at once'}
        suspend: true
        ",
    ),
    ("identities of other clouds", Kind::User, "identity: {id: '8:gcch-acs:11111111-2222-3333-4444-555555555555_0000000a'}"),
    ("the shortest lifetime and the latest renewal", Kind::User, "token: {scopes: [voip], lifetime: 1h, renewBefore: 15m}"),
    ("the longest lifetime in minutes", Kind::User, "token: {scopes: [voip], lifetime: 1440m}"),
    ("the earliest renewal", Kind::User, "token: {scopes: [voip], lifetime: 1h30m, renewBefore: 1h}"),
    ("a Secret with the token alone", Kind::User, "{token: {scopes: [voip]}, secret: {keys: {token: token}}}"),
    (
        "a connection string as Azure Service Operator writes it",
        Kind::Connection,
        "auth: {connectionString: {secretRef: {name: acs, keys: [primaryConnectionString, secondaryConnectionString]}}}",
    ),
    (
        "everything that a connection can be",
        Kind::Connection,
        "
        endpoint: https://contoso.unitedstates.communication.azure.com/
        auth: {accessKey: {secretRef: {name: acs, keys: [primaryKey, secondaryKey]}}}
        serviceApiVersion: 2025-03-02-preview
        rateLimits: {create: 1, issue: 1000000, revoke: 500, delete: 500}
        requestBudgetPercent: 100
        suspend: true
        tokensValidFrom: '2026-11-23T08:00:00+01:00'
        allowAdoption: true
        ",
    ),
    (
        "an emulator's endpoint",
        Kind::Connection,
        "{endpoint: 'http://localhost:8080', auth: {accessKey: {secretRef: {name: acs}}}}",
    ),
    (
        "a client secret",
        Kind::Connection,
        "{endpoint: 'https://contoso.communication.azure.com', auth: {clientSecret: {tenantId: t, clientId: c, secretRef: {name: acs}}}}",
    ),
    (
        "a ServiceAccount",
        Kind::Connection,
        "{endpoint: 'https://contoso.communication.azure.com', auth: {workloadIdentity: {serviceAccountRef: {name: acs}}}}",
    ),
    (
        "the operator's own pod identity, for every namespace",
        Kind::ClusterConnection,
        "{endpoint: 'https://contoso.communication.azure.com', auth: {workloadIdentity: {}}, allowedNamespaces: {selector: {}}}",
    ),
    (
        "a managed identity, for namespaces by name and by label",
        Kind::ClusterConnection,
        "
        endpoint: https://contoso.communication.azure.com
        auth: {managedIdentity: {clientId: c}}
        allowedNamespaces:
          names: [a, b]
          selector: {matchLabels: {team: x}, matchExpressions: [{key: tier, operator: In, values: [a, b]}]}
        ",
    ),
    (
        "a connection string of another namespace",
        Kind::ClusterConnection,
        "{auth: {connectionString: {secretRef: {name: acs, namespace: acs-system}}}, allowedNamespaces: {names: [a]}}",
    ),
];

#[tokio::test]
async fn right_manifests_are_taken_as_they_are() -> Result<()> {
    let cluster = Cluster::shared("accepted").await?;
    for (name, kind, spec) in TAKEN {
        let manifest = kind.manifest(spec)?;
        let stored = cluster
            .try_create(*kind, &manifest)
            .await?
            .unwrap_or_else(|words| panic!("{name}: {words}"));
        assert_holds(&stored["spec"], &manifest["spec"], name);
    }
    Ok(())
}

#[tokio::test]
async fn the_samples_are_taken_as_they_are() -> Result<()> {
    let cluster = Cluster::shared("samples").await?;
    let mut tried = 0;
    for path in samples() {
        for mut sample in serde_saphyr::from_multiple::<Value>(&fs::read_to_string(&path)?)? {
            let Some(kind) = Kind::named(sample["kind"].as_str().unwrap_or_default()) else {
                continue;
            };
            if kind != Kind::ClusterConnection {
                sample["metadata"]["namespace"] = json!(cluster.namespace);
            }
            let answer = cluster.try_create(kind, &sample).await?;
            let stored = answer.unwrap_or_else(|words| panic!("{}: {words}", path.display()));
            assert_holds(&stored["spec"], &sample["spec"], &path.to_string_lossy());
            tried += 1;
        }
    }
    assert!(tried > 0, "there is no sample of ours");
    Ok(())
}

#[tokio::test]
async fn the_api_server_writes_the_defaults_into_a_user() -> Result<()> {
    let cluster = Cluster::shared("defaults").await?;
    let manifest = Kind::User.manifest("{connectionRef: {name: contoso}, token: {scopes: [voip]}}")?;
    let stored = cluster.try_create(Kind::User, &manifest).await?.unwrap();
    assert_eq!(
        stored["spec"],
        json!({
            "connectionRef": {"kind": "CommunicationConnection", "name": "contoso"},
            "token": {"scopes": ["voip"], "lifetime": "24h"},
            "suspend": false,
        })
    );
    Ok(())
}

#[tokio::test]
async fn a_field_left_empty_is_as_good_as_absent() -> Result<()> {
    let cluster = Cluster::shared("empty").await?;
    let manifest = Kind::User.manifest("{token: {scopes: [voip], lifetime: , renewBefore: }, secret: , suspend: }")?;
    let stored = cluster.try_create(Kind::User, &manifest).await?.unwrap();
    let expected = json!({"token": {"scopes": ["voip"], "lifetime": "24h"}, "suspend": false});
    assert_eq!(stored["spec"], expected);
    Ok(())
}

#[tokio::test]
async fn the_api_server_writes_the_defaults_into_a_connection() -> Result<()> {
    let cluster = Cluster::shared("defaults").await?;
    let manifest = Kind::Connection.manifest("auth: {connectionString: {secretRef: {name: acs}}}")?;
    let stored = cluster.try_create(Kind::Connection, &manifest).await?.unwrap();
    assert_eq!(
        stored["spec"],
        json!({
            "auth": {"connectionString": {"secretRef": {"name": "acs"}}},
            "serviceApiVersion": "2023-10-01",
            "requestBudgetPercent": 50,
            "suspend": false,
            "allowAdoption": false,
        })
    );
    Ok(())
}

#[tokio::test]
async fn a_new_object_says_that_nobody_has_looked_at_it_yet() -> Result<()> {
    let cluster = Cluster::shared("unseen").await?;
    for (kind, spec) in [
        (Kind::User, "{}"),
        (Kind::Connection, "auth: {connectionString: {secretRef: {name: acs}}}"),
        (
            Kind::ClusterConnection,
            "{endpoint: 'https://a.example', auth: {managedIdentity: {}}, allowedNamespaces: {names: [a]}}",
        ),
    ] {
        let stored = cluster.try_create(kind, &kind.manifest(spec)?).await?.unwrap();
        assert_eq!(stored["status"], json!({"observedGeneration": -1}), "{kind:?}");
    }
    Ok(())
}

/// Asserts that everything in `wanted` is in `stored`, which may hold more.
fn assert_holds(stored: &Value, wanted: &Value, name: &str) {
    match wanted {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(key, value)| assert_holds(&stored[key], value, name)),
        _ => assert_eq!(stored, wanted, "{name}"),
    }
}
