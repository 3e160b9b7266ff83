//! The wanted Secret.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::{rules, schema};

/// How the Secret looks that holds the token.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretSpec {
    /// Name of the Secret. Default: the name of this object. A change moves the Secret. A Secret of that name that
    /// belongs to someone else is never touched (reason SecretConflict).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME)]
    pub name: Option<String>,

    /// What to write, and under which key. Absent: all four values under their own names. Given: exactly these, and
    /// `token` must be among them, for example `{token: ACS_TOKEN}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<SecretKeys>,

    /// Labels for the Secret, beside the operator's own; none are copied from this object. Keys under kubernetes.io,
    /// k8s.io, argoproj.io and acs-operator.dev are reserved, but for app.kubernetes.io other than managed-by and instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    #[x_kube(validation = rules::KEYS_NOT_RESERVED, validation = rules::KEYS_WELL_FORMED)]
    pub labels: BTreeMap<String, String>,

    /// Annotations for the Secret, beside the operator's own; none are copied from this object. The same keys are
    /// reserved as for labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    #[x_kube(validation = rules::KEYS_NOT_RESERVED, validation = rules::KEYS_WELL_FORMED)]
    pub annotations: BTreeMap<String, String>,
}

/// Which values the Secret holds, each under the key given here.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
#[x_kube(validation = rules::KEYS_HOLD_TOKEN, validation = rules::KEYS_DIFFER)]
pub struct SecretKeys {
    /// Key for the access token. Needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::SECRET_KEY)]
    pub token: Option<String>,

    /// Key for the id of the identity, `8:acs:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::SECRET_KEY)]
    pub user_id: Option<String>,

    /// Key for the time at which the token expires: RFC 3339, UTC, whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::SECRET_KEY)]
    pub expires_on: Option<String>,

    /// Key for the URL of the ACS resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::SECRET_KEY)]
    pub endpoint: Option<String>,
}

impl Default for SecretKeys {
    /// What a manifest without `keys` gets: all four values under their own names.
    fn default() -> Self {
        Self {
            token: Some("token".to_owned()),
            user_id: Some("userId".to_owned()),
            expires_on: Some("expiresOn".to_owned()),
            endpoint: Some("endpoint".to_owned()),
        }
    }
}
