//! Changes of stored objects: what may never change, and what must remain free to.

use anyhow::Result;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::cluster::{Cluster, Kind};

const ID: &str = "8:acs:11111111-2222-3333-4444-555555555555_0000000a-1b2c-3d4e-5f60-718293a4b5c6";
const OTHER_ID: &str = "8:acs:11111111-2222-3333-4444-555555555555_0000000b-1b2c-3d4e-5f60-718293a4b5c6";

/// A change of a `spec`, both sides in YAML.
struct Change {
    name: &'static str,
    kind: Kind,
    before: &'static str,
    after: &'static str,
}

const CONNECTION_STAYS: &str =
    "spec.connectionRef is immutable: an identity lives in one ACS resource; create a new CommunicationUser instead";
const IDENTITY_STAYS: &str =
    "spec.identity.id cannot be changed or removed once set; for another identity create another CommunicationUser";
const ENDPOINT_STAYS: &str =
    "spec.endpoint is immutable: identities belong to one ACS resource; create a new connection";

/// Changes that are refused, each with what the refusal says.
const REFUSED: &[(Change, &str)] = &[
    (
        Change {
            name: "another connection",
            kind: Kind::User,
            before: "connectionRef: {name: contoso}",
            after: "connectionRef: {name: fabrikam}",
        },
        CONNECTION_STAYS,
    ),
    (
        Change {
            name: "a connection of the same name and another kind",
            kind: Kind::User,
            before: "connectionRef: {name: contoso}",
            after: "connectionRef: {kind: ClusterCommunicationConnection, name: contoso}",
        },
        CONNECTION_STAYS,
    ),
    (
        Change {
            name: "from the default connection to a named one",
            kind: Kind::User,
            before: "{}",
            after: "connectionRef: {name: contoso}",
        },
        CONNECTION_STAYS,
    ),
    (
        Change {
            name: "from the default connection to the same by name",
            kind: Kind::User,
            before: "{}",
            after: "connectionRef: {kind: ClusterCommunicationConnection, name: default}",
        },
        CONNECTION_STAYS,
    ),
    (
        Change {
            name: "from a named connection to the default one",
            kind: Kind::User,
            before: "connectionRef: {name: contoso}",
            after: "{}",
        },
        CONNECTION_STAYS,
    ),
    (
        Change {
            name: "another identity",
            kind: Kind::User,
            before: "identity: {id: '8:acs:11111111-2222-3333-4444-555555555555_0000000a-1b2c'}",
            after: "identity: {id: '8:acs:11111111-2222-3333-4444-555555555555_0000000b-1b2c'}",
        },
        IDENTITY_STAYS,
    ),
    (
        Change {
            name: "the same identity in another case",
            kind: Kind::User,
            before: "identity: {id: '8:acs:11111111-2222-3333-4444-55555555555a_0000000a-1b2c'}",
            after: "identity: {id: '8:acs:11111111-2222-3333-4444-55555555555A_0000000a-1b2c'}",
        },
        IDENTITY_STAYS,
    ),
    (
        Change {
            name: "no identity id any more",
            kind: Kind::User,
            before: "identity: {id: '8:acs:11111111-2222-3333-4444-555555555555_0000000a-1b2c', deletionPolicy: Retain}",
            after: "identity: {deletionPolicy: Retain}",
        },
        IDENTITY_STAYS,
    ),
    (
        Change {
            name: "no identity any more",
            kind: Kind::User,
            before: "identity: {id: '8:acs:11111111-2222-3333-4444-555555555555_0000000a-1b2c'}",
            after: "token: {scopes: [voip]}",
        },
        IDENTITY_STAYS,
    ),
    (
        Change {
            name: "no token any more, but its Secret",
            kind: Kind::User,
            before: "{token: {scopes: [voip]}, secret: {name: alice}}",
            after: "secret: {name: alice}",
        },
        "spec.secret needs spec.token",
    ),
    (
        Change {
            name: "a shorter lifetime that the renewal does not fit",
            kind: Kind::User,
            before: "token: {scopes: [voip], lifetime: 24h, renewBefore: 12h}",
            after: "token: {scopes: [voip], lifetime: 12h, renewBefore: 12h}",
        },
        "choose renewBefore <= lifetime - 30m",
    ),
    (
        Change {
            name: "another endpoint",
            kind: Kind::Connection,
            before: "{endpoint: 'https://contoso.communication.azure.com', auth: {accessKey: {secretRef: {name: acs}}}}",
            after: "{endpoint: 'https://fabrikam.communication.azure.com', auth: {accessKey: {secretRef: {name: acs}}}}",
        },
        ENDPOINT_STAYS,
    ),
    (
        Change {
            name: "from an endpoint to a connection string, which could name another",
            kind: Kind::Connection,
            before: "{endpoint: 'https://contoso.communication.azure.com', auth: {accessKey: {secretRef: {name: acs}}}}",
            after: "auth: {connectionString: {secretRef: {name: acs}}}",
        },
        ENDPOINT_STAYS,
    ),
    (
        Change {
            name: "another endpoint for the whole cluster",
            kind: Kind::ClusterConnection,
            before: "{endpoint: 'https://contoso.communication.azure.com', allowedNamespaces: {selector: {}}, auth: {managedIdentity: {}}}",
            after: "{endpoint: 'https://fabrikam.communication.azure.com', allowedNamespaces: {selector: {}}, auth: {managedIdentity: {}}}",
        },
        ENDPOINT_STAYS,
    ),
];

