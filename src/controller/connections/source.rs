//! A connection of either kind, or of the environment, in one form.

use std::sync::Arc;

use acs_identity::{ApiVersion, ConnectionString};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::{
    AllowedNamespaces, Auth, ClusterAuth, ClusterCommunicationConnection, ClusterSecretAuth, CommunicationConnection,
    ConnectionSettings, ConnectionStatus, SecretAuth, names,
};
use crate::cluster::ObjectKey;

/// The kind in the namespace of its users.
pub const NAMESPACED: &str = "CommunicationConnection";
/// The kind for many namespaces.
pub const CLUSTER: &str = "ClusterCommunicationConnection";

/// A connection as declared.
pub struct Source {
    /// Which one: with a namespace it is a CommunicationConnection, without one a ClusterCommunicationConnection.
    pub key: ObjectKey,
    /// Its metadata; empty for the connection of the environment.
    pub metadata: ObjectMeta,
    /// Its status as stored.
    pub status: ConnectionStatus,
    /// What both kinds can be set to.
    pub settings: ConnectionSettings,
    /// How it signs in.
    pub method: Method,
    /// Whether its users may adopt identities.
    pub allows_adoption: bool,
    /// Whom it serves.
    pub serves: Serves,
}

/// How a connection signs in.
pub enum Method {
    /// A connection string in a Secret.
    ConnectionString(Place),
    /// An access key in a Secret.
    AccessKey(Place),
    /// A method of Microsoft Entra, by its name in `spec.auth`.
    Entra(&'static str),
    /// None that this version knows, which only a stored object of another version can have.
    Unknown,
    /// The connection string of the operator's environment.
    Environment(Arc<Environment>),
}

/// Where a credential lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Namespace of the Secret. That of a CommunicationConnection is always its own: no object can name another.
    pub namespace: String,
    /// Name of the Secret.
    pub name: String,
    /// Its keys, in the order in which they are tried.
    pub keys: Vec<String>,
}

/// Whom a connection serves.
pub enum Serves {
    /// The namespace that it lies in.
    Own,
    /// Those that its spec allows.
    Allowed(AllowedNamespaces),
    /// Those of the operator's settings.
    Configured,
}

/// The connection of the operator's environment.
pub struct Environment {
    /// Endpoint and key.
    pub connection: ConnectionString,
    /// Version of the REST API to use.
    pub api_version: ApiVersion,
    /// Whether a namespace may use it.
    pub allows: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

impl Source {
    /// A CommunicationConnection.
    pub fn namespaced(object: &CommunicationConnection) -> Self {
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        Self {
            key: ObjectKey::of(object),
            metadata: object.metadata.clone(),
            status: object.status.clone().unwrap_or_default(),
            settings: object.spec.settings.clone(),
            method: Method::namespaced(&object.spec.auth, &namespace),
            allows_adoption: object.spec.allow_adoption,
            serves: Serves::Own,
        }
    }

    /// A ClusterCommunicationConnection.
    pub fn cluster(object: &ClusterCommunicationConnection) -> Self {
        Self {
            key: ObjectKey::of(object),
            metadata: object.metadata.clone(),
            status: object.status.clone().unwrap_or_default(),
            settings: object.spec.settings.clone(),
            method: Method::cluster(&object.spec.auth),
            // On a shared connection that would be impersonation.
            allows_adoption: false,
            serves: Serves::Allowed(object.spec.allowed_namespaces.clone()),
        }
    }

    /// The connection of the environment, which stands in for the ClusterCommunicationConnection named `default`.
    pub fn environment(environment: &Arc<Environment>) -> Self {
        Self {
            key: ObjectKey::cluster_scoped(names::DEFAULT_CONNECTION),
            metadata: ObjectMeta::default(),
            status: ConnectionStatus::default(),
            settings: ConnectionSettings {
                service_api_version: environment.api_version.as_str().to_owned(),
                ..ConnectionSettings::default()
            },
            method: Method::Environment(Arc::clone(environment)),
            allows_adoption: false,
            serves: Serves::Configured,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> &'static str {
        kind_of(&self.key)
    }

    /// `Kind/name`, as shown in the CONNECTION column.
    pub fn label(&self) -> String {
        label_of(&self.key)
    }

    /// Whether it is an object that lies in the API server.
    pub fn is_object(&self) -> bool {
        !matches!(self.method, Method::Environment(_))
    }

    /// Where its credential lies, if it lies in a Secret.
    pub fn place(&self) -> Option<&Place> {
        match &self.method {
            Method::ConnectionString(place) | Method::AccessKey(place) => Some(place),
            Method::Entra(_) | Method::Unknown | Method::Environment(_) => None,
        }
    }
}

impl Method {
    fn namespaced(auth: &Auth, namespace: &str) -> Self {
        let place = |secret: &SecretAuth, default: &str| {
            let reference = &secret.secret_ref;
            Place::new(namespace, &reference.name, reference.keys.as_ref(), default)
        };
        let place = |secret: &Option<SecretAuth>, default| secret.as_ref().map(|secret| place(secret, default));
        Self::chosen(
            place(&auth.connection_string, "connectionString"),
            place(&auth.access_key, "accessKey"),
            &[
                ("clientSecret", auth.client_secret.is_some()),
                ("workloadIdentity", auth.workload_identity.is_some()),
            ],
        )
    }

    fn cluster(auth: &ClusterAuth) -> Self {
        let place = |secret: &ClusterSecretAuth, default: &str| {
            let reference = &secret.secret_ref;
            Place::new(&reference.namespace, &reference.name, reference.keys.as_ref(), default)
        };
        let place = |secret: &Option<ClusterSecretAuth>, default| secret.as_ref().map(|secret| place(secret, default));
        Self::chosen(
            place(&auth.connection_string, "connectionString"),
            place(&auth.access_key, "accessKey"),
            &[
                ("clientSecret", auth.client_secret.is_some()),
                ("workloadIdentity", auth.workload_identity.is_some()),
                ("managedIdentity", auth.managed_identity.is_some()),
            ],
        )
    }

    /// The one that is set; the schema sees to it that there is exactly one.
    fn chosen(connection_string: Option<Place>, access_key: Option<Place>, entra: &[(&'static str, bool)]) -> Self {
        let entra = entra.iter().find(|(_, is_set)| *is_set);
        connection_string
            .map(Self::ConnectionString)
            .or_else(|| access_key.map(Self::AccessKey))
            .or_else(|| entra.map(|(name, _)| Self::Entra(name)))
            .unwrap_or(Self::Unknown)
    }

    /// The name in `spec.auth`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ConnectionString(_) | Self::Environment(_) => "connectionString",
            Self::AccessKey(_) => "accessKey",
            Self::Entra(name) => name,
            Self::Unknown => "unknown",
        }
    }
}

impl Place {
    fn new(namespace: &str, name: &str, keys: Option<&Vec<String>>, default: &str) -> Self {
        let keys = keys.filter(|keys| !keys.is_empty()).cloned();
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            keys: keys.unwrap_or_else(|| vec![default.to_owned()]),
        }
    }

    /// The Secret.
    pub fn secret(&self) -> ObjectKey {
        ObjectKey::namespaced(&self.namespace, &self.name)
    }
}

/// The kind of connection with this key.
pub fn kind_of(key: &ObjectKey) -> &'static str {
    if key.namespace().is_some() { NAMESPACED } else { CLUSTER }
}

/// `Kind/name`.
pub fn label_of(key: &ObjectKey) -> String {
    format!("{}/{}", kind_of(key), key.name())
}
