//! Carries out steps. What to do is decided elsewhere; here is only how.

pub(crate) mod content;
mod create;
mod object;
pub(crate) mod service;

use std::sync::Arc;
use std::time::Instant;

use acs_identity::Operation as Call;
use jiff::Timestamp;
use tokio_util::task::TaskTracker;

use self::service::Minted;
use super::connections::Access;
use super::memory::Memories;
use super::permits::line::Urgency;
use super::permits::{Ask, Pass};
use super::report::Report;
use super::seats::Seat;
use super::sources::{SecretCache, UserCache};
use crate::clock::Clock;
use crate::cluster::writes::Writes;
use crate::decide::{Failure, FailureKind, IssueCause, Observed, Operation, Outcome, RevocationCause, Step};

/// Carries out steps.
pub struct Act {
    /// The API server.
    pub writes: Writes,
    /// The objects; takes our own writes.
    pub users: Arc<UserCache>,
    /// The Secrets; takes our own writes.
    pub secrets: Arc<SecretCache>,
    /// What the process remembers.
    pub memories: Arc<Memories>,
    /// Creates and revocations, which must not be cut off.
    pub unfinished: TaskTracker,
    /// Who is told of what no object can tell.
    pub report: Arc<Report>,
    /// The clock.
    pub clock: Clock,
}

/// What came of a step.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Acted {
    /// Something to decide on.
    Outcome(Outcome),
    /// There is no such object any more: nothing is left to decide.
    ObjectGone,
    /// The rate limits have no room; this is its turn.
    NotBefore(Instant),
}

/// What a run holds in its hand: its seat, a permit until its call, and a token between its issue and its Secret. All of it goes
/// when the run ends.
pub struct Hand<'a> {
    seat: &'a mut Seat,
    permit: Option<Pass>,
    minted: Option<Minted>,
}

impl<'a> Hand<'a> {
    /// A seat, and nothing else yet.
    pub fn new(seat: &'a mut Seat) -> Self {
        Self {
            seat,
            permit: None,
            minted: None,
        }
    }
}

/// What came of a call to ACS.
struct Called {
    acted: Acted,
    minted: Option<Minted>,
    /// What was taken for a revocation covers the issue that follows it.
    rest: Option<Pass>,
}

impl Called {
    fn new(outcome: Result<Outcome, Failure>, rest: Option<Pass>) -> Self {
        Self {
            acted: Acted::Outcome(outcome.unwrap_or_else(Outcome::Failed)),
            minted: None,
            rest,
        }
    }
}

impl Act {
    /// Carries out one step. `access` is the object's way to ACS, where there is one.
    pub async fn perform(
        self: &Arc<Self>,
        o: &Observed,
        step: &Step,
        access: Option<&Arc<Access>>,
        hand: &mut Hand<'_>,
    ) -> Acted {
        let calls = calls_of(o, step);
        let Some(call) = calls.first() else {
            return self.write(o, step, hand).await;
        };
        let Some(access) = access else {
            return no_connection(*call);
        };
        let ask = Ask {
            key: &object::key(&o.user),
            calls,
            urgency: urgency(o, step, self.clock.now()),
        };
        let pass = match access.permits.take(ask, hand.permit.take(), Instant::now()) {
            Ok(pass) => pass,
            Err(turn) => return Acted::NotBefore(turn),
        };
        // The permit is taken first, so that a queue of objects holds no half-begun work.
        match step {
            Step::Announce { .. } | Step::AnnounceRevocation { .. } => {
                hand.permit = Some(pass);
                self.write(o, step, hand).await
            }
            _ => {
                let called = hand.seat.leave_for(self.call(o, step, access, pass)).await;
                hand.permit = called.rest;
                hand.minted = called.minted.or(hand.minted.take());
                called.acted
            }
        }
    }

    /// The steps that call ACS.
    async fn call(self: &Arc<Self>, o: &Observed, step: &Step, access: &Arc<Access>, pass: Pass) -> Called {
        let (clock, permit) = (&self.clock, &pass.permit);
        match step {
            Step::CreateIdentity { attempt, token } => {
                let created = self
                    .create_identity(o, Arc::clone(access), pass, *attempt, token.clone())
                    .await;
                Called {
                    acted: created.acted,
                    minted: created.minted,
                    rest: None,
                }
            }
            Step::IssueToken { id, order, .. } => {
                let (outcome, minted) = match service::issue(access, permit, clock, id, order).await {
                    Ok(minted) => (Ok(Outcome::Issued(minted.record.clone())), Some(minted)),
                    Err(failure) => (Err(failure), None),
                };
                Called {
                    minted,
                    ..Called::new(outcome, pass.rest())
                }
            }
            Step::RevokeTokens { id, .. } => self.revoke_tokens(Arc::clone(access), pass, id.clone()).await,
            Step::DeleteIdentity { id } => {
                let deleted = service::delete(access, permit, clock, id).await;
                Called::new(deleted.map(|()| Outcome::IdentityDeleted), pass.rest())
            }
            _ => Called {
                acted: no_connection(Call::Issue),
                minted: None,
                rest: None,
            },
        }
    }

