//! What can go wrong, as far as a decision depends on it.

use jiff::Timestamp;

use crate::api::Reason;

/// A failed step. `words` are meant for users: they name no secret and hold at most a sentence of the other side's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its class.
    pub kind: FailureKind,
    /// What was being done.
    pub operation: Operation,
    /// What happened, as a sentence without a full stop.
    pub words: String,
}

/// The step that failed, in the words of a message.
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
    /// Writing the object, its Secret or its finalizers.
    Write,
    /// Writing status.
    Record,
}

impl Operation {
    /// The operation as the beginning of a sentence.
    pub fn doing(self) -> &'static str {
        match self {
            Self::Create => "creating the identity",
            Self::Issue => "issuing a token",
            Self::Revoke => "revoking the tokens",
            Self::Delete => "deleting the identity",
            Self::Write => "writing to the API server",
            Self::Record => "writing status",
        }
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
    /// The same for a create: nobody knows whether there is an identity now.
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

    /// Whether a repeat is of no use until the object changes.
    pub fn needs_a_change(&self) -> bool {
        let lasting = matches!(
            self.kind,
            FailureKind::NotOwned | FailureKind::Gone | FailureKind::Rejected
        );
        // A deletion has no spec to mend: it keeps trying until someone helps.
        lasting && self.operation != Operation::Delete
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
