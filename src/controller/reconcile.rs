//! One run: observe, decide, act, report, until nothing is due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::act::{Act, Acted, Hand};
use super::connections::Access;
use super::memory::Memories;
use super::observe::{Observe, Presence};
use super::permits::Turn;
use super::queue::Lane;
use super::report::Report;
use super::seats::Seat;
use crate::clock::Clock;
use crate::cluster::ObjectKey;
use crate::cluster::lease::Hold;
use crate::decide::{
    Bottleneck, Decision, FailureKind, InLine, Observed, OpenAttempt, Outcome, Seen, Step, advance, decide,
    is_to_look_again,
};

/// No path of decisions is this long; only an object that others change all the time can make a run so.
const MOST_STEPS: usize = 24;

/// The shortest wait of an object in line before it asks again by itself.
const ASKS_AGAIN: Duration = Duration::from_secs(1);

/// So often a run decides anew because somebody else has changed the object meanwhile.
const MOST_CONFLICTS: usize = 4;

/// A wait for the rate limits that is worth a word in status.
const NOTICEABLE: Duration = Duration::from_secs(10);

/// Brings one object at a time to where it should be.
pub struct Reconcile {
    /// How it is looked at.
    pub observe: Observe,
    /// How steps are carried out.
    pub act: Arc<Act>,
    /// Who is told.
    pub report: Arc<Report>,
    /// What is remembered.
    pub memories: Arc<Memories>,
    /// Whether this replica leads.
    pub hold: Hold,
    /// The clock.
    pub clock: Clock,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is due until then.
    Settled {
        /// When to look again; `None`: when something happens.
        wake_at: Option<Timestamp>,
        /// Something failed and is to be tried again: with this urgency.
        unmet: Option<Lane>,
    },
    /// What the run went by does not hold any more: the object has another identity, or is deleted, or its connection has another
    /// credential by now. It is to be looked at anew at once, also where the watch tells nothing of it.
    Overtaken,
    /// Others change the object faster than it can be worked on.
    Contended,
    /// Others go first.
    InLine {
        /// When it is this object's turn, or it has something else to tell.
        turn: Instant,
    },
    /// A decision was carried out and changed nothing: a fault of the operator.
    Stuck,
    /// There is no such object.
    Gone,
    /// This replica does not lead any more.
    Deposed,
}

impl Reconcile {
    /// Works on one object. May be dropped at any await: a create or a revocation under way goes on by itself, and as long as status does
    /// not tell what became of a create, the run counts as [unfinished](Act::unfinished).
    pub async fn run(&self, key: &ObjectKey, seat: &mut Seat) -> Ending {
        let Some(sight) = self.observe.look(key) else {
            self.observe.connections.leave_line(key, None);
            return Ending::Gone;
        };
        let mut o = sight.observed;
        let mut hand = Hand::new(seat);
        let mut conflicts = 0;
        for _ in 0..MOST_STEPS {
            if !self.hold.is_held() {
                return Ending::Deposed;
            }
            match Presence::of(&o.user, &self.observe.users) {
                Presence::Gone => return self.gone(&o, sight.access.as_deref()),
                // What was begun for an object that stays, a token above all, is not for one that goes.
                Presence::Leaving => return Ending::Overtaken,
                Presence::AsSeen => {}
            }
            // One run may begin more than one attempt: a replacement that is asked for while it creates.
            o.this_run.next_attempt = Uuid::new_v4();
            let step = match decide(&o, self.clock.now()) {
                Decision::Do(step) => step,
                Decision::Settled { wake_at } => {
                    if o.this_run.in_line.is_none() {
                        self.observe.connections.leave_line(key, sight.connection.as_ref());
                    }
                    let unmet = unmet(&o, self.clock.now());
                    self.memories.store(&o.user.uid, o.memory);
                    return Ending::Settled { wake_at, unmet };
                }
            };
            if let Some(attempt) = step.suspected() {
                self.report.suspected_orphan(&o.user, attempt, sight.access.as_deref());
            }
            o.this_run.step_begun = Some(self.clock.now());
            let outcome = match self.act.perform(&o, &step, sight.access.as_ref(), &mut hand).await {
                Acted::Outcome(outcome) => outcome,
                Acted::ObjectGone => return self.gone(&o, sight.access.as_deref()),
                Acted::InLine(turn) => {
                    // It is called: to ask again by itself is for a call that gets lost.
                    let turn = Turn {
                        at: turn.at.max(Instant::now() + ASKS_AGAIN),
                        ..turn
                    };
                    if self.in_line(&mut o, turn) {
                        continue;
                    }
                    // Its status is not to speak of a valid token for longer than there is one.
                    let expiry = self.expiry(&o).unwrap_or(turn.at);
                    self.memories.store(&o.user.uid, o.memory);
                    return Ending::InLine {
                        turn: turn.at.min(expiry),
                    };
                }
            };
            if matches!(outcome, Outcome::Failed(_)) && !self.hold.is_held() {
                // That is why, or might be: it says nothing of the object, and is another replica's to find out.
                return Ending::Deposed;
            }
            if is_worth_another_try(&outcome, sight.access.as_deref()) {
                return Ending::Overtaken;
            }
            self.report.outcome(&o, &step, &outcome);
            if outcome == Outcome::Released {
                self.memories.forget(&o.user.uid);
                return Ending::Gone;
            }
            if changed_nothing(&o, &step, &outcome) {
                tracing::error!(object = %key, "a status write changed nothing; please report this");
                return Ending::Stuck;
            }
            let before = Seen::of(&o);
            let by_others = matches!(outcome, Outcome::UserSeen(_));
            let is_made = matches!(outcome, Outcome::Created { .. });
            o = advance(o, &step, outcome, self.clock.now());
            // A run that is dropped after this must not forget what it has begun.
            self.memories.store(&o.user.uid, o.memory.clone());
            if is_to_look_again(&o, &before, is_made) {
                return Ending::Overtaken;
            }
            conflicts += usize::from(by_others);
            if conflicts > MOST_CONFLICTS {
                return Ending::Contended;
            }
        }
        Ending::Contended
    }

