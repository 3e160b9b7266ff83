//! The kind `CommunicationUser`: one ACS identity, and a Secret that always holds a valid token for it.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{rules, text_enum::text_enum};

mod secret;
mod status;
mod token;

pub use secret::{SecretKeys, SecretSpec};
pub use status::{CommunicationUserStatus, IdentityStatus, Origin, SecretStatus, TokenStatus};
pub use token::{Scope, TokenSpec};

/// What identity and token are wanted.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "acs-operator.dev",
    version = "v1beta1",
    kind = "CommunicationUser",
    plural = "communicationusers",
    shortname = "acsu",
    category = "acs",
    category = "azure",
    namespaced,
    status = "CommunicationUserStatus",
    derive = "PartialEq",
    doc = "A CommunicationUser is one identity in Azure Communication Services (ACS). While spec.token is set, a Secret in the same \
           namespace always holds a valid access token for it. Deleting the object deletes the identity (see spec.identity.deletionPolicy). \
           The annotation acs-operator.dev/renew-requested-at asks for a new token, acs-operator.dev/revoke-requested-at for an end to \
           all older ones too; the value is any text, and each text is met once.",
    annotation("helm.sh/resource-policy", "keep"),
    selectable = ".spec.connectionRef.name",
    selectable = ".spec.connectionRef.kind",
    selectable = ".status.identity.id",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.token.expirationTime"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secret.name"),
    printcolumn(name = "Connection", type_ = "string", json_path = ".status.connection"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Identity", type_ = "string", json_path = ".status.identity.id", priority = 1),
    printcolumn(
        name = "Renews",
        type_ = "string",
        json_path = ".status.token.renewalTime",
        priority = 1
    ),
    printcolumn(name = "Scopes", type_ = "string", json_path = ".spec.token.scopes", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::SECRET_NEEDS_TOKEN,
    validation = rules::IDENTITY_ID_STAYS,
    validation = rules::CONNECTION_STAYS
)]
pub struct CommunicationUserSpec {
    /// The connection to ACS that this identity lives in. Absent: the ClusterCommunicationConnection named `default`.
    /// Cannot be changed, because an identity cannot move between ACS resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,

    /// Which identity to use and what becomes of it. Absent: a new identity is created, and deleted with this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentitySpec>,

    /// The access token to keep valid. Absent: the identity is declared without a token and there is no Secret.
    /// Removing it deletes the Secret and revokes the tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenSpec>,

    /// How the Secret looks that holds the token. Needs `token`. Absent: it is named like this object and holds the keys
    /// `token`, `userId`, `expiresOn` and `endpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretSpec>,

    /// true stops every call to ACS for this object, and its requests wait; the token is left to expire. Deletion still
    /// works. Default false.
    #[serde(default)]
    pub suspend: bool,
}

/// A connection by kind and name.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionRef {
    /// CommunicationConnection (in the same namespace) or ClusterCommunicationConnection. Default CommunicationConnection.
    #[serde(default)]
    pub kind: ConnectionKind,

    /// Name of the connection, for example `contoso`.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME)]
    pub name: String,
}

text_enum! {
    /// The kinds of connection.
    #[derive(Default)]
    ConnectionKind {
        /// In the namespace of the user.
        #[default]
        CommunicationConnection = "CommunicationConnection",
        /// For many namespaces.
        ClusterCommunicationConnection = "ClusterCommunicationConnection",
    }
    /// Not a kind that this version knows; no connection is found under it.
    else Unknown
}

/// Which identity, and what becomes of it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentitySpec {
    /// Id of an existing identity to use instead of creating one, for example `8:acs:<resource guid>_<opaque>`; the
    /// connection must allow adoption. It may also be set later to what status.identity.id says: kept in Git, it lets a
    /// restored object find its identity. Cannot be changed or removed once set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    #[x_kube(validation = rules::IDENTITY_ID)]
    pub id: Option<String>,

    /// What happens to the identity in ACS when this object is deleted. Delete: it is deleted and its tokens are revoked.
    /// Retain: it stays and its tokens stay valid until they expire. Default: Delete for an identity that the operator
    /// created for this object, Retain for one that was adopted or restored (see status.identity.origin).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

text_enum! {
    /// What happens to the identity when its object is deleted.
    DeletionPolicy {
        /// It is deleted in ACS, which revokes its tokens.
        Delete = "Delete",
        /// It stays in ACS; its tokens stay valid until they expire.
        Retain = "Retain",
    }
    /// Not a policy that this version knows; to be treated like `Retain`, which can be undone.
    else Unknown
}
