//! Manifests of a `CommunicationUser` that people get wrong.

use anyhow::Result;

use super::cluster::{Cluster, Kind, Mistake};

/// Mistakes in a value, each against a rule or bound of the schema.
pub const VALUES: &[Mistake] = &[
    Mistake {
        name: "a token without scopes",
        spec: "token: {lifetime: 12h}",
        at: "spec.token.scopes",
        says: "Required value",
    },
    Mistake {
        name: "a token with an empty list of scopes",
        spec: "token: {scopes: []}",
        at: "spec.token.scopes",
        says: "should have at least 1 items",
    },
    Mistake {
        name: "a scope that ACS does not have",
        spec: "token: {scopes: [video]}",
        at: "spec.token.scopes[0]",
        says: r#"supported values: "chat", "chat.join", "chat.join.limited", "voip", "voip.join""#,
    },
    Mistake {
        name: "a scope in capitals, as SDK enumerations write it",
        spec: "token: {scopes: [VoIP]}",
        at: "spec.token.scopes[0]",
        says: r#"Unsupported value: "VoIP""#,
    },
    Mistake {
        name: "a scope twice",
        spec: "token: {scopes: [chat, voip, chat]}",
        at: "spec.token.scopes[2]",
        says: "Duplicate value",
    },
    Mistake {
        name: "more scopes than there are",
        spec: "token: {scopes: [chat, chat.join, chat.join.limited, voip, voip.join, teams]}",
        at: "spec.token.scopes",
        says: "must have at most 5 items",
    },
    Mistake {
        name: "a lifetime below what ACS issues",
        spec: "token: {scopes: [voip], lifetime: 30m}",
        at: "spec.token.lifetime",
        says: "lifetime must be 1h to 24h in whole minutes, for example 24h, 90m or 1h30m",
    },
    Mistake {
        name: "a lifetime above what ACS issues",
        spec: "token: {scopes: [voip], lifetime: 24h1m}",
        at: "spec.token.lifetime",
        says: "lifetime must be 1h to 24h",
    },
    Mistake {
        name: "a lifetime in days",
        spec: "token: {scopes: [voip], lifetime: 1d}",
        at: "spec.token.lifetime",
        says: "lifetime must be 1h to 24h",
    },
    Mistake {
        name: "a lifetime with seconds",
        spec: "token: {scopes: [voip], lifetime: 1h30m15s}",
        at: "spec.token.lifetime",
        says: "in whole minutes",
    },
    Mistake {
        name: "a lifetime without a unit",
        spec: "token: {scopes: [voip], lifetime: '24'}",
        at: "spec.token.lifetime",
        says: "for example 24h",
    },
    Mistake {
        name: "a lifetime as ISO 8601",
        spec: "token: {scopes: [voip], lifetime: PT24H}",
        at: "spec.token.lifetime",
        says: "for example 24h",
    },
    Mistake {
        name: "a lifetime in fractions of an hour",
        spec: "token: {scopes: [voip], lifetime: 1.5h}",
        at: "spec.token.lifetime",
        says: "for example 24h, 90m or 1h30m",
    },
    Mistake {
        name: "an empty lifetime",
        spec: "token: {scopes: [voip], lifetime: ''}",
        at: "spec.token.lifetime",
        says: "for example 24h",
    },
    Mistake {
        name: "a lifetime in words",
        spec: "token: {scopes: [voip], lifetime: twenty-four hours}",
        at: "spec.token.lifetime",
        says: "may not be more than 12",
    },
    Mistake {
        name: "a renewal so late that ACS clients are refreshing already",
        spec: "token: {scopes: [voip], renewBefore: 10m}",
        at: "spec.token",
        says: "renewBefore must be at least 15m in whole minutes, for example 8h or 20m",
    },
    Mistake {
        name: "a renewal in percent",
        spec: "token: {scopes: [voip], renewBefore: 33%}",
        at: "spec.token",
        says: "renewBefore must be at least 15m in whole minutes",
    },
    Mistake {
        name: "an empty renewBefore",
        spec: "token: {scopes: [voip], renewBefore: ''}",
        at: "spec.token",
        says: "renewBefore must be at least 15m",
    },
    Mistake {
        name: "a renewBefore in words",
        spec: "token: {scopes: [voip], renewBefore: a third of it}",
        at: "spec.token.renewBefore",
        says: "may not be more than 12",
    },
    Mistake {
        name: "a renewal that leaves no use of the token",
        spec: "token: {scopes: [voip], lifetime: 1h, renewBefore: 45m}",
        at: "spec.token",
        says: "renewBefore must leave a token at least 30m of use: choose renewBefore <= lifetime - 30m",
    },
    Mistake {
        name: "a renewal that leaves no use of a token with the default lifetime",
        spec: "token: {scopes: [voip], renewBefore: 24h}",
        at: "spec.token",
        says: "choose renewBefore <= lifetime - 30m",
    },
    Mistake {
        name: "a Secret without a token to write",
        spec: "secret: {name: alice}",
        at: "spec",
        says: "spec.secret needs spec.token: without a token there is nothing to write; remove spec.secret or add spec.token.scopes",
    },
    Mistake {
        name: "a Secret's name in capitals",
        spec: "{token: {scopes: [voip]}, secret: {name: Alice}}",
        at: "spec.secret.name",
        says: "lower-case letters, digits, '-' and '.'",
    },
    Mistake {
        name: "a Secret's name with an underscore",
        spec: "{token: {scopes: [voip]}, secret: {name: alice_token}}",
        at: "spec.secret.name",
        says: "must be the name of a Kubernetes object",
    },
    Mistake {
        name: "an empty name of a Secret",
        spec: "{token: {scopes: [voip]}, secret: {name: ''}}",
        at: "spec.secret.name",
        says: "must be the name of a Kubernetes object",
    },
    Mistake {
        name: "a Secret in another namespace",
        spec: "{token: {scopes: [voip]}, secret: {name: other/alice}}",
        at: "spec.secret.name",
        says: "must be the name of a Kubernetes object",
    },
    Mistake {
        name: "keys of a Secret without any",
        spec: "{token: {scopes: [voip]}, secret: {keys: {}}}",
        at: "spec.secret.keys",
        says: "should have at least 1 properties",
    },
    Mistake {
        name: "keys of a Secret without the token",
        spec: "{token: {scopes: [voip]}, secret: {keys: {userId: id}}}",
        at: "spec.secret.keys",
        says: "keys.token is needed: a Secret without the token serves nobody",
    },
    Mistake {
        name: "two values under one key",
        spec: "{token: {scopes: [voip]}, secret: {keys: {token: acs, userId: id, endpoint: acs}}}",
        at: "spec.secret.keys",
        says: "two values have the same key: give each of token, userId, expiresOn and endpoint its own",
    },
    Mistake {
        name: "a key of a Secret that is a path",
        spec: "{token: {scopes: [voip]}, secret: {keys: {token: acs/token}}}",
        at: "spec.secret.keys.token",
        says: "must be a key of a Secret: letters, digits, '-', '_' and '.'",
    },
    Mistake {
        name: "an empty key of a Secret",
        spec: "{token: {scopes: [voip]}, secret: {keys: {token: token, expiresOn: ''}}}",
        at: "spec.secret.keys.expiresOn",
        says: "must be a key of a Secret",
    },
    Mistake {
        name: "the label by which the operator finds its Secrets",
        spec: "{token: {scopes: [voip]}, secret: {labels: {app.kubernetes.io/managed-by: argocd}}}",
        at: "spec.secret.labels",
        says: "app.kubernetes.io/managed-by and app.kubernetes.io/instance are reserved",
    },
    Mistake {
        name: "the label by which Argo CD finds its resources",
        spec: "{token: {scopes: [voip]}, secret: {labels: {argocd.argoproj.io/instance: acs}}}",
        at: "spec.secret.labels",
        says: "argoproj.io/ and acs-operator.dev/",
    },
    Mistake {
        name: "a label of Kubernetes itself",
        spec: "{token: {scopes: [voip]}, secret: {labels: {node.kubernetes.io/exclude: yes-please}}}",
        at: "spec.secret.labels",
        says: "are reserved",
    },
    Mistake {
        name: "a label with a blank in its key",
        spec: "{token: {scopes: [voip]}, secret: {labels: {'my team': a}}}",
        at: "spec.secret.labels",
        says: "a key is an optional lower-case DNS prefix and a slash, then up to 63 letters",
    },
    Mistake {
        name: "a label with a sentence as its value",
        spec: "{token: {scopes: [voip]}, secret: {labels: {team: contact center}}}",
        at: "spec.secret.labels[team]",
        says: "other text fits an annotation",
    },
    Mistake {
        name: "a label with a value that is too long",
        spec: "{token: {scopes: [voip]}, secret: {labels: {team: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}}",
        at: "spec.secret.labels.team",
        says: "may not be more than 63",
    },
    Mistake {
        name: "more labels than sixteen",
        spec: "{token: {scopes: [voip]}, secret: {labels: {a: x, b: x, c: x, d: x, e: x, f: x, g: x, h: x, i: x, j: x, k: x, l: x, m: x, o: x, p: x, q: x, r: x}}}",
        at: "spec.secret.labels",
        says: "must have at most 16 items",
    },
    Mistake {
        name: "an annotation that forges the operator's record",
        spec: "{token: {scopes: [voip]}, secret: {annotations: {acs-operator.dev/token-sha256: '00'}}}",
        at: "spec.secret.annotations",
        says: "acs-operator.dev/, app.kubernetes.io/managed-by",
    },
    Mistake {
        name: "an annotation copied from a live object",
        spec: "{token: {scopes: [voip]}, secret: {annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}'}}}",
        at: "spec.secret.annotations",
        says: "are reserved",
    },
    Mistake {
        name: "an annotation with an upper-case prefix",
        spec: "{token: {scopes: [voip]}, secret: {annotations: {Example.com/team: a}}}",
        at: "spec.secret.annotations",
        says: "for example team or example.com/team",
    },
    Mistake {
        name: "a connection without a name",
        spec: "connectionRef: {kind: CommunicationConnection}",
        at: "spec.connectionRef.name",
        says: "Required value",
    },
    Mistake {
        name: "a connection with its namespace",
        spec: "connectionRef: {name: contact-center/contoso}",
        at: "spec.connectionRef.name",
        says: "must be the name of a Kubernetes object",
    },
    Mistake {
        name: "a connection of a kind that does not exist",
        spec: "connectionRef: {kind: Connection, name: contoso}",
        at: "spec.connectionRef.kind",
        says: r#"supported values: "CommunicationConnection", "ClusterCommunicationConnection""#,
    },
    Mistake {
        name: "an identity by the name of a person",
        spec: "identity: {id: alice}",
        at: "spec.identity.id",
        says: "identity.id must be a full ACS identity id such as 8:acs:<resource guid>_<opaque>",
    },
    Mistake {
        name: "an identity by the resource's GUID alone",
        spec: "identity: {id: '8:acs:00000000-0000-0000-0000-000000000000'}",
        at: "spec.identity.id",
        says: "must be a full ACS identity id",
    },
    Mistake {
        name: "an identity of Teams",
        spec: "identity: {id: '8:orgid:00000000-0000-0000-0000-000000000000'}",
        at: "spec.identity.id",
        says: "must be a full ACS identity id",
    },
    Mistake {
        name: "an identity copied with a blank",
        spec: "identity: {id: '8:acs:00000000-0000-0000-0000-000000000000_0000000a-1b2c '}",
        at: "spec.identity.id",
        says: "must be a full ACS identity id",
    },
    Mistake {
        name: "a deletion policy of another operator",
        spec: "identity: {deletionPolicy: Orphan}",
        at: "spec.identity.deletionPolicy",
        says: r#"supported values: "Delete", "Retain""#,
    },
];

