//! Creating an identity and recording its id: one task, which shutdown waits for and which nothing cancels. Once the create is sent,
//! it is finished without the lease too: the id is recorded, or the identity is deleted again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acs_identity::CustomId;
use jiff::Timestamp;
use uuid::Uuid;

use super::object::{key, target};
use super::service::{self, Minted};
use super::{Act, Acted};
use crate::cluster::writes::WriteError;
use crate::controller::connections::Access;
use crate::controller::permits::Pass;
use crate::decide::{Failure, FailureKind, Fate, Observed, Operation, Outcome, TokenOrder, User, recording};

/// The pauses between tries while the API server or ACS is away.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the task leaves behind: what became of it, and a token that never lies in memory longer than its run.
pub(super) struct Created {
    pub(super) acted: Acted,
    pub(super) minted: Option<Minted>,
}

impl Act {
    /// Creates and records in a task of its own.
    pub(super) async fn create_identity(
        self: &Arc<Self>,
        o: &Observed,
        access: Arc<Access>,
        pass: Pass,
        attempt: Uuid,
        order: Option<TokenOrder>,
    ) -> Created {
        self.memories
            .note_attempt(&o.user.uid, o.own_attempt(attempt, Fate::UnderWay));
        let (act, o) = (Arc::clone(self), o.clone());
        let lost = (o.user.uid.clone(), o.own_attempt(attempt, Fate::InDoubt));
        let task = self.unfinished.spawn(async move {
            let created = act.create_and_record(&o, &access, pass, attempt, order.as_ref()).await;
            // Noted here too, because nobody may be waiting any more.
            let own = o.own_attempt(attempt, fate(&created.acted));
            let is_in_doubt = own.fate == Fate::InDoubt;
            act.memories.note_attempt(&o.user.uid, own);
            // After that: whoever sees the object go meanwhile leaves it to this task, or finds what was noted.
            if act.watched(&o.user).is_none() {
                act.memories.forget(&o.user.uid);
                if is_in_doubt {
                    act.report.suspected_orphan(&o.user, attempt, Some(&access));
                }
            }
            created
        });
        task.await.unwrap_or_else(|_| {
            let (uid, attempt) = lost;
            self.memories.note_attempt(&uid, attempt);
            let words = "could not create an identity: a fault of the operator itself interrupted it; whether an identity was made is unknown".to_owned();
            let failure = Failure {
                kind: FailureKind::InDoubt,
                operation: Operation::Create,
                words,
            };
            Created {
                acted: Acted::Outcome(Outcome::Failed(failure)),
                minted: None,
            }
        })
    }

    async fn create_and_record(
        &self,
        o: &Observed,
        access: &Access,
        pass: Pass,
        attempt: Uuid,
        order: Option<&TokenOrder>,
    ) -> Created {
        let custom_id = o.custom_id().and_then(|text| CustomId::parse(text).ok());
        let asked = self.clock.now();
        let created = service::create(access, &pass.permit, &self.clock, attempt, order, custom_id).await;
        // However long it takes to record the id, nobody waits for the room of this call.
        drop(pass);
        let (id, minted) = match created {
            Ok(created) => created,
            Err(failure) => {
                return Created {
                    acted: Acted::Outcome(Outcome::Failed(failure)),
                    minted: None,
                };
            }
        };
        let _waits = self.unrecorded.wait(&o.user.namespace, Instant::now());
        match self.record(o, id.as_str(), attempt, asked).await {
            Ok(user) => {
                let fresh = minted.as_ref().map(|minted| minted.record.clone());
                Created {
                    acted: Acted::Outcome(Outcome::Created { user, fresh }),
                    minted,
                }
            }
            Err(error) => Created {
                acted: self.withdraw(access, o, id.as_str(), attempt, &error).await,
                minted: None,
            },
        }
    }

    /// Writes the id into status, however long the API server is away: only its definite word ends this. Someone else's
    /// change of the object is no obstacle; another id, or another object, is.
    async fn record(&self, o: &Observed, id: &str, attempt: Uuid, asked: Timestamp) -> Result<Box<User>, WriteError> {
        let mut o = o.clone();
        let mut tries = Tries::new();
        loop {
            let status = recording(&o, id, attempt, asked, self.clock.now());
            let since = self.users.epoch();
            let written = self
                .writes
                .finishing_create()
                .patch_status(&target(&o.user), &o.user.status, &status)
                .await;
            match written {
                Ok(user) => return Ok(self.written(since, user)),
                Err(error @ (WriteError::Gone | WriteError::Refused(_) | WriteError::NotLeading(_))) => {
                    return Err(error);
                }
                Err(WriteError::Conflict | WriteError::Unavailable(_)) => {}
            }
            // A write whose answer was lost may have been carried out: only what is stored tells, not how the next one ends.
            let stored = self.read_again(&o.user, &mut tries).await?;
            if stored.resource_version == o.user.resource_version {
                // Nobody has changed it: the next write may be answered in the same way.
                tries.wait().await;
            }
            o.user = stored;
            match o.identity_id() {
                // A write arrived and its answer was lost.
                Some(recorded) if recorded == id => return Ok(Box::new(o.user)),
                Some(_) => return Err(WriteError::Conflict),
                None => {}
            }
        }
    }

