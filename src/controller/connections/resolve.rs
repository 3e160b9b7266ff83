//! Which connection serves an object, on which terms, and the client to use with it.

use std::sync::Arc;

use jiff::SignedDuration;

use super::access::Access;
use super::entry::Entry;
use super::source::{self, Source, kind_of, label_of};
use super::standing::{OpenTo, Standing};
use super::{Connections, tenants};
use crate::api::{CommunicationUser, ConnectionKind, ConnectionRef, names};
use crate::cluster::ObjectKey;
use crate::decide::{Connection, ConnectionState, later};

/// How long a connection may be unknown before its users are told. A probe has an answer, or none, within ten seconds.
const PATIENCE: SignedDuration = SignedDuration::from_secs(15);

/// A connection as one object sees it.
pub struct Resolved {
    /// What decisions see of it.
    pub view: Connection,
    /// The way to ACS, when the connection can be used.
    pub access: Option<Arc<Access>>,
}

impl Connections {
    /// The connection that serves `user`. A deletion is served by whatever still leads to the identity: also when the
    /// namespace is not allowed any more, or the connection is suspended, unproven or gone.
    pub fn resolve(&self, user: &CommunicationUser) -> Resolved {
        let Some(key) = key_of(user) else {
            let reference = user.spec.connection_ref.as_ref();
            let kind = reference.map_or("", |reference| kind_name(&reference.kind));
            let label = format!("{kind}/{}", reference.map_or("", |reference| reference.name.as_str()));
            let why = format!(
                "spec.connectionRef.kind is {kind}, which this version of the operator does not know: delete this object, and \
                 create it with CommunicationConnection or ClusterCommunicationConnection"
            );
            return unusable(label, ConnectionState::NotFound(why));
        };
        let (label, leaves) = (label_of(&key), user.metadata.deletion_timestamp.is_some());
        if !self.is_known(&key) {
            self.look_when_known(&key);
            if self.is_hidden(&key) {
                let why = format!("this version of the operator cannot decode {label}: its log says what is wrong");
                return unusable(label, ConnectionState::NotReady(why));
            }
            let question = format!("whether there is a {label}");
            return self.not_listed(label, &question, &format!("{}s", kind_of(&key)));
        }
        let Some(source) = self.source(&key) else {
            let last_good = self.find(&key).filter(|_| leaves);
            return last_good
                .and_then(|entry| self.for_deletion(&key, &label, &entry))
                .unwrap_or_else(|| unusable(label, ConnectionState::NotFound(not_found(user, &key))));
        };
        let namespace = user.metadata.namespace.as_deref().unwrap_or_default();
        if !leaves && !tenants::serves(&source, namespace, &self.declared.namespaces) {
            if tenants::goes_by_labels(&source) && !self.knows_labels_of(namespace) {
                let question = format!("whether {label} serves namespace {namespace}");
                return self.not_listed(label, &question, "namespaces");
            }
            return unusable(
                label,
                ConnectionState::NotAllowed(tenants::not_served(&source, namespace)),
            );
        }
        let entry = self.entry_of(&source);
        if leaves && let Some(resolved) = self.for_deletion(&key, &label, &entry) {
            return resolved;
        }
        let known = entry
            .standing()
            .filter(|standing| standing.open_to == OpenTo::Deletions || standing.is_known);
        let Some(standing) = known else {
            let until = later(entry.since(self.clock.now()), PATIENCE);
            return unusable(label, ConnectionState::Pending { until });
        };
        if leaves {
            return unusable(label, ConnectionState::NotReady(self.not_ready(&source, &standing)));
        }
        let mut resolved = self.for_use(&source, &entry, &standing, user);
        let view = &mut resolved.view;
        view.allows_adoption = source.allows_adoption;
        view.tokens_valid_from = source.settings.tokens_valid_from.as_ref().map(|time| time.0);
        view.credentials = standing.good;
        view.resource_id = standing.resource_id;
        (view.proven, view.repaired) = (standing.proven, standing.repaired);
        resolved
    }

    /// For who waits for the answer to a question that a list will bring. Usually that is over within a moment.
    fn not_listed(&self, label: String, question: &str, plural: &str) -> Resolved {
        let until = later(self.since, PATIENCE);
        if self.clock.now() < until {
            return unusable(label, ConnectionState::Pending { until });
        }
        let why = format!(
            "{question} is not known: the operator could not list {plural} yet, and its log says why. It is tried again by itself"
        );
        unusable(label, ConnectionState::NotReady(why))
    }