    /// A wait that its user would notice is a matter for decisions: the status has to say so, and a token may expire
    /// meanwhile. Returns whether it is.
    fn in_line(&self, o: &mut Observed, turn: Turn) -> bool {
        let now = self.clock.now();
        let wait = turn.at.saturating_duration_since(Instant::now());
        let expired = o.token_record().is_some_and(|record| !record.life().is_valid(now));
        if wait < NOTICEABLE && !expired && turn.behind != Bottleneck::UnrecordedIdentities {
            return false;
        }
        let at = SignedDuration::try_from(wait).ok();
        let at = at.and_then(|wait| now.checked_add(wait).ok());
        o.this_run.in_line = at.map(|at| InLine {
            turn: at,
            behind: turn.behind,
        });
        o.this_run.in_line.is_some()
    }

    /// When its token expires, where that is still to come.
    fn expiry(&self, o: &Observed) -> Option<Instant> {
        let left = o.token_record()?.expires.duration_since(self.clock.now());
        Some(Instant::now() + Duration::try_from(left).ok()?)
    }

    /// With the object goes its status, so what it would have counted is counted here.
    fn gone(&self, o: &Observed, access: Option<&Access>) -> Ending {
        if let Some(open) = o.open_attempt().filter(OpenAttempt::is_in_doubt) {
            self.report.suspected_orphan(&o.user, open.uuid, access);
        }
        self.memories.forget(&o.user.uid);
        Ending::Gone
    }
}

/// How urgently what failed is to be tried again. A write that hangs keeps a worker: no number of them is to go before what comes anew.
fn unmet(o: &Observed, now: Timestamp) -> Option<Lane> {
    let trouble = o.memory.trouble.as_ref()?;
    let is_awaited = o.user.deleting || !o.is_usable(now);
    Some(if is_awaited && !trouble.failure.operation.is_of_api_server() {
        Lane::Urgent
    } else {
        Lane::Routine
    })
}

/// Whether a credential was refused and another one is there: that is no trouble of the object.
fn is_worth_another_try(outcome: &Outcome, access: Option<&Access>) -> bool {
    let refused = matches!(outcome, Outcome::Failed(failure) if failure.kind == FailureKind::CredentialRejected);
    refused && access.is_some_and(Access::is_superseded)
}

/// A write that leaves the object's version as it was has changed nothing, although it was meant to: to decide again would
/// lead to the same write.
fn changed_nothing(o: &Observed, step: &Step, outcome: &Outcome) -> bool {
    match (step, outcome) {
        (Step::WriteStatus { .. }, Outcome::StatusWritten(user)) => user.resource_version == o.user.resource_version,
        _ => false,
    }
}
