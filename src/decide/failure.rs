//! What can go wrong, as far as a decision depends on it.

use jiff::Timestamp;

use crate::api::{Reason, names};

/// A failed step. `words` are meant for users: they name no secret and hold at most a sentence of the other side's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its class.
    pub kind: FailureKind,
    /// What was being done.
    pub operation: Operation,
    /// What happened and to what: words that can stand after a colon, without a full stop.
    pub words: String,
}

/// What the failed step was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Creating the identity.
    Create,
    /// Issuing a token.
    Issue,
    /// Revoking the tokens.
    Revoke,
    /// Deleting the identity.
    Delete,
    /// Reading its Secret.
    Look,
    /// Writing the object, its Secret or its finalizers.
    Write,
    /// Writing status.
    Record,
}

impl Operation {
    /// Whether it is a request to the API server, not to ACS.
    pub fn is_of_api_server(self) -> bool {
        matches!(self, Self::Look | Self::Write | Self::Record)
    }
}

/// The classes of failures; each calls for a different reaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The request never left: refused connection, DNS, TLS.
    NotSent,
    /// 429, with the instant before which the service wants to hear nothing.
    Throttled {
        /// From `Retry-After`.
        until: Option<Timestamp>,
    },
    /// 5xx, a timeout, a cut or unreadable answer of a request that may be repeated.
    Transient {
        /// From `Retry-After`.
        until: Option<Timestamp>,
    },
    /// The same where it does harm that nobody knows whether the request was, or will be carried out: a create may have made an identity,
    /// and a revocation may end the token that comes after it.
    InDoubt,
    /// The credential was refused.
    CredentialRejected,
    /// The identity belongs to another resource.
    NotOwned,
    /// The identity does not exist any more.
    Gone,
    /// The service refuses the request as it is.
    Rejected,
    /// The API server refuses a write: quota, admission, a terminating namespace.
    WriteRefused,
    /// The Secret exists and is not ours.
    SecretConflict,
}

impl Failure {
    /// The reason under which a condition reports this failure.
    pub fn reason(&self) -> Reason {
        match self.kind {
            FailureKind::Transient { .. } if self.is_of_an_absent_server() => Reason::Progressing,
            FailureKind::NotSent | FailureKind::Transient { .. } | FailureKind::InDoubt => Reason::ServiceUnavailable,
            FailureKind::Throttled { .. } => Reason::Throttled,
            FailureKind::CredentialRejected => Reason::ConnectionNotReady,
            FailureKind::NotOwned => Reason::IdentityNotOwned,
            FailureKind::Gone => Reason::IdentityGone,
            FailureKind::Rejected => Reason::InvalidRequest,
            FailureKind::WriteRefused => Reason::Progressing,
            FailureKind::SecretConflict => Reason::SecretConflict,
        }
    }

    /// What can be done about it, as a sentence without a full stop; `None`: nothing but wait. `id` is the object's identity.
    /// `is_own`: it is known to be one of the connection's resource.
    pub fn remedy(&self, id: Option<&str>, is_own: bool) -> Option<String> {
        let id = id.unwrap_or("of this object");
        let remedy = match self.kind {
            FailureKind::NotSent => {
                "If this stays, check the endpoint, DNS, proxy and network policies between the operator and ACS"
                    .to_owned()
            }
            FailureKind::InDoubt if self.operation == Operation::Create => {
                "If one was, nobody uses it: it is counted in status.identity.suspectedOrphans".to_owned()
            }
            FailureKind::Transient { .. } if self.is_of_an_absent_server() => return None,
            FailureKind::InDoubt | FailureKind::Transient { .. } => {
                "If this stays, look at Azure's service health".to_owned()
            }
            FailureKind::Throttled { .. } | FailureKind::SecretConflict => return None,
            FailureKind::Rejected if self.operation == Operation::Delete => return None,
            FailureKind::CredentialRejected => {
                "The connection's credential is refused: whoever runs the connection has to give it a valid one (keys \
                 may have been regenerated in Azure), or to set the clock of the operator right"
                    .to_owned()
            }
            FailureKind::NotOwned => {
                let found = if is_own {
                    format!(
                        "The identity {id} is of the connection's own resource, so it was deleted there, or never made"
                    )
                } else {
                    format!(
                        "The identity {id} was made in another ACS resource than the connection's, or was deleted: whoever \
                         runs the connection has to connect it to the resource that the id names"
                    )
                };
                // While deleting there is nothing to replace.
                if self.operation == Operation::Delete {
                    return Some(found);
                }
                let key = names::annotation::REPLACE_IDENTITY;
                format!("{found}. Annotate this object with {key}={id} to have a new one instead, with another id")
            }
            FailureKind::Gone => format!(
                "The identity {id} was deleted in ACS. Annotate this object with {}={id} to have a new one, with another id; \
                 else delete this object",
                names::annotation::REPLACE_IDENTITY
            ),
            FailureKind::Rejected => "Change the spec: nothing is tried again before that".to_owned(),
            FailureKind::WriteRefused => "Change what it objects to, or ask whoever runs the cluster to".to_owned(),
        };
        Some(remedy)
    }

    /// Whether the API server is away, not ACS.
    pub fn is_of_an_absent_server(&self) -> bool {
        self.operation.is_of_api_server() && matches!(self.kind, FailureKind::Transient { .. })
    }

    /// Whether a repeat is of no use until the object changes.
    pub fn needs_a_change(&self) -> bool {
        // A deletion has no spec to mend: it keeps trying until someone helps.
        self.is_last_word() && self.operation != Operation::Delete
    }

    /// Whether ACS will say the same as long as nobody changes anything.
    pub fn is_last_word(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::NotOwned | FailureKind::Gone | FailureKind::Rejected
        )
    }

    /// Whether the same request may succeed later without anybody's help.
    pub fn can_pass(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::NotSent | FailureKind::Throttled { .. } | FailureKind::Transient { .. }
        )
    }

    /// The instant that the service asked us to wait for.
    pub fn not_before(&self) -> Option<Timestamp> {
        match self.kind {
            FailureKind::Throttled { until } | FailureKind::Transient { until } => until,
            _ => None,
        }
    }

    /// Whether it is certain that a create with this failure made no identity.
    pub fn is_definite_refusal(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::NotSent
                | FailureKind::Throttled { .. }
                | FailureKind::CredentialRejected
                | FailureKind::NotOwned
                | FailureKind::Rejected
        )
    }
}
