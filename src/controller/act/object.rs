//! The writes to the object and its Secret.

use secrecy::SecretString;

use super::{Act, Acted, content};
use crate::api::{CommunicationUser, CommunicationUserStatus, CreateAttempt, names};
use crate::cluster::ObjectKey;
use crate::cluster::cache::Epoch;
use crate::cluster::writes::{Expected, Target, WriteError};
use crate::decide::{
    DesiredSecret, Failure, FailureKind, Observed, Operation, Outcome, Precondition, SecretVersion, SecretView, User,
};

impl Act {
    /// The finalizer and the record of intent, in one patch.
    pub(super) async fn announce(&self, o: &Observed, attempt: &CreateAttempt) -> Acted {
        let mut finalizers = o.user.finalizers.clone();
        if !o.is_guarded() {
            finalizers.push(names::finalizer::IDENTITY.to_owned());
        }
        let annotations = [(names::annotation::CREATE_ATTEMPT, attempt.to_string())];
        let target = target(&o.user);
        let write = self.writes.patch_metadata(&target, &finalizers, &annotations);
        self.write_object(
            o,
            (Operation::Write, "announce a new identity"),
            write,
            Outcome::Announced,
        )
        .await
    }

    /// Puts our finalizer back.
    pub(super) async fn protect(&self, o: &Observed) -> Acted {
        let mut finalizers = o.user.finalizers.clone();
        finalizers.push(names::finalizer::IDENTITY.to_owned());
        let target = target(&o.user);
        let write = self.writes.patch_metadata(&target, &finalizers, &[]);
        self.write_object(
            o,
            (Operation::Write, "put the finalizer back"),
            write,
            Outcome::Protected,
        )
        .await
    }

    /// Takes our finalizer off. With the last finalizer goes the object.
    pub(super) async fn release(&self, o: &Observed) -> Acted {
        let finalizers = names::finalizer::without(names::finalizer::IDENTITY, &o.user.finalizers);
        let target = target(&o.user);
        let write = self.writes.patch_metadata(&target, &finalizers, &[]);
        self.write_object(o, (Operation::Write, "take the finalizer off"), write, |_| {
            Outcome::Released
        })
        .await
    }

    /// Writes status.
    pub(super) async fn write_status(&self, o: &Observed, status: &CommunicationUserStatus) -> Acted {
        let target = target(&o.user);
        let write = self.writes.patch_status(&target, &o.user.status, status);
        self.write_object(
            o,
            (Operation::Record, "write the status"),
            write,
            Outcome::StatusWritten,
        )
        .await
    }

    /// Carries out a write to the object, which is in the cache from then on. `what` it does can stand after "could not".
    async fn write_object(
        &self,
        o: &Observed,
        (operation, what): (Operation, &str),
        write: impl Future<Output = Result<CommunicationUser, WriteError>>,
        outcome: fn(Box<User>) -> Outcome,
    ) -> Acted {
        // Before the request: nothing of it is done until it is awaited.
        let since = self.users.epoch();
        match write.await {
            Ok(user) => Acted::Outcome(outcome(self.written(since, user))),
            Err(error) => self.object_write_failed(o, error, operation, what).await,
        }
    }

    /// Writes the Secret. One that isn't the expected one is looked at, and the next decision is based on that.
    pub(super) async fn write_secret(
        &self,
        o: &Observed,
        desired: &DesiredSecret,
        precondition: &Precondition,
        token: &SecretString,
    ) -> Acted {
        let expected = expected(precondition);
        let manifest = content::manifest(&o.user, desired, token);
        let since = self.secrets.epoch();
        match self
            .writes
            .apply_secret(&o.user.namespace, &desired.name, &expected, manifest)
            .await
        {
            Ok(written) => {
                let version = SecretVersion::of(&written.metadata);
                self.secrets.apply_own_write(since, written);
                Acted::Outcome(Outcome::SecretWritten(version))
            }
            Err(WriteError::Conflict) => self.look_at_secret(o, &desired.name).await,
            Err(error) => Acted::Outcome(Outcome::Failed(write_failure(&error, "write", &desired.name))),
        }
    }

    /// Asks whether the Secret would be accepted. One that isn't the expected one is looked at, as when it is written.
    pub(super) async fn try_secret(&self, o: &Observed, desired: &DesiredSecret, precondition: &Precondition) -> Acted {
        let manifest = content::manifest(&o.user, desired, &SecretString::from("placeholder"));
        let tried = self
            .writes
            .try_secret(&o.user.namespace, &desired.name, &expected(precondition), manifest)
            .await;
        match tried {
            Ok(()) => Acted::Outcome(Outcome::SecretAcceptable),
            Err(WriteError::Conflict) => self.look_at_secret(o, &desired.name).await,
            Err(error) => Acted::Outcome(Outcome::Failed(write_failure(&error, "write", &desired.name))),
        }
    }

    /// Asks the API server for a Secret.
    pub(super) async fn look_at_secret(&self, o: &Observed, name: &str) -> Acted {
        let outcome = match self.writes.read_secret_metadata(&o.user.namespace, name).await {
            Ok(None) => Outcome::SecretSeen(SecretView::Absent),
            Ok(Some(metadata)) => Outcome::SecretSeen(SecretView::of(&metadata, &o.user)),
            Err(error) => Outcome::Failed(look_failure(&error, name)),
        };
        Acted::Outcome(outcome)
    }

