//! What a connection of either kind can be set to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::{rules, schema, tolerant};

/// Settings that both kinds of connection share; part of their `spec`.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionSettings {
    /// URL of the ACS resource, scheme and host only, for example https://contoso.unitedstates.communication.azure.com.
    /// Needed, but not with auth.connectionString, which carries it. Cannot be changed, because identities belong to one
    /// ACS resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::ENDPOINT)]
    pub endpoint: Option<String>,

    /// Version of the ACS Identity API to speak. Default 2023-10-01. With 2025-03-02-preview a repeated create returns the
    /// same identity.
    #[serde(default = "default_service_api_version")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::SERVICE_API_VERSION)]
    pub service_api_version: String,

    /// What Azure grants this ACS resource, in requests per 30 seconds. Default: what Azure documents for every resource;
    /// write your own when Azure support has raised them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limits: Option<RateLimits>,

    /// Share of the rate limits that this connection may use, in percent, 1 to 100. Leave room for the other programs, and
    /// other connections, that use the same ACS resource. Default 50.
    #[serde(default = "default_budget")]
    #[schemars(range(min = 1, max = 100))]
    pub request_budget_percent: i32,

    /// true stops every call through this connection but deletions; tokens are left to expire. Default false.
    #[serde(default)]
    pub suspend: bool,

    /// Break glass: every token of this connection that was issued before this time is revoked and replaced, for example
    /// 2026-11-23T08:00:00Z. A time in the future is waited for.
    #[serde(
        default,
        deserialize_with = "tolerant::time",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(schema_with = "schema::time")]
    pub tokens_valid_from: Option<Time>,
}

const DEFAULT_BUDGET_PERCENT: i32 = 50;

fn default_budget() -> i32 {
    DEFAULT_BUDGET_PERCENT
}

fn default_service_api_version() -> String {
    "2023-10-01".to_owned()
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            service_api_version: default_service_api_version(),
            rate_limits: None,
            request_budget_percent: default_budget(),
            suspend: false,
            tokens_valid_from: None,
        }
    }
}

/// Requests per 30 seconds that Azure grants one ACS resource, by operation.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimits {
    /// Creating an identity, with or without a token. Default 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub create: Option<i32>,

    /// Issuing a token. Default 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub issue: Option<i32>,

    /// Revoking the tokens of an identity. Default 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub revoke: Option<i32>,

    /// Deleting an identity. Default 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub delete: Option<i32>,
}