/// Mistakes in the type of a value, or in a name of a field.
const SHAPES: &[Mistake] = &[
    Mistake {
        name: "one scope without a list",
        spec: "token: {scopes: voip}",
        at: "spec.token.scopes",
        says: "must be of type array",
    },
    Mistake {
        name: "a token asked for by true",
        spec: "token: true",
        at: "spec.token",
        says: "must be of type object",
    },
    Mistake {
        name: "a lifetime in seconds",
        spec: "token: {scopes: [voip], lifetime: 86400}",
        at: "spec.token.lifetime",
        says: "must be of type string",
    },
    Mistake {
        name: "a connection by its name alone",
        spec: "connectionRef: contoso",
        at: "spec.connectionRef",
        says: "must be of type object",
    },
    Mistake {
        name: "suspend as text",
        spec: "suspend: 'yes'",
        at: "spec.suspend",
        says: "must be of type boolean",
    },
    Mistake {
        name: "a number as a label's value",
        spec: "{token: {scopes: [voip]}, secret: {labels: {version: 1}}}",
        at: "spec.secret.labels.version",
        says: "must be of type string",
    },
    Mistake {
        name: "scopes at the top",
        spec: "scopes: [voip]",
        at: "spec.scopes",
        says: "unknown field",
    },
    Mistake {
        name: "one scope by a singular name",
        spec: "token: {scope: voip}",
        at: "spec.token.scope",
        says: "unknown field",
    },
    Mistake {
        name: "the Secret's name at the top",
        spec: "{token: {scopes: [voip]}, secretName: alice}",
        at: "spec.secretName",
        says: "unknown field",
    },
    Mistake {
        name: "a Secret in a namespace of its own",
        spec: "{token: {scopes: [voip]}, secret: {name: alice, namespace: other}}",
        at: "spec.secret.namespace",
        says: "unknown field",
    },
];

#[tokio::test]
async fn a_user_with_a_wrong_value_is_refused_with_the_field_and_what_to_write_instead() -> Result<()> {
    let cluster = Cluster::shared("user-values").await?;
    let complaints = cluster.badly_refused(Kind::User, VALUES).await?;
    assert!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}

#[tokio::test]
async fn a_user_of_a_wrong_shape_is_refused_with_the_field() -> Result<()> {
    let cluster = Cluster::shared("user-shapes").await?;
    let complaints = cluster.badly_refused(Kind::User, SHAPES).await?;
    assert!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}

#[tokio::test]
async fn a_user_without_a_spec_is_refused() -> Result<()> {
    let cluster = Cluster::shared("user-spec").await?;
    let mut manifest = Kind::User.manifest("{}")?;
    manifest.as_object_mut().unwrap().remove("spec");
    let words = cluster.try_create(Kind::User, &manifest).await?.unwrap_err();
    assert!(words.contains("spec: Required value"), "{words}");
    Ok(())
}
