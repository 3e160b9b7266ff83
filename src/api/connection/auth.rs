//! How a connection signs in to its ACS resource. Both kinds offer the same methods, but only a cluster connection may use
//! the operator's own identity, and only it names the namespace of its Secret.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::{rules, schema};

/// How a CommunicationConnection signs in: exactly one field is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::ONE_METHOD)]
pub struct Auth {
    /// A connection string, `endpoint=…;accesskey=…`, from a Secret; default key `connectionString`. It carries the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_string: Option<SecretAuth>,

    /// An access key from a Secret; default key `accessKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<SecretAuth>,

    /// An application of Microsoft Entra with a client secret; default key `clientSecret`. This version of the operator
    /// cannot use it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<ClientSecretAuth>,

    /// A ServiceAccount of this namespace that is federated with Microsoft Entra; no secret is stored. This version of the
    /// operator cannot use it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentityAuth>,
}

/// How a ClusterCommunicationConnection signs in: exactly one field is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::ONE_CLUSTER_METHOD)]
pub struct ClusterAuth {
    /// A connection string, `endpoint=…;accesskey=…`, from a Secret; default key `connectionString`. It carries the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_string: Option<ClusterSecretAuth>,

    /// An access key from a Secret; default key `accessKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<ClusterSecretAuth>,

    /// An application of Microsoft Entra with a client secret; default key `clientSecret`. This version of the operator
    /// cannot use it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<ClusterClientSecretAuth>,

    /// The operator's own pod identity, federated with Microsoft Entra; no secret is stored. Write `{}` when the pod's
    /// identity is the right one. This version of the operator cannot use it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<ClusterWorkloadIdentityAuth>,

    /// A managed identity of the node that the operator runs on; no secret is stored. Write `{}` for the system-assigned one.
    /// This version of the operator cannot use it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_identity: Option<ManagedIdentityAuth>,
}

/// A credential in a Secret of the connection's namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretAuth {
    /// The Secret with the credential.
    pub secret_ref: SecretRef,
}

/// A credential in a Secret of any namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSecretAuth {
    /// The Secret with the credential.
    pub secret_ref: ClusterSecretRef,
}

/// A Secret in the connection's namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret, in the namespace of the connection.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME)]
    pub name: String,

    /// Keys of the Secret to take the credential from, one or two, tried in order: with two, an access key can be regenerated
    /// in Azure without an outage. For example `[primaryKey, secondaryKey]`. Default: the name of the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::secret_keys")]
    pub keys: Option<Vec<String>>,
}

/// A Secret in any namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSecretRef {
    /// Name of the Secret.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME)]
    pub name: String,

    /// Namespace of the Secret.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::NAMESPACE_NAME)]
    pub namespace: String,

    /// Keys of the Secret to take the credential from, one or two, tried in order: with two, an access key can be regenerated
    /// in Azure without an outage. For example `[primaryKey, secondaryKey]`. Default: the name of the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::secret_keys")]
    pub keys: Option<Vec<String>>,
}

/// An application of Microsoft Entra, with its secret in the connection's namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientSecretAuth {
    /// Id of the Entra tenant.
    #[schemars(length(max = 64))]
    pub tenant_id: String,

    /// Id of the application (client).
    #[schemars(length(max = 64))]
    pub client_id: String,

    /// The Secret with the client secret.
    pub secret_ref: SecretRef,
}

/// An application of Microsoft Entra, with its secret in any namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterClientSecretAuth {
    /// Id of the Entra tenant.
    #[schemars(length(max = 64))]
    pub tenant_id: String,

    /// Id of the application (client).
    #[schemars(length(max = 64))]
    pub client_id: String,

    /// The Secret with the client secret.
    pub secret_ref: ClusterSecretRef,
}

/// A ServiceAccount that is federated with Microsoft Entra.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadIdentityAuth {
    /// Id of the Entra tenant. Default: the ServiceAccount's annotation azure.workload.identity/tenant-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub tenant_id: Option<String>,

    /// Id of the application or managed identity. Default: the ServiceAccount's annotation azure.workload.identity/client-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub client_id: Option<String>,

    /// The ServiceAccount to sign in as.
    pub service_account_ref: ServiceAccountRef,
}

/// A ServiceAccount in the connection's namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountRef {
    /// Name of the ServiceAccount, in the namespace of the connection.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME)]
    pub name: String,
}

/// The operator's own pod identity.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterWorkloadIdentityAuth {
    /// Id of the Entra tenant. Default: the operator's AZURE_TENANT_ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub tenant_id: Option<String>,

    /// Id of the application or managed identity. Default: the operator's AZURE_CLIENT_ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub client_id: Option<String>,
}

/// A managed identity of the node.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedIdentityAuth {
    /// Client id of a user-assigned identity. Default: the system-assigned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub client_id: Option<String>,
}