    /// In a task of its own, which shutdown waits for: carried out after the next leader has issued a token it would end that one too.
    async fn revoke_tokens(self: &Arc<Self>, access: Arc<Access>, pass: Pass, id: String) -> Called {
        let act = Arc::clone(self);
        let task = self.unfinished.spawn(async move {
            let revoked = service::revoke(&access, &pass.permit, &act.clock, &id).await;
            Called::new(revoked.map(|()| Outcome::Revoked), pass.rest())
        });
        let interrupted = "a fault of the operator itself interrupted the revocation";
        task.await.unwrap_or_else(|_| Called {
            acted: failed(FailureKind::Transient { until: None }, Operation::Revoke, interrupted),
            minted: None,
            rest: None,
        })
    }

    /// The steps that read from or write to the API server.
    async fn write(&self, o: &Observed, step: &Step, hand: &mut Hand<'_>) -> Acted {
        match step {
            Step::LookAtSecret { name } => self.look_at_secret(o, name).await,
            Step::WriteSecret { desired, precondition } => {
                match hand
                    .minted
                    .as_ref()
                    .filter(|minted| minted.record.sha256 == desired.record.sha256)
                {
                    Some(minted) => self.write_secret(o, desired, precondition, &minted.token).await,
                    None => token_lost(),
                }
            }
            Step::TrySecret { desired, precondition } => self.try_secret(o, desired, precondition).await,
            Step::InspectSecret { version, desired } => {
                let (acted, token) = self.inspect_secret(o, version, desired).await;
                hand.minted = token.map(|token| Minted {
                    token,
                    record: desired.record.clone(),
                });
                acted
            }
            Step::WaitUntil(instant) => {
                let wait = instant.duration_since(self.clock.now());
                let wait = tokio::time::sleep(wait.try_into().unwrap_or_default());
                hand.seat.leave_for(wait).await;
                Acted::Outcome(Outcome::Waited)
            }
            Step::DeleteSecret(secret) => self.delete_secret(o, secret).await,
            Step::WriteStatus { status, .. } | Step::AnnounceRevocation { status, .. } => {
                self.write_status(o, status).await
            }
            Step::Release { .. } => self.release(o).await,
            Step::Protect => self.protect(o).await,
            Step::RevokeTokens { .. } => no_connection(Call::Revoke),
            Step::Announce { attempt } => self.announce(o, *attempt).await,
            Step::CreateIdentity { .. } => no_connection(Call::Create),
            Step::IssueToken { .. } => no_connection(Call::Issue),
            Step::DeleteIdentity { .. } => no_connection(Call::Delete),
        }
    }
}

/// The calls that a step makes or is about to lead to, for which permits are taken together.
fn calls_of(o: &Observed, step: &Step) -> &'static [Call] {
    let token_follows = o.user.wants_token();
    match step {
        Step::Announce { .. } | Step::CreateIdentity { .. } => &[Call::Create],
        Step::IssueToken { .. } => &[Call::Issue],
        Step::AnnounceRevocation { .. } if o.is_to_be_replaced() => &[Call::Delete],
        Step::AnnounceRevocation { .. } | Step::RevokeTokens { .. } if token_follows => &[Call::Revoke, Call::Issue],
        Step::AnnounceRevocation { .. } | Step::RevokeTokens { .. } => &[Call::Revoke],
        Step::DeleteIdentity { .. } => &[Call::Delete],
        _ => &[],
    }
}

/// How urgent the calls of a step are.
fn urgency(o: &Observed, step: &Step, now: Timestamp) -> Urgency {
    let told = o
        .user
        .status
        .token
        .as_ref()
        .and_then(|token| token.expiration_time.as_ref());
    let expires = o
        .token_record()
        .map(|record| record.expires)
        .or(told.map(|time| time.0));
    if matches!(step, Step::IssueToken { .. }) && expires.is_some_and(|expires| expires <= now) {
        return Urgency::Expired;
    }
    let is_routine = match step {
        Step::IssueToken { cause, .. } => matches!(cause, IssueCause::Renewal | IssueCause::CredentialRetired),
        // All users of a connection at a time: nobody waits for a single one.
        Step::AnnounceRevocation { revocation, .. } => revocation.cause == RevocationCause::TokensValidFrom,
        Step::RevokeTokens { cause, .. } => *cause == RevocationCause::TokensValidFrom,
        _ => false,
    };
    match expires {
        Some(expires) if is_routine => Urgency::Routine { expires },
        _ => Urgency::Urgent,
    }
}

/// Decisions ask for no call without a usable connection; should one, nothing was sent.
fn no_connection(call: Call) -> Acted {
    let operation = match call {
        Call::Delete => Operation::Delete,
        Call::Create => Operation::Create,
        Call::Revoke => Operation::Revoke,
        _ => Operation::Issue,
    };
    failed(FailureKind::NotSent, operation, "there is no usable connection to ACS")
}

/// Decisions ask to write only the token that the same run issued; should one not be there, a new one is issued.
fn token_lost() -> Acted {
    failed(
        FailureKind::Transient { until: None },
        Operation::Write,
        "the token to be written into the Secret is not at hand any more",
    )
}

fn failed(kind: FailureKind, operation: Operation, words: &str) -> Acted {
    let words = words.to_owned();
    Acted::Outcome(Outcome::Failed(Failure { kind, operation, words }))
}
