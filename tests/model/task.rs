//! A create: its request, and the task that records what came of it whether or not its run still waits.

use acs_operator::decide::{
    Failure, FailureKind, Fate, Observed, Operation, Outcome, TokenOrder, TokenRecord, User, recording,
};
use uuid::Uuid;

use super::bugs::Bug;
use super::requests::{Performed, WriteError};
use super::world::{Mishap, World};

/// A create whose request was answered: the id has to be recorded, or the identity deleted again.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// As its run saw the object, then as it read it again.
    pub o: Observed,
    /// The attempt.
    pub attempt: Uuid,
    /// What ACS made.
    pub id: String,
    /// The token that came with it.
    pub fresh: Option<TokenRecord>,
    /// Whether the id can't be recorded; `Some(true)`: because the object is gone.
    pub withdraws: Option<bool>,
}

impl World {
    /// Sends a create, and leaves the rest to a task.
    pub fn create(
        &mut self,
        number: usize,
        o: &Observed,
        attempt: Uuid,
        order: Option<&TokenOrder>,
        mishap: Mishap,
    ) -> Performed {
        self.replicas[number].note_attempt(&o.user.uid, o.own_attempt(attempt, Fate::UnderWay));
        let now = self.now;
        let created = self.call(Operation::Create, mishap, |world| {
            let created = world.service.create(attempt, o.custom_id(), order, now);
            world.forgive();
            created
        });
        match created {
            Ok((id, fresh)) => {
                self.replicas[number].task = Some(Task {
                    o: o.clone(),
                    attempt,
                    id,
                    fresh,
                    withdraws: None,
                });
                Performed::UnderWay
            }
            Err(failure) => {
                let definite = failure.is_definite_refusal();
                let fate = if definite { Fate::Settled } else { Fate::InDoubt };
                self.replicas[number].note_attempt(&o.user.uid, o.own_attempt(attempt, fate));
                Performed::Outcome(Outcome::Failed(failure))
            }
        }
    }

    /// Lets the task of a create go on by one request.
    pub fn proceed_task(&mut self, number: usize, mishap: Mishap) {
        if let Some(mut task) = self.replicas[number].task.take() {
            let performed = match task.withdraws {
                None => self.record(number, &mut task, mishap),
                Some(gone) => self.withdraw(&task, gone, mishap),
            };
            match performed {
                None => self.replicas[number].task = Some(task),
                Some(performed) => self.task_done(number, &task, performed),
            }
        }
        if mishap == Mishap::Killed {
            self.restart(number);
        }
    }

    fn record(&mut self, number: usize, task: &mut Task, mishap: Mishap) -> Option<Performed> {
        let created = |user: User, task: &Task| {
            Some(Performed::Outcome(Outcome::Created {
                user: Box::new(user),
                fresh: task.fresh.clone(),
            }))
        };
        let status = recording(&task.o, &task.id, task.attempt, self.now, self.now);
        if self.bug == Some(Bug::IdRecordedLate) {
            let mut user = task.o.user.clone();
            user.status = status;
            return created(user, task);
        }
        let seen = self.seen(&task.o);
        match self.write(mishap, |world| world.change(|api| api.write_status(&seen, &status))) {
            Ok(user) => {
                self.replicas[number].user = Some(user.clone());
                return created(user, task);
            }
            Err(WriteError::Gone) => task.withdraws = Some(true),
            Err(WriteError::Refused) => task.withdraws = Some(false),
            Err(WriteError::Conflict | WriteError::Unavailable) => match self.api.read_user(&task.o.user.uid) {
                Ok(user) => task.o.user = user,
                Err(_) => task.withdraws = Some(true),
            },
        }
        match task.o.identity_id() {
            Some(recorded) if recorded == task.id => return created(task.o.user.clone(), task),
            Some(_) => task.withdraws = task.withdraws.or(Some(false)),
            None => {}
        }
        None
    }

    fn withdraw(&mut self, task: &Task, gone: bool, mishap: Mishap) -> Option<Performed> {
        let withdrawn = |kind| Failure {
            kind,
            operation: Operation::Create,
            words: "the new identity could not be recorded".to_owned(),
        };
        // With a custom id another process may have recorded this very identity, or will.
        if task.o.custom_ids() && !gone {
            return Some(Performed::Outcome(Outcome::Failed(withdrawn(FailureKind::InDoubt))));
        }
        let deleted = match self.bug {
            Some(Bug::NoWithdrawal) => Ok(()),
            _ => self.call(Operation::Delete, mishap, |world| world.delete_identity(&task.id)),
        };
        match deleted {
            Ok(()) if gone => Some(Performed::ObjectGone),
            Ok(()) => Some(Performed::Outcome(Outcome::Withdrawn {
                failure: withdrawn(FailureKind::WriteRefused),
            })),
            Err(failure) if failure.can_pass() => None,
            Err(_) if gone => {
                self.counted.insert(task.attempt, task.o.user.uid.clone());
                Some(Performed::ObjectGone)
            }
            Err(_) => Some(Performed::Outcome(Outcome::Failed(withdrawn(FailureKind::InDoubt)))),
        }
    }

    fn task_done(&mut self, number: usize, task: &Task, performed: Performed) {
        let replica = &mut self.replicas[number];
        let fate = match &performed {
            Performed::Outcome(Outcome::Failed(failure)) if !failure.is_definite_refusal() => Fate::InDoubt,
            _ => Fate::Settled,
        };
        replica.note_attempt(&task.o.user.uid, task.o.own_attempt(task.attempt, fate));
        let waiting = replica.run.take_if(|run| run.waits.is_some());
        let Some((mut run, step)) = waiting.and_then(|mut run| run.waits.take().map(|step| (run, step))) else {
            return;
        };
        match performed {
            Performed::Outcome(outcome) => {
                run.hand = task.fresh.as_ref().map(|record| record.sha256.clone());
                self.absorb(number, run, &step, outcome);
            }
            _ => self.object_gone(number, &run.o),
        }
    }
}