    fn for_use(&self, source: &Source, entry: &Arc<Entry>, standing: &Standing, user: &CommunicationUser) -> Resolved {
        let (label, words) = (source.label(), || {
            ConnectionState::NotReady(self.not_ready(source, standing))
        });
        let identity = user.status.as_ref().and_then(|status| status.identity.as_ref());
        let is_new = identity.is_none_or(|identity| identity.id.is_none());
        match standing.open_to {
            OpenTo::Deletions => return unusable(label, ConnectionState::Suspended),
            OpenTo::UsersOfOld if is_new => {
                let why = format!("{label} is being deleted and takes no new users: use another connection");
                return unusable(label, ConnectionState::NotReady(why));
            }
            OpenTo::NobodyYet if standing.verdict.ready => return self.unguarded(label, entry),
            OpenTo::NobodyNewYet if standing.verdict.ready && is_new => return self.unguarded(label, entry),
            OpenTo::Nobody if !is_new => {
                return unusable(label, ConnectionState::Elsewhere(self.not_ready(source, standing)));
            }
            OpenTo::NobodyYet | OpenTo::Nobody => return unusable(label, words()),
            OpenTo::All | OpenTo::UsersOfOld | OpenTo::NobodyNewYet => {}
        }
        if standing.proven.is_none() {
            return unusable(label, words());
        }
        match (entry.access(self.look(&source.key)), entry.endpoint()) {
            (Some(access), Some((endpoint, custom_ids))) => Resolved {
                view: Connection::new(label, ConnectionState::Ready { endpoint, custom_ids }),
                access: Some(Arc::new(access)),
            },
            _ => unusable(label, words()),
        }
    }

    /// What a new identity needs to be deleted again could go before it. Usually that is over within a moment.
    fn unguarded(&self, label: String, entry: &Entry) -> Resolved {
        let now = self.clock.now();
        let until = later(entry.unguarded_since(now), PATIENCE);
        if now < until {
            return unusable(label, ConnectionState::Pending { until });
        }
        let why = format!(
            "{label} and the Secret with its credential have to stay while it has users, but the API server did not let the \
             operator put its finalizers on both: the log of the operator says why. It is tried again by itself"
        );
        unusable(label, ConnectionState::NotReady(why))
    }

    /// Whatever credential there is, as long as it is not known to be another resource's.
    fn for_deletion(&self, key: &ObjectKey, label: &str, entry: &Arc<Entry>) -> Option<Resolved> {
        let standing = entry.standing()?;
        if standing.open_to == OpenTo::Nobody {
            return None;
        }
        let access = entry.access(self.look(key))?;
        let (endpoint, custom_ids) = entry.endpoint()?;
        let mut view = Connection::new(label, ConnectionState::Ready { endpoint, custom_ids });
        (view.proven, view.repaired) = (standing.proven, standing.repaired);
        view.resource_id = standing.resource_id;
        Some(Resolved {
            view,
            access: Some(Arc::new(access)),
        })
    }

    /// What is wrong, as far as users may know: one of a shared connection sees nothing of its Secret and its resource.
    fn not_ready(&self, source: &Source, standing: &Standing) -> String {
        let (label, reason) = (source.label(), standing.verdict.reason);
        let words = standing.verdict.message.trim_end_matches('.');
        if !source.is_object() {
            format!("the connection of the operator's environment is not ready ({reason}). {words}")
        } else if source.key.namespace().is_some() {
            format!("{label} is not ready ({reason}). {words}")
        } else if self.declared.holds_cluster_connections {
            format!("{label} is not ready ({reason}): whoever runs it sees why in its conditions")
        } else {
            format!("{label} is not ready ({reason}): whoever runs the operator sees why in its log")
        }
    }
}

/// The connection that `user` names, or the default one; `None`: it names none that this version knows.
pub fn key_of(user: &CommunicationUser) -> Option<ObjectKey> {
    match &user.spec.connection_ref {
        None => Some(ObjectKey::cluster_scoped(names::DEFAULT_CONNECTION)),
        Some(ConnectionRef { kind, name }) => match kind {
            ConnectionKind::CommunicationConnection => {
                let namespace = user.metadata.namespace.as_deref().unwrap_or_default();
                Some(ObjectKey::namespaced(namespace, name))
            }
            ConnectionKind::ClusterCommunicationConnection => Some(ObjectKey::cluster_scoped(name)),
            ConnectionKind::Unknown(_) => None,
        },
    }
}

fn not_found(user: &CommunicationUser, key: &ObjectKey) -> String {
    let label = label_of(key);
    match (&user.spec.connection_ref, key.namespace()) {
        (None, _) => "there is no default connection: create a ClusterCommunicationConnection named default, or have \
                      COMMUNICATION_SERVICES_CONNECTION_STRING set in the environment of the operator"
            .to_owned(),
        (Some(_), Some(namespace)) => format!("{label} does not exist in namespace {namespace}: create it there"),
        (Some(_), None) => format!(
            "{label} does not exist: create it, or create this object anew with the name of another one in \
             spec.connectionRef.name"
        ),
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
        ConnectionKind::CommunicationConnection => source::NAMESPACED,
        ConnectionKind::ClusterCommunicationConnection => source::CLUSTER,
        ConnectionKind::Unknown(name) => name,
    }
}
