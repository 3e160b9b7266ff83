//! What the operator last saw of a connection.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::{schema, tolerant};

/// What the operator last saw of a connection of either kind. Written by the operator only.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStatus {
    /// The metadata.generation that this status speaks of; -1 until the operator has seen the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = -1))]
    pub observed_generation: Option<i64>,

    /// The URL of the ACS resource in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// The GUID in the ids of this resource's identities, learned from the first identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,

    /// The method in use, as in spec.auth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_method: Option<String>,

    /// Fingerprint of the key or principal in use; not the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,

    /// How many CommunicationUsers use this connection. Brought up to date at most every 30 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<i32>,

    /// How many of them wait for a token in place of one that is revoked, or whose key is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_pending: Option<i32>,

    /// How many identities may be left in ACS that nobody uses, because the answer to their creation was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspected_orphans: Option<i32>,

    /// Ready: the credential was proven good. Reconciling: not yet, and time or someone else can bring it. Stalled: only a
    /// change of this object can bring it. The message says what to do.
    #[serde(
        default,
        deserialize_with = "tolerant::conditions",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
