//! Carries out steps. What to do is decided elsewhere; here is only how.

pub(crate) mod content;
mod create;
mod object;
pub(crate) mod service;

use std::sync::Arc;
use std::time::{Duration, Instant};

use acs_identity::Operation as Call;
use acs_identity::limiter::Permit;
use tokio_util::task::TaskTracker;

use self::service::Minted;
use super::connections::Access;
use super::memory::Memories;
use super::report::Report;
use super::sources::{SecretCache, UserCache};
use crate::clock::Clock;
use crate::cluster::writes::Writes;
use crate::decide::{Failure, FailureKind, Observed, Operation, Outcome, Step};

/// When to ask again for room among the calls under way through a connection.
const ROOM_AGAIN: Duration = Duration::from_secs(1);

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
    /// Creates that must not be cut off.
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

/// What a run holds in its hand: a permit until its call, and a token between its issue and its Secret. All of it goes when
/// the run ends.
#[derive(Default)]
pub struct Hand {
    permit: Option<(&'static [Call], Permit)>,
    minted: Option<Minted>,
}

impl Act {
    /// Carries out one step. `access` is the object's way to ACS, where there is one.
    pub async fn perform(
        self: &Arc<Self>,
        o: &Observed,
        step: &Step,
        access: Option<&Arc<Access>>,
        hand: &mut Hand,
    ) -> Acted {
        let calls = calls_of(o, step);
        let Some(call) = calls.first() else {
            return self.write(o, step, hand).await;
        };
        let Some(access) = access else {
            return no_connection(*call);
        };
        let Some(room) = access.in_flight.try_take() else {
            return Acted::NotBefore(Instant::now() + ROOM_AGAIN);
        };
        // One in hand for another call is given up.
        if !hand.permit.as_ref().is_some_and(|(covered, _)| covered.contains(call)) {
            let had_a_turn = o.memory.turn.is_some_and(|turn| turn <= self.clock.now());
            match access.permits.take(calls, had_a_turn, Instant::now()) {
                Ok(permit) => hand.permit = Some((calls, permit)),
                Err(turn) => return Acted::NotBefore(turn),
            }
        }
        // The permit is taken first, so that a queue of objects holds no half-begun work.
        match step {
            Step::Announce { attempt } => return self.announce(o, *attempt).await,
            Step::AnnounceRevocation { status, .. } => return self.write_status(o, status).await,
            _ => {}
        }
        let acted = self.call(o, step, access, hand).await;
        drop(room);
        if let Some((covered, permit)) = hand.permit.take() {
            self.answered(access, &permit, &acted);
            // What was taken for a revocation covers the issue that follows it.
            hand.permit = covered
                .split_first()
                .filter(|(_, rest)| !rest.is_empty())
                .map(|(_, rest)| (rest, permit));
        }
        acted
    }

    /// The steps that call ACS.
    async fn call(self: &Arc<Self>, o: &Observed, step: &Step, access: &Arc<Access>, hand: &mut Hand) -> Acted {
        match step {
            Step::CreateIdentity { attempt, token } => {
                let created = self
                    .create_identity(o, Arc::clone(access), *attempt, token.clone())
                    .await;
                hand.minted = created.minted;
                created.acted
            }
            Step::IssueToken { id, order, .. } => match service::issue(access, &self.clock, id, order).await {
                Ok(minted) => {
                    let record = minted.record.clone();
                    hand.minted = Some(minted);
                    Acted::Outcome(Outcome::Issued(record))
                }
                Err(failure) => Acted::Outcome(Outcome::Failed(failure)),
            },
            Step::RevokeTokens { id, .. } => Acted::Outcome(match service::revoke(access, &self.clock, id).await {
                Ok(()) => Outcome::Revoked,
                Err(failure) => Outcome::Failed(failure),
            }),
            Step::DeleteIdentity { id } => Acted::Outcome(match service::delete(access, &self.clock, id).await {
                Ok(()) => Outcome::IdentityDeleted,
                Err(failure) => Outcome::Failed(failure),
            }),
            _ => self.write(o, step, hand).await,
        }
    }

    /// The steps that read from or write to the API server.
    async fn write(&self, o: &Observed, step: &Step, hand: &mut Hand) -> Acted {
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
                tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
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

    /// Lets the limiter know how the service answered.
    fn answered(&self, access: &Access, permit: &Permit, acted: &Acted) {
        match acted {
            Acted::Outcome(Outcome::Failed(Failure {
                kind: FailureKind::Throttled { until },
                ..
            })) => {
                let wait = until.map(|until| until.duration_since(self.clock.now()));
                let wait = wait.and_then(|wait| wait.try_into().ok());
                access.permits.throttled(permit, wait, Instant::now());
            }
            _ => access.permits.served(permit),
        }
    }
}

/// Whether a step takes permits.
pub fn is_call(o: &Observed, step: &Step) -> bool {
    !calls_of(o, step).is_empty()
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
