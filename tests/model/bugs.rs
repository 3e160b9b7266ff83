//! Faults put into the operator on purpose: a check that cannot find them is worth nothing.

use acs_operator::api::{CommunicationUserStatus, Reason};
use acs_operator::decide::{ConnectionState, Decision, Observed, Step};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::world::wish;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bug {
    /// Writes to the object are not conditional on the version that was seen.
    NoFence,
    /// An attempt is announced without the finalizer.
    NoFinalizer,
    /// The id of a new identity goes into status with the next status, after the Secret.
    IdRecordedLate,
    /// An identity that can't be recorded is left in ACS.
    NoWithdrawal,
    /// Status does not say that an attempt is settled.
    SettledAttemptForgotten,
    /// An attempt without a known result is not counted.
    NotCounted,
    /// An attempt without a custom id is taken for one that can be repeated.
    VersionIgnored,
    /// A create whose answer was lost is sent again.
    BlindRetry,
    /// A Secret is deleted by name only.
    NoUidPrecondition,
    /// A Secret is written over whatever is there.
    SecretOverwritten,
    /// The finalizer goes before the identity does.
    ReleasedTooEarly,
    /// A token is issued in the second of a revocation.
    NoPauseAfterRevocation,
    /// A new token is issued without the revocation that was asked for.
    RevocationSkipped,
    /// A process that lost the lease goes on.
    LeaseIgnored,
    /// A token that is removed from the spec leaves its Secret behind.
    SecretLeftBehind,
    /// The finalizer goes before the Secret does.
    SecretReleased,
    /// The recorded identity is deleted where its token is due for renewal.
    IdentityDeleted,
    /// The recorded identity is deleted where its spec can't be read.
    IdentityDeletedForInvalidSpec,
    /// A revocation that was carried out is forgotten when its request is taken back.
    WithdrawnRevocationForgotten,
    /// A replacement that was carried out in ACS is forgotten when its request is taken back.
    WithdrawnReplacementForgotten,
    /// Tokens are asked for with the id of an identity that was replaced.
    OldIdUsed,
    /// A spec that can't be read is taken for the smallest one.
    InvalidSpecIgnored,
    /// `spec.suspend` is not heeded.
    SuspensionIgnored,
    /// `spec.identity.deletionPolicy` is not heeded.
    PolicyIgnored,
    /// The request to leave an identity in ACS is not heeded.
    AbandonmentIgnored,
    /// `spec.identity.id` is not heeded.
    PinIgnored,
    /// Another object with the better claim is not heeded.
    RivalIgnored,
    /// What was refused is tried again at once.
    NoBackOff,
    /// A suspended object is always Ready.
    SuspendedIsReady,
    /// A second revocation request is taken for the first one.
    SecondRevocationSkipped,
    /// A token is kept although its key is not in use any more.
    RetiredKeyIgnored,
    /// A connection's `tokensValidFrom` is not heeded.
    ValidFromIgnored,
    /// A connection's `suspend` is not heeded.
    ConnectionSuspensionIgnored,
    /// A connection that can't be used is used.
    BrokenConnectionUsed,
    /// Identities are adopted without leave.
    AdoptionNotAsked,
    /// A connection to another resource is used all the same.
    ForeignResourceIgnored,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 36] = [
        Self::NoFence,
        Self::NoFinalizer,
        Self::IdRecordedLate,
        Self::NoWithdrawal,
        Self::SettledAttemptForgotten,
        Self::NotCounted,
        Self::VersionIgnored,
        Self::BlindRetry,
        Self::NoUidPrecondition,
        Self::SecretOverwritten,
        Self::ReleasedTooEarly,
        Self::NoPauseAfterRevocation,
        Self::RevocationSkipped,
        Self::LeaseIgnored,
        Self::SecretLeftBehind,
        Self::SecretReleased,
        Self::IdentityDeleted,
        Self::IdentityDeletedForInvalidSpec,
        Self::WithdrawnRevocationForgotten,
        Self::WithdrawnReplacementForgotten,
        Self::OldIdUsed,
        Self::InvalidSpecIgnored,
        Self::SuspensionIgnored,
        Self::PolicyIgnored,
        Self::AbandonmentIgnored,
        Self::PinIgnored,
        Self::RivalIgnored,
        Self::NoBackOff,
        Self::SuspendedIsReady,
        Self::SecondRevocationSkipped,
        Self::RetiredKeyIgnored,
        Self::ValidFromIgnored,
        Self::ConnectionSuspensionIgnored,
        Self::BrokenConnectionUsed,
        Self::AdoptionNotAsked,
        Self::ForeignResourceIgnored,
    ];

    /// What an operator with this fault makes of what it sees.
    pub fn spoil_view(self, o: &Observed) -> Observed {
        let mut o = o.clone();
        match (self, &mut o.user.wish) {
            (Self::InvalidSpecIgnored, unreadable @ Err(_)) => *unreadable = Ok(wish()),
            (Self::SuspensionIgnored, Ok(wish)) => wish.suspend = false,
            (Self::PolicyIgnored, Ok(wish)) => wish.deletion_policy = None,
            (Self::PinIgnored, Ok(wish)) => wish.pinned_id = None,
            (Self::AbandonmentIgnored, _) => o.user.requests.abandon = None,
            (Self::RivalIgnored, _) => o.rival = None,
            (Self::RetiredKeyIgnored, _) => o.connection.credentials = None,
            (Self::ValidFromIgnored, _) => o.connection.tokens_valid_from = None,
            (Self::AdoptionNotAsked, _) => o.connection.allows_adoption = true,
            (Self::ForeignResourceIgnored, _) => o.connection.resource_id = None,
            (Self::ConnectionSuspensionIgnored, _) if o.connection.state == ConnectionState::Suspended => {
                o.connection.state = ready();
            }
            (Self::BrokenConnectionUsed, _) => o.connection.state = ready(),
            (Self::VersionIgnored, _) => {
                if let Some(attempt) = &mut o.user.attempt {
                    attempt.custom_id = true;
                }
            }
            (Self::NoBackOff, _) => o.memory.trouble = None,
            (Self::WithdrawnRevocationForgotten, _) if o.user.requests.revoke.is_none() => forget_revocation(&mut o),
            (Self::WithdrawnReplacementForgotten, _) if o.user.requests.replace.is_none() => {
                o.memory.identity_gone = false;
                forget_revocation(&mut o);
            }
            (Self::SecondRevocationSkipped, _) if o.user.status.last_handled_revoke_at.is_some() => {
                o.user.requests.revoke = o.user.status.last_handled_revoke_at.clone();
            }
            _ => {}
        }
        o
    }

    /// The decision of an operator with this fault.
    pub fn spoil_decision(self, o: &Observed, decision: Decision) -> Decision {
        let Decision::Do(step) = decision else {
            return decision;
        };
        let recorded = || o.identity_id().unwrap_or_default().to_owned();
        let step = match (self, *step) {
            (Self::IdentityDeleted, Step::IssueToken { .. }) => Step::DeleteIdentity { id: recorded() },
            (Self::IdentityDeletedForInvalidSpec, Step::WriteStatus { .. })
                if o.user.wish.is_err() && !o.memory.identity_gone =>
            {
                Step::DeleteIdentity { id: recorded() }
            }
            (Self::SecretReleased, Step::DeleteSecret(_)) if o.user.deleting => Step::Release { suspected: None },
            (Self::SuspendedIsReady, Step::WriteStatus { mut status, suspected }) => {
                let suspended = |condition: &&mut Condition| condition.reason == Reason::Suspended.as_str();
                if let Some(condition) = status.conditions.iter_mut().find(suspended) {
                    "True".clone_into(&mut condition.status);
                }
                Step::WriteStatus { status, suspected }
            }
            (Self::ReleasedTooEarly, Step::DeleteIdentity { .. }) if o.user.deleting => {
                Step::Release { suspected: None }
            }
            (
                Self::BlindRetry,
                Step::WriteStatus {
                    suspected: Some(attempt),
                    ..
                },
            ) if !o.user.deleting => Step::CreateIdentity { attempt, token: None },
            (
                Self::NotCounted,
                Step::WriteStatus {
                    mut status,
                    suspected: Some(_),
                },
            ) => {
                if let Some(identity) = &mut status.identity {
                    identity.suspected_orphans = None;
                }
                Step::WriteStatus {
                    status,
                    suspected: None,
                }
            }
            (Self::SecretLeftBehind, Step::DeleteSecret(_)) => return Decision::Settled { wake_at: None },
            (_, step) => step,
        };
        Decision::Do(Box::new(step))
    }

    /// The status that an operator with this fault writes.
    pub fn spoil_status(self, o: &Observed, mut status: CommunicationUserStatus) -> CommunicationUserStatus {
        if self == Self::SettledAttemptForgotten
            && let Some(identity) = &mut status.identity
        {
            let before = o.user.status.identity.as_ref();
            identity.attempt = before.and_then(|identity| identity.attempt.clone());
        }
        status
    }
}

fn ready() -> ConnectionState {
    ConnectionState::Ready {
        endpoint: "https://contoso.communication.azure.com".to_owned(),
        custom_ids: false,
    }
}

fn forget_revocation(o: &mut Observed) {
    (o.memory.revocation, o.memory.revoke_sent) = (None, None);
    if let Some(token) = &mut o.user.status.token {
        token.revocation_time = None;
    }
}
