//! Carries out steps. What to do is decided elsewhere; here is only how.

pub(crate) mod content;
mod create;
mod object;
pub(crate) mod service;
mod unrecorded;

use std::sync::Arc;
use std::time::{Duration, Instant};

use acs_identity::Operation as Call;
use jiff::Timestamp;
use secrecy::SecretString;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

pub use self::unrecorded::Unrecorded;

use self::service::Minted;
use super::connections::Access;
use super::memory::Memories;
use super::neighbours::Neighbours;
use super::permits::line::Urgency;
use super::permits::{Ask, Pass, Turn};
use super::report::Report;
use super::seats::Seat;
use super::sources::{SecretCache, UserCache};
use crate::clock::Clock;
use crate::cluster::writes::Writes;
use crate::decide::{
    Bottleneck, Failure, FailureKind, IssueCause, Observed, Operation, Outcome, RevocationCause, Step, TokenRecord,
};

/// When to look again whether identities of others can be recorded by now: nothing tells.
const UNRECORDED_LOOK: Duration = Duration::from_secs(5);

/// Carries out steps.
pub struct Act {
    /// The API server.
    pub writes: Writes,
    /// The objects; takes our own writes.
    pub users: Arc<UserCache>,
    /// Who else is concerned by them.
    pub neighbours: Neighbours,
    /// The Secrets; takes our own writes.
    pub secrets: Arc<SecretCache>,
    /// What the process remembers.
    pub memories: Arc<Memories>,
    /// Creates with their records, and revocations: they must not be cut off.
    pub unfinished: TaskTracker,
    /// New identities whose ids are not recorded yet.
    pub unrecorded: Arc<Unrecorded>,
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
    /// Others go first; this is its turn.
    InLine(Turn),
}

/// What a run holds in its hand: its seat, a permit until its call, and a token between its issue and its Secret. All of it goes
/// when the run ends.
pub struct Hand<'a> {
    seat: &'a mut Seat,
    pass: Option<Pass>,
    minted: Option<Minted>,
    /// As long as status does not tell what became of an attempt of this run: whoever ends the process waits for it, or the next one
    /// counts what may be no orphan at all.
    unsettled: Option<TaskTrackerToken>,
}

impl<'a> Hand<'a> {
    /// A seat, and nothing else yet.
    pub fn new(seat: &'a mut Seat) -> Self {
        Self {
            seat,
            pass: None,
            minted: None,
            unsettled: None,
        }
    }

    /// Waits for the API server with the pass in hand, if there is one, for the call that follows.
    async fn hold_during(&mut self, request: impl Future<Output = Acted>) -> Acted {
        let Some(pass) = self.pass.take() else {
            return request.await;
        };
        let (pass, acted) = pass.held_during(request).await;
        self.pass = Some(pass);
        acted
    }

    /// The token of this record, where it is the one at hand.
    fn token_of(&self, record: &TokenRecord) -> Option<&SecretString> {
        let minted = self
            .minted
            .as_ref()
            .filter(|minted| minted.record.sha256 == record.sha256)?;
        Some(&minted.token)
    }
}