    /// Reads a Secret whole and compares it with what it should be. Its token is returned, to be at hand for a rewrite.
    pub(super) async fn inspect_secret(
        &self,
        o: &Observed,
        version: &SecretVersion,
        desired: &DesiredSecret,
    ) -> (Acted, Option<SecretString>) {
        let secret = match self.writes.read_secret(&o.user.namespace, &version.name).await {
            Ok(secret) => secret,
            Err(error) => {
                return (
                    Acted::Outcome(Outcome::Failed(look_failure(&error, &version.name))),
                    None,
                );
            }
        };
        let seen = secret.as_ref().map(|secret| SecretVersion::of(&secret.metadata));
        match secret.filter(|_| seen.as_ref() == Some(version)) {
            Some(secret) => {
                let (finding, token) = content::compare(&secret, desired);
                (Acted::Outcome(Outcome::Inspected(finding)), token)
            }
            // It changed since it was seen: the watch tells, and the next decision is based on that.
            None => (self.look_at_secret(o, &version.name).await, None),
        }
    }

    /// Deletes a Secret of ours. One that isn't as it was seen is looked at, and the next decision is based on that.
    pub(super) async fn delete_secret(&self, o: &Observed, secret: &SecretVersion) -> Acted {
        match self
            .writes
            .delete_secret(&o.user.namespace, &secret.name, &secret.uid, &secret.resource_version)
            .await
        {
            Ok(()) => {
                let key = ObjectKey::namespaced(&o.user.namespace, &secret.name);
                self.secrets.apply_own_delete(&key, &secret.uid);
                Acted::Outcome(Outcome::SecretDeleted)
            }
            Err(WriteError::Conflict) => self.look_at_secret(o, &secret.name).await,
            Err(error) => Acted::Outcome(Outcome::Failed(write_failure(&error, "delete", &secret.name))),
        }
    }

    /// A write of ours goes into the cache, so that the next look sees it. The watch has nothing to tell of it then.
    pub(super) fn written(&self, since: Epoch, user: CommunicationUser) -> Box<User> {
        let (user, change) = self.users.apply_own_write(since, user);
        if let Some(change) = change {
            self.neighbours.tell(&change);
        }
        Box::new(User::parse(&user))
    }

    /// The same for an object that is gone.
    fn deleted(&self, user: &User) {
        let change = self.users.apply_own_delete(&key(user), &user.uid);
        if let Some(change) = change {
            self.neighbours.tell(&change);
        }
    }

    async fn object_write_failed(&self, o: &Observed, error: WriteError, operation: Operation, what: &str) -> Acted {
        let error = match error {
            WriteError::Conflict => {
                let since = self.users.epoch();
                match self
                    .writes
                    .read_object::<CommunicationUser>(Some(&o.user.namespace), &o.user.name, &o.user.uid)
                    .await
                {
                    Ok(user) if user.metadata.resource_version.as_ref() == Some(&o.user.resource_version) => {
                        WriteError::conflict_over_nothing()
                    }
                    Ok(user) => return Acted::Outcome(Outcome::UserSeen(self.written(since, user))),
                    Err(error) => error,
                }
            }
            error => error,
        };
        match error {
            WriteError::Gone => {
                self.deleted(&o.user);
                Acted::ObjectGone
            }
            error => Acted::Outcome(Outcome::Failed(failure(&error, operation, what))),
        }
    }
}

fn expected(precondition: &Precondition) -> Expected<'_> {
    match precondition {
        Precondition::Absent => Expected::Absent,
        Precondition::Version(version) => Expected::Version {
            uid: &version.uid,
            resource_version: &version.resource_version,
        },
    }
}

/// The object as caches know it.
pub(super) fn key(user: &User) -> ObjectKey {
    ObjectKey::namespaced(&user.namespace, &user.name)
}

/// The version of the object that a decision saw.
pub(super) fn target(user: &User) -> Target<'_> {
    Target {
        namespace: Some(&user.namespace),
        name: &user.name,
        uid: &user.uid,
        resource_version: &user.resource_version,
    }
}

/// A failed request to the API server as decisions see it. `what` it was to do, as in "could not …".
pub(super) fn failure(error: &WriteError, operation: Operation, what: &str) -> Failure {
    let kind = match error {
        WriteError::Refused(_) | WriteError::Gone => FailureKind::WriteRefused,
        // Nothing comes of the last: no run goes on without the lease.
        WriteError::Conflict | WriteError::Unavailable(_) | WriteError::NotLeading(_) => {
            FailureKind::Transient { until: None }
        }
    };
    Failure {
        kind,
        operation,
        words: format!("could not {what}: {error}"),
    }
}

fn look_failure(error: &WriteError, secret: &str) -> Failure {
    failure(error, Operation::Look, &format!("read Secret {secret}"))
}

fn write_failure(error: &WriteError, verb: &str, secret: &str) -> Failure {
    failure(error, Operation::Write, &format!("{verb} Secret {secret}"))
}
