//! How a process carries out a step: its requests, and what it makes of their answers.

use acs_operator::api::CommunicationUserStatus;
use acs_operator::api::names::finalizer;
use acs_operator::decide::{ConnectionState, Failure, FailureKind, Observed, Operation, Outcome, Step, User};
use uuid::Uuid;

use super::api_server::Refusal;
use super::bugs::Bug;
use super::replica::Run;
use super::world::{Breach, Mishap, World};

/// What came of a step.
#[allow(clippy::large_enum_variant, reason = "one at a time")]
pub enum Performed {
    /// Something to decide on.
    Outcome(Outcome),
    /// There is no such object any more.
    ObjectGone,
    /// A task goes on with it.
    UnderWay,
}

/// Why a write failed, as the process sees it.
pub enum WriteError {
    Conflict,
    Gone,
    Unavailable,
    Refused,
}

impl World {
    /// Carries out one step.
    pub fn perform(&mut self, number: usize, run: &mut Run, step: &Step, mishap: Mishap) -> Performed {
        let o = run.o.clone();
        if is_to_be_left_alone(&o) && !matches!(step, Step::WriteStatus { .. } | Step::Protect) {
            self.breaches.insert(Breach::Meddled);
        }
        if is_call(step) && !may_call(&o) {
            self.breaches.insert(Breach::ForbiddenCall);
        }
        match step {
            Step::Announce(attempt) => {
                let attempt = attempt.clone();
                let with_finalizer = self.bug != Some(Bug::NoFinalizer);
                self.patch(number, &o, mishap, Outcome::Announced, move |user| {
                    if with_finalizer {
                        protect(user);
                    }
                    user.attempt = Some(attempt);
                })
            }
            Step::Protect => self.patch(number, &o, mishap, Outcome::Protected, protect),
            Step::WriteStatus { status, suspected } => self.write_status(number, &o, status, *suspected, mishap),
            Step::AnnounceRevocation { status, .. } => self.write_status(number, &o, status, None, mishap),
            Step::Release { suspected } => self.release(number, run, *suspected, mishap),
            Step::CreateIdentity { attempt, token } => self.create(number, &o, *attempt, token.as_ref(), mishap),
            Step::WaitUntil(instant) => {
                self.now = self.now.max(*instant);
                Performed::Outcome(Outcome::Waited)
            }
            Step::RevokeTokens { .. } if self.bug == Some(Bug::RevocationSkipped) => {
                Performed::Outcome(Outcome::Revoked)
            }
            Step::RevokeTokens { id, .. } => {
                let (id, now) = (id.clone(), self.now);
                let revoked = self.call(Operation::Revoke, mishap, |world| world.service.revoke(&id, now));
                Performed::Outcome(revoked.map_or_else(Outcome::Failed, |()| Outcome::Revoked))
            }
            Step::DeleteIdentity { id } => {
                let deleted = self.call(Operation::Delete, mishap, |world| world.delete_identity(id));
                Performed::Outcome(deleted.map_or_else(Outcome::Failed, |()| Outcome::IdentityDeleted))
            }
            Step::IssueToken { id, order, .. } => {
                let first = self.service.oldest_identity();
                let id = if self.bug == Some(Bug::OldIdUsed) { &first } else { id };
                let now = self.now;
                let issued = self.call(Operation::Issue, mishap, |world| world.service.issue(id, order, now));
                run.hand = issued.as_ref().ok().map(|record| record.sha256.clone());
                Performed::Outcome(issued.map_or_else(Outcome::Failed, Outcome::Issued))
            }
            step => Performed::Outcome(self.handle_secret(number, run, step, mishap)),
        }
    }

