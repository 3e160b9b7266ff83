//! Which connection serves an object, and the client to use with it.

use std::sync::Arc;

use acs_identity::Client;

use super::permits::Permits;
use crate::api::{CommunicationUser, ConnectionKind, names};
use crate::decide::{Connection, ConnectionState};

/// All connections that the operator knows: for now the one of its environment.
pub struct Connections {
    default: Option<DefaultConnection>,
}

/// The connection of the environment, which stands in for the ClusterCommunicationConnection named `default`.
pub struct DefaultConnection {
    /// The way to ACS.
    pub access: Arc<Access>,
    /// Whether a namespace may use it.
    pub allows: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

/// The way to one ACS resource.
pub struct Access {
    /// The client, with its credential.
    pub client: Client,
    /// Keeps its calls inside the rate limits.
    pub permits: Permits,
}

/// A connection as one object sees it.
pub struct Resolved {
    /// What decisions see of it.
    pub view: Connection,
    /// The way to ACS, when the connection can be used.
    pub access: Option<Arc<Access>>,
}

impl Connections {
    /// The connections, of which `default` is the one of the environment, if there is one.
    pub fn new(default: Option<DefaultConnection>) -> Self {
        Self { default }
    }

    /// The connection that serves `user`. What has begun under a connection may be finished under it: a namespace that
    /// lost its permission can still delete.
    pub fn resolve(&self, user: &CommunicationUser) -> Resolved {
        if let Some(reference) = &user.spec.connection_ref {
            let kind = kind_name(&reference.kind);
            return unusable(
                format!("{kind}/{}", reference.name),
                ConnectionState::NotFound(format!(
                    "{kind} {} cannot be used: this version of the operator knows only the connection of its environment. \
                     To use that, delete this object and create it without spec.connectionRef",
                    reference.name
                )),
            );
        }
        let label = format!("ClusterCommunicationConnection/{}", names::DEFAULT_CONNECTION);
        let namespace = user.metadata.namespace.as_deref().unwrap_or_default();
        let Some(default) = &self.default else {
            return unusable(
                label,
                ConnectionState::NotFound(
                    "there is no default connection: whoever runs the operator has to set \
                     COMMUNICATION_SERVICES_CONNECTION_STRING in its environment (a ClusterCommunicationConnection named \
                     default is the other way, but not with this version of the operator)"
                        .into(),
                ),
            );
        };
        if !(default.allows)(namespace) && user.metadata.deletion_timestamp.is_none() {
            return unusable(
                label,
                ConnectionState::NotAllowed(format!(
                    "the default connection does not serve namespace {namespace}: whoever runs the operator has to add it to \
                     --default-connection-namespaces"
                )),
            );
        }
        let endpoint = default.access.client.endpoint().as_str().to_owned();
        Resolved {
            view: Connection::new(
                label,
                ConnectionState::Ready {
                    endpoint,
                    custom_ids: default.access.client.api_version().has_custom_id(),
                },
            ),
            access: Some(Arc::clone(&default.access)),
        }
    }
}

fn unusable(label: String, state: ConnectionState) -> Resolved {
    Resolved {
        view: Connection::new(label, state),
        access: None,
    }
}

fn kind_name(kind: &ConnectionKind) -> &str {
    match kind {
        ConnectionKind::CommunicationConnection => "CommunicationConnection",
        ConnectionKind::ClusterCommunicationConnection => "ClusterCommunicationConnection",
        ConnectionKind::Unknown(name) => name,
    }
}
