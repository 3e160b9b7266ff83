//! Faults put into the operator on purpose: a check that cannot find them is worth nothing.

use acs_operator::api::CommunicationUserStatus;
use acs_operator::decide::{Decision, Observed, Step};

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
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::NoFence,
        Self::NoFinalizer,
        Self::IdRecordedLate,
        Self::NoWithdrawal,
        Self::SettledAttemptForgotten,
        Self::NotCounted,
        Self::BlindRetry,
        Self::NoUidPrecondition,
        Self::SecretOverwritten,
        Self::ReleasedTooEarly,
        Self::NoPauseAfterRevocation,
        Self::RevocationSkipped,
        Self::LeaseIgnored,
        Self::SecretLeftBehind,
    ];

    /// The decision of an operator with this fault.
    pub fn spoil_decision(self, o: &Observed, decision: Decision) -> Decision {
        let Decision::Do(step) = decision else {
            return decision;
        };
        let step = match (self, *step) {
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