    /// The object as it is stored now, however long the API server is away. Where it may not be read, what the watch tells: if that is
    /// behind, the next write is a conflict, so nothing is lost by it. And where nothing may be read at all, no version is known with
    /// which anything could be written, not even that an attempt is in doubt: so the id is kept until that changes.
    async fn read_again(&self, user: &User, tries: &mut Tries) -> Result<User, WriteError> {
        loop {
            match self
                .writes
                .read_object(Some(&user.namespace), &user.name, &user.uid)
                .await
            {
                Ok(user) => return Ok(User::parse(&user)),
                Err(WriteError::Gone) => return Err(WriteError::Gone),
                Err(error @ WriteError::Refused(_)) => {
                    if !std::mem::replace(&mut tries.are_told, true) {
                        tracing::warn!(
                            object = %key(user), %error,
                            "the object of a new identity cannot be read, so the id is recorded by what the watch tells"
                        );
                    }
                    return self.watched(user).ok_or(WriteError::Gone);
                }
                Err(_) => tries.wait().await,
            }
        }
    }

    /// The object as the watch tells of it.
    fn watched(&self, user: &User) -> Option<User> {
        let now = self.users.get(&key(user))?;
        (now.metadata.uid.as_ref() == Some(&user.uid)).then(|| User::parse(&now))
    }

    /// An identity that can't be recorded is deleted again, however long ACS is away; if ACS refuses, it is counted. With a custom
    /// id another process may have recorded this very identity, or will: as long as the object is there, it is found again.
    async fn withdraw(&self, access: &Access, o: &Observed, id: &str, attempt: Uuid, error: &WriteError) -> Acted {
        let (object, cause) = (key(&o.user), error.to_string());
        if o.custom_id().is_some() && *error != WriteError::Gone {
            let words = format!("could not record the new identity {id}: {cause}");
            return Acted::Outcome(Outcome::Failed(create_failed(FailureKind::InDoubt, words)));
        }
        tracing::warn!(%object, identity = id, %attempt, error = cause, "the new identity cannot be recorded and is deleted again");
        let mut tries = Tries::new();
        let refused = loop {
            match service::withdraw(access, &self.clock, id).await {
                Ok(()) => break None,
                Err(failure) if failure.can_pass() => tries.wait().await,
                Err(failure) => break Some(failure.words),
            }
        };
        match (refused, *error == WriteError::Gone) {
            (None, true) => Acted::ObjectGone,
            (None, false) => {
                let words = format!("could not record the new identity, which was deleted again: {error}");
                Acted::Outcome(Outcome::Withdrawn {
                    failure: create_failed(FailureKind::WriteRefused, words),
                })
            }
            (Some(words), true) => {
                tracing::warn!(%object, identity = id, error = words, "the identity of an object that is gone cannot be deleted");
                self.report.suspected_orphan(&o.user, attempt, Some(access));
                Acted::ObjectGone
            }
            (Some(words), false) => {
                let words = format!("the new identity {id} could be neither recorded nor deleted again: {words}");
                Acted::Outcome(Outcome::Failed(create_failed(FailureKind::InDoubt, words)))
            }
        }
    }
}

/// What is tried again and again.
struct Tries {
    /// Before the next one.
    pause: Duration,
    /// Whether a person was told why there are any.
    are_told: bool,
}

impl Tries {
    fn new() -> Self {
        Self {
            pause: SHORTEST_PAUSE,
            are_told: false,
        }
    }

    /// Waits a little longer each time.
    async fn wait(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

fn create_failed(kind: FailureKind, words: String) -> Failure {
    Failure {
        kind,
        operation: Operation::Create,
        words,
    }
}

fn fate(acted: &Acted) -> Fate {
    match acted {
        Acted::Outcome(Outcome::Failed(failure)) if !failure.is_definite_refusal() => Fate::InDoubt,
        _ => Fate::Settled,
    }
}