/// Why a step was not begun.
enum NotBegun {
    /// The object has no way to ACS. Decisions ask for no call then.
    NoConnection(Operation),
    /// Others go first; this is its turn.
    InLine(Turn),
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
        match self.carry_out(o, step, access, hand).await {
            Ok(acted) => acted,
            Err(NotBegun::InLine(turn)) => Acted::InLine(turn),
            Err(NotBegun::NoConnection(operation)) => {
                failed(FailureKind::NotSent, operation, "there is no usable connection to ACS")
            }
        }
    }

    async fn carry_out(
        self: &Arc<Self>,
        o: &Observed,
        step: &Step,
        access: Option<&Arc<Access>>,
        hand: &mut Hand<'_>,
    ) -> Result<Acted, NotBegun> {
        let clock = &self.clock;
        if o.open_attempt().is_none() {
            hand.unsettled = None;
        }
        Ok(match step {
            // The permit for what it leads to is taken first, so that a queue of objects holds no half-begun work.
            Step::Announce(attempt) => {
                self.check_unrecorded(o, access)?;
                hand.pass = Some(self.way(o, step, &[Call::Create], access, hand)?.1);
                hand.unsettled = Some(self.unfinished.token());
                hand.hold_during(Box::pin(self.announce(o, attempt))).await
            }
            Step::AnnounceRevocation { status, revocation } => {
                let calls = calls_announced(o, &revocation.cause);
                hand.pass = Some(self.way(o, step, calls, access, hand)?.1);
                hand.hold_during(Box::pin(self.write_status(o, status))).await
            }
            Step::CreateIdentity { attempt, token } => {
                let (access, pass) = self.way(o, step, &[Call::Create], access, hand)?;
                let create = self.create_identity(o, Arc::clone(access), pass, *attempt, token.clone());
                let created = hand.seat.leave_for(create).await;
                hand.minted = created.minted.or(hand.minted.take());
                created.acted
            }
            Step::IssueToken { id, order, .. } => {
                let (access, pass) = self.way(o, step, &[Call::Issue], access, hand)?;
                let call = async {
                    let issued = service::issue(access, &pass.permit, clock, id, order).await;
                    (issued, pass.rest())
                };
                let issued;
                (issued, hand.pass) = hand.seat.leave_for(call).await;
                ended(issued.map(|minted| {
                    let record = minted.record.clone();
                    hand.minted = Some(minted);
                    Outcome::Issued(record)
                }))
            }
            Step::RevokeTokens { id, .. } => {
                let (access, pass) = self.way(o, step, calls_of_revocation(o), access, hand)?;
                let call = self.revoke_tokens(Arc::clone(access), pass, id.clone());
                let revoked;
                (revoked, hand.pass) = hand.seat.leave_for(call).await;
                ended(revoked.map(|()| Outcome::Revoked))
            }
            Step::DeleteIdentity { id } => {
                let (access, pass) = self.way(o, step, &[Call::Delete], access, hand)?;
                let call = async {
                    let deleted = service::delete(access, &pass.permit, clock, id).await;
                    (deleted, pass.rest())
                };
                let deleted;
                (deleted, hand.pass) = hand.seat.leave_for(call).await;
                ended(deleted.map(|()| Outcome::IdentityDeleted))
            }
            Step::WaitUntil(instant) => {
                let wait = instant.duration_since(clock.now());
                let wait = tokio::time::sleep(wait.try_into().unwrap_or_default());
                hand.seat.leave_for(wait).await;
                Acted::Outcome(Outcome::Waited)
            }
            Step::LookAtSecret { name } => hand.hold_during(self.look_at_secret(o, name)).await,
            Step::TrySecret { desired, precondition } => self.try_secret(o, desired, precondition).await,
            Step::InspectSecret { version, desired } => {
                let (acted, token) = self.inspect_secret(o, version, desired).await;
                hand.minted = token.map(|token| Minted {
                    token,
                    record: desired.record.clone(),
                });
                acted
            }
            Step::WriteSecret { desired, precondition } => match hand.token_of(&desired.record) {
                Some(token) => self.write_secret(o, desired, precondition, token).await,
                None => token_lost(),
            },
            Step::DeleteSecret(secret) => self.delete_secret(o, secret).await,
            Step::WriteStatus { status, .. } => self.write_status(o, status).await,
            Step::Release { .. } => self.release(o).await,
            Step::Protect => self.protect(o).await,
        })
    }

    /// In a task of its own, which shutdown waits for: carried out after the next leader has issued a token it would end that one too.
    async fn revoke_tokens(
        self: &Arc<Self>,
        access: Arc<Access>,
        pass: Pass,
        id: String,
    ) -> (Result<(), Failure>, Option<Pass>) {
        let act = Arc::clone(self);
        let task = self.unfinished.spawn(async move {
            let revoked = service::revoke(&access, &pass.permit, &act.clock, &id).await;
            (revoked, pass.rest())
        });
        let interrupted = Failure {
            kind: FailureKind::InDoubt,
            operation: Operation::Revoke,
            words: "a fault of the operator itself interrupted the revocation".to_owned(),
        };
        task.await.unwrap_or((Err(interrupted), None))
    }

    /// No identity is created where others wait to be recorded for long. Who is to wait for that leaves its turn to others.
    fn check_unrecorded(&self, o: &Observed, access: Option<&Arc<Access>>) -> Result<(), NotBegun> {
        let now = Instant::now();
        if !self.unrecorded.are_many(&o.user.namespace, now) {
            return Ok(());
        }
        if let Some(access) = access {
            access.permits.leave(&object::key(&o.user));
        }
        Err(NotBegun::InLine(Turn {
            at: now + UNRECORDED_LOOK,
            behind: Bottleneck::UnrecordedIdentities,
        }))
    }

    /// The way to ACS, with permits for these calls together.
    fn way<'a>(
        &self,
        o: &Observed,
        step: &Step,
        calls: &'static [Call],
        access: Option<&'a Arc<Access>>,
        hand: &mut Hand<'_>,
    ) -> Result<(&'a Arc<Access>, Pass), NotBegun> {
        let access = access.ok_or(NotBegun::NoConnection(match calls {
            [Call::Create, ..] => Operation::Create,
            [Call::Revoke, ..] => Operation::Revoke,
            [Call::Delete, ..] => Operation::Delete,
            _ => Operation::Issue,
        }))?;
        let ask = Ask {
            key: &object::key(&o.user),
            calls,
            urgency: urgency(o, step, self.clock.now()),
        };
        let pass = access.permits.take(ask, hand.pass.take(), Instant::now());
        Ok((access, pass.map_err(NotBegun::InLine)?))
    }
}

/// The calls that the announcement of a revocation leads to.
fn calls_announced(o: &Observed, cause: &RevocationCause) -> &'static [Call] {
    match cause {
        RevocationCause::Replaced => &[Call::Delete],
        _ => calls_of_revocation(o),
    }
}

fn calls_of_revocation(o: &Observed) -> &'static [Call] {
    if o.user.wants_token() {
        return &[Call::Revoke, Call::Issue];
    }
    &[Call::Revoke]
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

/// Decisions ask to write only the token that the same run issued; should one not be there, a new one is issued.
fn token_lost() -> Acted {
    failed(
        FailureKind::Transient { until: None },
        Operation::Write,
        "the token to be written into the Secret is not at hand any more",
    )
}

fn ended(outcome: Result<Outcome, Failure>) -> Acted {
    Acted::Outcome(outcome.unwrap_or_else(Outcome::Failed))
}

fn failed(kind: FailureKind, operation: Operation, words: &str) -> Acted {
    let words = words.to_owned();
    Acted::Outcome(Outcome::Failed(Failure { kind, operation, words }))
}