/// Changes that are taken.
const TAKEN: &[Change] = &[
    Change {
        name: "the identity is pinned later",
        kind: Kind::User,
        before: "token: {scopes: [voip]}",
        after: "{identity: {id: '8:acs:11111111-2222-3333-4444-555555555555_0000000a-1b2c'}, token: {scopes: [voip]}}",
    },
    Change {
        name: "the identity's policy is taken back while its id stays absent",
        kind: Kind::User,
        before: "identity: {deletionPolicy: Retain}",
        after: "{}",
    },
    Change {
        name: "the default kind of a connection is written out",
        kind: Kind::User,
        before: "connectionRef: {name: contoso}",
        after: "connectionRef: {kind: CommunicationConnection, name: contoso}",
    },
    Change {
        name: "token and Secret go together",
        kind: Kind::User,
        before: "{token: {scopes: [voip]}, secret: {name: alice}}",
        after: "{}",
    },
    Change {
        name: "scopes, lifetime, Secret and suspension change at once",
        kind: Kind::User,
        before: "{token: {scopes: [voip]}, secret: {name: alice}}",
        after: "{token: {scopes: [chat], lifetime: 1h}, secret: {name: bob, keys: {token: t}}, suspend: true}",
    },
    Change {
        name: "the credential moves to another Secret and another method",
        kind: Kind::Connection,
        before: "{endpoint: 'https://contoso.communication.azure.com', auth: {accessKey: {secretRef: {name: acs}}}}",
        after: "{endpoint: 'https://contoso.communication.azure.com', auth: {workloadIdentity: {serviceAccountRef: {name: acs}}}}",
    },
    Change {
        name: "from a connection string to its endpoint and a method without a secret",
        kind: Kind::Connection,
        before: "auth: {connectionString: {secretRef: {name: acs}}}",
        after: "{endpoint: 'https://contoso.communication.azure.com', auth: {workloadIdentity: {serviceAccountRef: {name: acs}}}}",
    },
    Change {
        name: "fewer namespaces",
        kind: Kind::ClusterConnection,
        before: "{allowedNamespaces: {selector: {}}, auth: {connectionString: {secretRef: {name: acs, namespace: acs-system}}}}",
        after: "{allowedNamespaces: {names: []}, auth: {connectionString: {secretRef: {name: acs, namespace: acs-system}}}}",
    },
];

impl Change {
    async fn answer(&self, cluster: &Cluster) -> Result<Result<DynamicObject, String>> {
        let mut object = cluster.create(self.kind, self.before).await?;
        object.data["spec"] = serde_saphyr::from_str(self.after)?;
        cluster.try_update(self.kind, &object).await
    }
}

#[tokio::test]
async fn a_change_that_would_lose_or_swap_an_identity_is_refused_with_what_to_do_instead() -> Result<()> {
    let cluster = Cluster::shared("updates").await?;
    let mut complaints = vec![];
    for (change, says) in REFUSED {
        match change.answer(&cluster).await? {
            Err(words) if words.contains(says) => {}
            other => complaints.push(format!("{}: not refused with {says:?}: {:?}", change.name, other.err())),
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}

#[tokio::test]
async fn every_other_change_is_taken() -> Result<()> {
    let cluster = Cluster::shared("updates").await?;
    let mut complaints = vec![];
    for change in TAKEN {
        if let Err(words) = change.answer(&cluster).await? {
            complaints.push(format!("{}: {words}", change.name));
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}

#[tokio::test]
async fn a_recorded_identity_is_never_overwritten_by_another_in_one_write() -> Result<()> {
    let cluster = Cluster::shared("status").await?;
    let object = cluster.create(Kind::User, "token: {scopes: [voip]}").await?;
    let recorded = write_status(&cluster, object, json!({"identity": {"id": ID}}))
        .await?
        .unwrap();

    let overwritten = write_status(&cluster, recorded.clone(), json!({"identity": {"id": OTHER_ID}})).await?;
    let words = overwritten.unwrap_err();
    assert!(
        words.contains("status.identity.id cannot change from one identity to another; clear it first"),
        "{words}"
    );

    let cleared = write_status(&cluster, recorded, json!({"identity": {"suspectedOrphans": 1}}))
        .await?
        .unwrap();
    write_status(&cluster, cleared, json!({"identity": {"id": OTHER_ID}}))
        .await?
        .unwrap();
    Ok(())
}

#[tokio::test]
async fn a_status_that_only_a_mistake_of_the_operator_could_write_is_refused() -> Result<()> {
    let cluster = Cluster::shared("status").await?;
    let object = cluster.create(Kind::User, "token: {scopes: [voip]}").await?;
    for (status, at) in [
        (json!({"identity": {"id": "alice"}}), "status.identity.id"),
        (json!({"identity": {"origin": "Found"}}), "status.identity.origin"),
        (
            json!({"identity": {"suspectedOrphans": -1}}),
            "status.identity.suspectedOrphans",
        ),
        (
            json!({"token": {"expirationTime": "tomorrow"}}),
            "status.token.expirationTime",
        ),
        (
            json!({"conditions": [{"type": "Ready", "status": "Yes"}]}),
            "status.conditions[0].status",
        ),
    ] {
        let mut object = object.clone();
        object.data["status"] = status;
        let words = cluster.try_status_update(Kind::User, &object).await?.unwrap_err();
        assert!(words.contains(at), "{at}: {words}");
    }
    Ok(())
}

/// Writes a status for good.
async fn write_status(
    cluster: &Cluster,
    mut object: DynamicObject,
    status: Value,
) -> Result<Result<DynamicObject, String>> {
    object.data["status"] = status;
    cluster.update_status(Kind::User, &object).await
}