    fn handle_secret(&mut self, number: usize, run: &mut Run, step: &Step, mishap: Mishap) -> Outcome {
        let user = run.o.user.clone();
        let is_write = matches!(step, Step::WriteSecret { .. } | Step::DeleteSecret(_));
        *(if is_write {
            &mut self.traffic.writes
        } else {
            &mut self.traffic.reads
        }) += 1;
        let outcome = self.send(mishap, |world| {
            Ok(match step {
                Step::WriteSecret { desired, precondition } => {
                    if run.hand.as_ref() != Some(&desired.record.sha256) {
                        return Ok(failed(FailureKind::Transient { until: None }, Operation::Write));
                    }
                    let written = world.apply_secret(number, &user, desired, precondition);
                    written.map_or_else(|_| world.look_at(&desired.name, &user), Outcome::SecretWritten)
                }
                Step::InspectSecret { version, desired } => {
                    let stored = world.api.secrets.get(&version.name);
                    match stored.filter(|stored| stored.version == *version) {
                        Some(stored) => {
                            run.hand = stored.token_intact.then(|| desired.record.sha256.clone());
                            Outcome::Inspected(stored.compare(desired))
                        }
                        None => world.look_at(&version.name, &user),
                    }
                }
                Step::DeleteSecret(version) => {
                    let deleted = world.delete_secret(&user, version);
                    deleted.map_or_else(|_| world.look_at(&version.name, &user), |()| Outcome::SecretDeleted)
                }
                Step::LookAtSecret { name } => world.look_at(name, &user),
                Step::TrySecret { desired, precondition } => {
                    if world.api.meets(&desired.name, precondition) {
                        Outcome::SecretAcceptable
                    } else {
                        world.look_at(&desired.name, &user)
                    }
                }
                _ => unreachable!("{step:?} is no request about a Secret"),
            })
        });
        let operation = match step {
            Step::LookAtSecret { .. } | Step::InspectSecret { .. } => Operation::Look,
            _ => Operation::Write,
        };
        let outcome = outcome.unwrap_or_else(|error| write_failed(&error, operation));
        self.take_own_write(number, step, &outcome);
        outcome
    }

    /// Takes a write of a Secret into the cache.
    fn take_own_write(&mut self, number: usize, step: &Step, outcome: &Outcome) {
        let replica = &mut self.replicas[number];
        let cached = &mut replica.secrets;
        match (step, outcome) {
            (Step::WriteSecret { desired, .. }, Outcome::SecretWritten(_)) => {
                cached.insert(desired.name.clone(), self.api.secrets[&desired.name].clone());
            }
            (Step::DeleteSecret(gone), Outcome::SecretDeleted)
                if cached.get(&gone.name).is_some_and(|held| held.version.uid == gone.uid) =>
            {
                cached.remove(&gone.name);
            }
            _ => return,
        }
        if replica.secrets_shown + 1 == self.api.secret_versions {
            replica.secrets_shown += 1;
        }
    }

    fn look_at(&self, name: &str, user: &User) -> Outcome {
        Outcome::SecretSeen(self.api.look_at_secret(name, user))
    }

    fn write_status(
        &mut self,
        number: usize,
        o: &Observed,
        status: &CommunicationUserStatus,
        suspected: Option<Uuid>,
        mishap: Mishap,
    ) -> Performed {
        let seen = self.seen(o);
        let status = self
            .bug
            .map_or_else(|| status.clone(), |bug| bug.spoil_status(o, status.clone()));
        let written = self.write(mishap, |world| {
            let user = world.change(|api| api.write_status(&seen, &status))?;
            world.count(&o.user.uid, suspected);
            Ok(user)
        });
        self.object_written(number, o, written, Operation::Record, Outcome::StatusWritten)
    }

    fn release(&mut self, number: usize, run: &Run, suspected: Option<Uuid>, mishap: Mishap) -> Performed {
        // With the release the object goes, and with it the only thing by which another process could tell, so that one
        // that is killed in between is followed by one that counts again.
        let o = &run.o;
        if let Some(attempt) = suspected {
            self.counted.insert(attempt, o.user.uid.clone());
        }
        let written = self.write(mishap, |world| {
            let user = world.change(|api| {
                api.write_user(&o.user, |user| {
                    user.finalizers.retain(|held| held != finalizer::IDENTITY);
                })
            })?;
            if o.owned_secrets().next().is_some() {
                world.breaches.insert(Breach::SecretLeftBehind);
            }
            Ok(user)
        });
        let released = |_| Outcome::Released;
        let performed = self.object_written(number, o, written, Operation::Write, released);
        if self.api.user.is_none() {
            self.replicas[number].user.take_if(|user| user.uid == o.user.uid);
        }
        performed
    }

    /// A change of finalizers and annotations.
    fn patch(
        &mut self,
        number: usize,
        o: &Observed,
        mishap: Mishap,
        outcome: fn(Box<User>) -> Outcome,
        change: impl FnOnce(&mut User),
    ) -> Performed {
        let seen = self.seen(o);
        let written = self.write(mishap, |world| world.change(|api| api.write_user(&seen, change)));
        self.object_written(number, o, written, Operation::Write, outcome)
    }

