//! The kinds `CommunicationConnection` and `ClusterCommunicationConnection`: an ACS resource and how to sign in to it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{rules, schema};

mod auth;
mod settings;
mod status;

pub use auth::{
    Auth, ClientSecretAuth, ClusterAuth, ClusterClientSecretAuth, ClusterSecretAuth, ClusterSecretRef,
    ClusterWorkloadIdentityAuth, ManagedIdentityAuth, SecretAuth, SecretRef, ServiceAccountRef, WorkloadIdentityAuth,
};
pub use settings::{ConnectionSettings, RateLimits};
pub use status::ConnectionStatus;

/// An ACS resource for the users of one namespace.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "acs-operator.dev",
    version = "v1beta1",
    kind = "CommunicationConnection",
    plural = "communicationconnections",
    shortname = "acsc",
    category = "acs",
    category = "azure",
    namespaced,
    status = "ConnectionStatus",
    derive = "PartialEq",
    doc = "A CommunicationConnection is an Azure Communication Services (ACS) resource, and how to sign in to it, for the \
           CommunicationUsers of its namespace.",
    annotation("helm.sh/resource-policy", "keep"),
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
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint"),
    printcolumn(name = "Auth", type_ = "string", json_path = ".status.authMethod"),
    printcolumn(name = "Users", type_ = "integer", json_path = ".status.users"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::ENDPOINT_NEEDED,
    validation = rules::ENDPOINT_ONCE,
    validation = rules::ENDPOINT_STAYS
)]
pub struct CommunicationConnectionSpec {
    /// How to sign in to the ACS resource: exactly one method.
    pub auth: Auth,

    /// What a connection of either kind can be set to.
    #[serde(flatten)]
    pub settings: ConnectionSettings,

    /// true lets users of this namespace take over existing identities by spec.identity.id. Whoever may create users can
    /// then get tokens for any identity of the ACS resource. Default false.
    #[serde(default)]
    pub allow_adoption: bool,
}

/// An ACS resource for the users of many namespaces.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "acs-operator.dev",
    version = "v1beta1",
    kind = "ClusterCommunicationConnection",
    plural = "clustercommunicationconnections",
    shortname = "cacsc",
    category = "acs",
    category = "azure",
    status = "ConnectionStatus",
    derive = "PartialEq",
    doc = "A ClusterCommunicationConnection is an Azure Communication Services (ACS) resource, and how to sign in to it, for the \
           CommunicationUsers of the namespaces that it allows. The one named default serves users that name no connection.",
    annotation("helm.sh/resource-policy", "keep"),
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
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint"),
    printcolumn(name = "Auth", type_ = "string", json_path = ".status.authMethod"),
    printcolumn(name = "Users", type_ = "integer", json_path = ".status.users"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::ENDPOINT_NEEDED,
    validation = rules::ENDPOINT_ONCE,
    validation = rules::ENDPOINT_STAYS
)]
pub struct ClusterCommunicationConnectionSpec {
    /// How to sign in to the ACS resource: exactly one method.
    pub auth: ClusterAuth,

    /// What a connection of either kind can be set to.
    #[serde(flatten)]
    pub settings: ConnectionSettings,

    /// The namespaces whose users may use this connection: those listed and those selected. Whoever may create
    /// CommunicationUsers there gets identities and tokens of this ACS resource.
    pub allowed_namespaces: AllowedNamespaces,
}

/// The namespaces that a cluster connection serves: the union of both fields.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::NAMESPACES_CHOSEN)]
pub struct AllowedNamespaces {
    /// Namespaces by name, at most 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub names: Option<Vec<String>>,

    /// Namespaces by label. `{}` selects every namespace; absent selects none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub selector: Option<LabelSelector>,
}
