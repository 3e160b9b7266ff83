//! What the operator last saw and did.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::Scope;
use crate::api::{rules, schema, text_enum::text_enum, tolerant};

/// What the operator last saw and did. Written by the operator only.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::STATUS_IDENTITY_IS_CLEARED_FIRST)]
pub struct CommunicationUserStatus {
    /// The metadata.generation that this status speaks of; -1 until the operator has seen the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = -1))]
    pub observed_generation: Option<i64>,

    /// The connection in use, as kind/name, for example `ClusterCommunicationConnection/default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,

    /// The identity in ACS. Its id is recorded only here: keep status in backups, or pin the id in spec.identity.id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityStatus>,

    /// The token in the Secret; never the token itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenStatus>,

    /// The Secret as the operator last wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretStatus>,

    /// The value of the annotation acs-operator.dev/renew-requested-at that was last done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_renew_at: Option<String>,

    /// The value of the annotation acs-operator.dev/revoke-requested-at that was last done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_revoke_at: Option<String>,

    /// Ready: the identity exists, and the token is valid if one is wanted. Reconciling: not there yet, and time or someone
    /// else can bring it. Stalled: only a change of this object can bring it. The message says what to do.
    #[serde(
        default,
        deserialize_with = "tolerant::conditions",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// The identity in ACS.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityStatus {
    /// Id of the identity, as other participants of a chat or call see it. It decides whose tokens are issued: changing it
    /// needs the permission `assignidentity` on communicationusers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::identity_id")]
    pub id: Option<String>,

    /// How the object came to the identity. Created: the operator made it for this object. Adopted: named by
    /// spec.identity.id. Restored: this object is a copy of the one that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,

    /// metadata.uid of the object that the identity was recorded for; another uid than this object's marks a restored copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub owner_uid: Option<String>,

    /// UUID of the last attempt to create the identity whose outcome is known, as sent to ACS in x-ms-client-request-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub attempt: Option<String>,

    /// When the identity was created.
    #[serde(
        default,
        deserialize_with = "tolerant::time",
        skip_serializing_if = "Option::is_none"
    )]
    pub creation_time: Option<Time>,

    /// URL of the ACS resource that the identity lives in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub endpoint: Option<String>,

    /// How many creates may have left an identity in ACS that nobody uses, because their answer was lost. Azure's logs can be
    /// searched for the attempt, which is in the event of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub suspected_orphans: Option<i32>,
}

text_enum! {
    /// How an object came to its identity.
    Origin {
        /// The operator made it for this object.
        Created = "Created",
        /// `spec.identity.id` names it.
        Adopted = "Adopted",
        /// This object is a copy of the one that it was made for.
        Restored = "Restored",
    }
    /// Not an origin that this version knows; to be treated like `Adopted`, whose identity is retained by default.
    else Unknown
}

/// The token in the Secret.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenStatus {
    /// When the token was asked for, by the operator's clock.
    #[serde(
        default,
        deserialize_with = "tolerant::time",
        skip_serializing_if = "Option::is_none"
    )]
    pub issue_time: Option<Time>,

    /// When the token expires, by the clock of ACS.
    #[serde(
        default,
        deserialize_with = "tolerant::time",
        skip_serializing_if = "Option::is_none"
    )]
    pub expiration_time: Option<Time>,

    /// When the token will be renewed.
    #[serde(
        default,
        deserialize_with = "tolerant::time",
        skip_serializing_if = "Option::is_none"
    )]
    pub renewal_time: Option<Time>,

    /// When the last revocation of this identity's tokens began. What was issued before is not to be relied on.
    #[serde(
        default,
        deserialize_with = "tolerant::time",
        skip_serializing_if = "Option::is_none"
    )]
    pub revocation_time: Option<Time>,

    /// What the token is good for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub scopes: Vec<Scope>,

    /// Fingerprint of the key or principal that the token was issued with; not the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub credential: Option<String>,
}

/// The Secret as the operator last wrote it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretStatus {
    /// Name of the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// metadata.uid of the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,

    /// metadata.resourceVersion of the Secret; another one means that someone changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}