    /// Takes a write of the object into the cache. One that met another version is looked at again.
    fn object_written(
        &mut self,
        number: usize,
        o: &Observed,
        written: Result<User, WriteError>,
        operation: Operation,
        outcome: impl FnOnce(Box<User>) -> Outcome,
    ) -> Performed {
        let (user, outcome): (User, Outcome) = match written {
            Ok(user) => (user.clone(), outcome(Box::new(user))),
            Err(WriteError::Conflict) => match self.api.read_user(&o.user.uid) {
                Ok(user) => (user.clone(), Outcome::UserSeen(Box::new(user))),
                Err(_) => return Performed::ObjectGone,
            },
            Err(WriteError::Gone) => return Performed::ObjectGone,
            Err(error) => return Performed::Outcome(write_failed(&error, operation)),
        };
        self.replicas[number].user = Some(user);
        Performed::Outcome(outcome)
    }

    /// A change, requested of the API server.
    pub fn write<T>(
        &mut self,
        mishap: Mishap,
        carry_out: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, WriteError> {
        self.traffic.writes += 1;
        self.send(mishap, carry_out)
    }

    /// A request to the API server.
    fn send<T>(
        &mut self,
        mishap: Mishap,
        carry_out: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, WriteError> {
        match mishap {
            Mishap::NotDone => return Err(WriteError::Unavailable),
            Mishap::Refused => return Err(WriteError::Refused),
            _ => {}
        }
        let answer = carry_out(self).map_err(|refusal| match refusal {
            Refusal::Conflict => WriteError::Conflict,
            Refusal::Gone => WriteError::Gone,
        });
        if mishap == Mishap::AnswerLost {
            return Err(WriteError::Unavailable);
        }
        answer
    }

    /// A request to ACS.
    pub fn call<T>(
        &mut self,
        operation: Operation,
        mishap: Mishap,
        carry_out: impl FnOnce(&mut Self) -> Result<T, FailureKind>,
    ) -> Result<T, Failure> {
        self.traffic.calls += 1;
        let unknown = match operation {
            Operation::Create | Operation::Revoke => FailureKind::InDoubt,
            _ => FailureKind::Transient { until: None },
        };
        let refusal = match mishap {
            Mishap::NotDone => Some(FailureKind::NotSent),
            Mishap::AnswerLost => None,
            _ => self.service.refusal.take().or_else(|| self.service.refuses.clone()),
        };
        let answer = refusal.map_or_else(|| carry_out(self), Err);
        let answer = if mishap == Mishap::AnswerLost {
            Err(unknown)
        } else {
            answer
        };
        answer.map_err(|kind| Failure {
            kind,
            operation,
            words: format!("{operation:?} failed"),
        })
    }

    /// The version that a write is conditional on.
    pub fn seen(&self, o: &Observed) -> User {
        let mut seen = o.user.clone();
        if self.bug == Some(Bug::NoFence)
            && let Some(stored) = &self.api.user
        {
            (seen.uid, seen.resource_version) = (stored.uid.clone(), stored.resource_version.clone());
        }
        seen
    }
}

/// Whether nothing may be done about an object but to guard it and to tell what is wrong: its spec can't be read, it is
/// suspended, or its identity is another object's.
fn is_to_be_left_alone(o: &Observed) -> bool {
    let suspended = o.connection.state == ConnectionState::Suspended;
    let asks_for_nothing = suspended || o.user.wish.as_ref().map_or(true, |wish| wish.suspend);
    !o.user.deleting && (asks_for_nothing || o.rival.is_some())
}

fn is_call(step: &Step) -> bool {
    use Step::{CreateIdentity, DeleteIdentity, IssueToken, RevokeTokens};
    matches!(
        step,
        CreateIdentity { .. } | DeleteIdentity { .. } | IssueToken { .. } | RevokeTokens { .. }
    )
}

/// Whether the connection can be used for what the object holds.
fn may_call(o: &Observed) -> bool {
    let is_foreign = |id| o.connection.is_foreign(id);
    o.connection.is_ready() && !o.identity_id().is_some_and(is_foreign)
}

fn protect(user: &mut User) {
    if !user.finalizers.iter().any(|held| held == finalizer::IDENTITY) {
        user.finalizers.push(finalizer::IDENTITY.to_owned());
    }
}

fn write_failed(error: &WriteError, operation: Operation) -> Outcome {
    let kind = match error {
        WriteError::Refused | WriteError::Gone => FailureKind::WriteRefused,
        WriteError::Conflict | WriteError::Unavailable => FailureKind::Transient { until: None },
    };
    failed(kind, operation)
}

fn failed(kind: FailureKind, operation: Operation) -> Outcome {
    Outcome::Failed(Failure {
        kind,
        operation,
        words: format!("{operation:?} failed"),
    })
}
