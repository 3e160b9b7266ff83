//! Folds the outcome of a step back into the observation, so that the next decision follows without a look at the world.

use jiff::Timestamp;

use super::backoff::Trouble;
use super::failure::{Failure, FailureKind, Operation};
use super::observed::{Fate, Observed, OwnAttempt, SecretView};
use super::step::{Outcome, Step};

/// The observation after `step` ended in `outcome` at `now`.
#[must_use]
pub fn advance(mut o: Observed, step: &Step, outcome: Outcome, now: Timestamp) -> Observed {
    match outcome {
        Outcome::Announced(user) => {
            o.user = *user;
            if let Step::Announce { attempt } = step {
                o.memory.attempt = Some(OwnAttempt {
                    uuid: *attempt,
                    fate: Fate::Announced,
                });
            }
        }
        Outcome::Created { user, fresh } => {
            o.user = *user;
            o.memory.attempt = None;
            o.memory.fresh = fresh;
            o.memory.trouble = None;
        }
        Outcome::Withdrawn { failure } => {
            fate(&mut o, Fate::Refused);
            fail(&mut o, failure, now);
        }
        Outcome::Issued(record) => o.memory.fresh = Some(record),
        Outcome::SecretSeen(view) => {
            if view == SecretView::Foreign {
                fail(&mut o, conflict(step), now);
            } else if o
                .memory
                .trouble
                .as_ref()
                .is_some_and(|t| t.failure.kind == FailureKind::SecretConflict)
            {
                o.memory.trouble = None;
            }
            o.secret = view;
        }
        Outcome::SecretWritten(version) => {
            if let Step::WriteSecret { desired, .. } = step {
                o.secret = SecretView::Ours {
                    version,
                    record: Some(Box::new(desired.record.clone())),
                };
            }
            o.memory.fresh = None;
            o.memory.trouble = None;
        }
        Outcome::SecretDeleted => {
            if let Step::DeleteSecret(gone) = step {
                o.other_secrets.retain(|other| other.uid != gone.uid);
                if matches!(&o.secret, SecretView::Ours { version, .. } if version.uid == gone.uid) {
                    o.secret = SecretView::Absent;
                }
            }
        }
        Outcome::IdentityDeleted => {
            o.memory.identity_gone = true;
            o.memory.trouble = None;
        }
        Outcome::StatusWritten(user) => {
            o.user = *user;
            if o.memory
                .trouble
                .as_ref()
                .is_some_and(|t| t.failure.operation == Operation::Record)
            {
                o.memory.trouble = None;
            }
        }
        Outcome::UserSeen(user) => o.user = *user,
        Outcome::Released => o
            .user
            .finalizers
            .retain(|f| f != crate::api::names::finalizer::IDENTITY),
        Outcome::Failed(failure) => {
            if matches!(step, Step::CreateIdentity { .. }) {
                fate(
                    &mut o,
                    if failure.is_definite_refusal() {
                        Fate::Refused
                    } else {
                        Fate::InDoubt
                    },
                );
            }
            fail(&mut o, failure, now);
        }
    }
    o
}

fn fate(o: &mut Observed, fate: Fate) {
    if let Some(own) = &mut o.memory.attempt {
        own.fate = fate;
    }
}

fn fail(o: &mut Observed, failure: Failure, now: Timestamp) {
    let trouble = Trouble::after(o.memory.trouble.as_ref(), failure, &o.user.uid, o.user.generation, now);
    o.memory.trouble = Some(trouble);
}

fn conflict(step: &Step) -> Failure {
    let name = match step {
        Step::LookAtSecret { name } => name.as_str(),
        Step::WriteSecret { desired, .. } => desired.name.as_str(),
        _ => "",
    };
    Failure {
        kind: FailureKind::SecretConflict,
        operation: Operation::Write,
        words: format!(
            "Secret {name} exists and is not controlled by this object, so it is left alone; delete it, or choose \
             another name in spec.secret.name"
        ),
    }
}
