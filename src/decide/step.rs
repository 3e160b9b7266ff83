//! What can be done next, and what can come of it.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::failure::Failure;
use super::memory::Finding;
use super::observed::{SecretVersion, SecretView, User};
use super::record::{TokenRecord, TokenRequest};
use super::revocation::{Revocation, RevocationCause};
use super::secret::{DesiredSecret, Precondition};
use crate::api::{CommunicationUserStatus, CreateAttempt, Scope};

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Do this, fold its outcome in, and decide again.
    Do(Box<Step>),
    /// Nothing to do now.
    Settled {
        /// Decide again then, even if nothing happens before; `None`: only when something happens.
        wake_at: Option<Timestamp>,
    },
}

/// One step: at most one mutating request, but for [`Step::CreateIdentity`], whose two belong together.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Write the finalizer and the record of intent in one patch on the observed version. It always changes the object,
    /// so it fences every other writer and finds out a stale cache.
    Announce(CreateAttempt),
    /// Create the identity, with its first token where one is wanted, and record its id in status. Once begun nothing
    /// cancels it.
    CreateIdentity {
        /// The announced attempt.
        attempt: Uuid,
        /// The first token.
        token: Option<TokenOrder>,
    },
    /// Put the finalizer back, which someone took off.
    Protect,
    /// Write a status that says that the tokens are not to be relied on any more, so that no process forgets.
    AnnounceRevocation {
        /// The whole status.
        status: Box<CommunicationUserStatus>,
        /// What is announced.
        revocation: Revocation,
    },
    /// Revoke every token of the identity.
    RevokeTokens {
        /// The identity.
        id: String,
        /// Why.
        cause: RevocationCause,
    },
    /// Wait, with everything at hand: tokens issued within the second of a revocation may be revoked by it.
    WaitUntil(Timestamp),
    /// Read a Secret and compare it with what it should be. Its token is at hand afterwards.
    InspectSecret {
        /// Which version of it.
        version: SecretVersion,
        /// What it should be.
        desired: Box<DesiredSecret>,
    },
    /// Issue a token.
    IssueToken {
        /// For this identity.
        id: String,
        /// What to ask for.
        order: TokenOrder,
        /// Why, for the metric.
        cause: IssueCause,
    },
    /// Ask the API server for the Secret of this name: a Secret that isn't ours is invisible to the watch.
    LookAtSecret {
        /// Its name.
        name: String,
    },
    /// Ask the API server whether it would accept the Secret now, with a placeholder for the token.
    TrySecret {
        /// What would be written.
        desired: Box<DesiredSecret>,
        /// Over which version.
        precondition: Precondition,
    },
    /// Write the fresh token into the Secret.
    WriteSecret {
        /// What to write.
        desired: Box<DesiredSecret>,
        /// Over which version.
        precondition: Precondition,
    },
    /// Delete a Secret of ours.
    DeleteSecret(SecretVersion),
    /// Delete the identity in ACS.
    DeleteIdentity {
        /// Its id.
        id: String,
    },
    /// Write status.
    WriteStatus {
        /// The whole status.
        status: Box<CommunicationUserStatus>,
        /// The attempt that this write counts as a suspected orphan.
        suspected: Option<Uuid>,
    },
    /// Take our finalizer off.
    Release {
        /// The attempt to count as a suspected orphan, where status could not take the count.
        suspected: Option<Uuid>,
    },
}

impl Step {
    /// The attempt that is counted as a suspected orphan with it.
    pub fn suspected(&self) -> Option<Uuid> {
        match self {
            Self::WriteStatus { suspected, .. } | Self::Release { suspected } => *suspected,
            _ => None,
        }
    }
}

/// A token to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOrder {
    /// What it shall permit.
    pub scopes: Vec<Scope>,
    /// How long it shall live.
    pub lifetime: SignedDuration,
    /// What to note in its record.
    pub request: TokenRequest,
}

/// Why a token is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssueCause {
    /// There was none yet.
    First,
    /// The old one is due for renewal.
    Renewal,
    /// A renewal was requested by annotation.
    Requested,
    /// The scopes changed.
    ScopesChanged,
    /// The lifetime changed.
    LifetimeChanged,
    /// The Secret is missing or damaged.
    SecretLost,
    /// All tokens were revoked.
    Revoked,
    /// A revocation that had no answer may have ended it.
    RevocationInDoubt,
    /// The credential that made the old one is gone from its connection, or is refused: ACS ends the tokens of such a key.
    CredentialRetired,
}

impl IssueCause {
    /// Whether the token before is as good as it was until this one is had.
    pub fn can_wait(self) -> bool {
        matches!(
            self,
            Self::Renewal | Self::Requested | Self::RevocationInDoubt | Self::CredentialRetired
        )
    }
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The attempt is announced; the object as written.
    Announced(Box<User>),
    /// The identity exists and status says so.
    Created {
        /// The object as written.
        user: Box<User>,
        /// Its first token.
        fresh: Option<TokenRecord>,
    },
    /// The identity was created, could not be recorded, and was deleted again.
    Withdrawn {
        /// Why it could not be recorded.
        failure: Failure,
    },
    /// The finalizer is back; the object as written.
    Protected(Box<User>),
    /// All tokens are revoked.
    Revoked,
    /// The wait is over.
    Waited,
    /// The Secret would be accepted.
    SecretAcceptable,
    /// The Secret was read.
    Inspected(Finding),
    /// The token is there, held by the caller.
    Issued(TokenRecord),
    /// The write met another version of the object: the object as it is now.
    UserSeen(Box<User>),
    /// What the API server says of the Secret.
    SecretSeen(SecretView),
    /// The Secret is written.
    SecretWritten(SecretVersion),
    /// The Secret is gone.
    SecretDeleted,
    /// The identity is gone.
    IdentityDeleted,
    /// The status is written; the object as stored now.
    StatusWritten(Box<User>),
    /// The finalizer is off.
    Released,
    /// It did not work.
    Failed(Failure),
}
