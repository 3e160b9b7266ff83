//! Folds the outcome of a step back into the observation, so that the next decision follows without a look at the world.

use jiff::Timestamp;

use super::backoff::Trouble;
use super::failure::{Failure, FailureKind, Operation};
use super::memory::{Fate, Finding, Inspected, LookedAt, OwnAttempt};
use super::observed::{Observed, OwnedSecret, SecretVersion, SecretView, User};
use super::record::TokenRecord;
use super::revocation;
use super::revoke;
use super::secret::Precondition;
use super::step::{IssueCause, Outcome, Step};
use super::terms::resource_of;
use crate::api::{names::finalizer, whole_seconds};

/// The observation after `step` ended in `outcome` at `now`.
#[must_use]
pub fn advance(mut o: Observed, step: &Step, outcome: Outcome, now: Timestamp) -> Observed {
    // Even when the answer is lost: should the announcement have arrived, it is known that nothing was sent after it, and a
    // revocation may have been carried out.
    revocation::forget_what_is_over(&mut o);
    // What else fails from here on would make the proof forgotten.
    o.memory.identity_gone |= o.is_proven_gone();
    announced(&mut o, step);
    if matches!(step, Step::AnnounceRevocation { .. }) && revocation::is_anothers_open(&o) {
        // Whoever announced it may have died with its own on the way.
        doubt_revocation(&mut o, now);
    }
    if let Step::RevokeTokens { .. } = step {
        o.memory.revoke_sent = Some(now);
        o.this_run.fresh = None;
    }
    match outcome {
        Outcome::Created { user, fresh } => {
            take_object(&mut o, *user);
            // Whoever made it is the resource, whichever was there before.
            if let Some(id) = o.identity_id().filter(|id| o.connection.is_foreign(id)) {
                o.connection.resource_id = resource_of(id).map(str::to_owned);
            }
            o.memory.attempt = None;
            o.this_run.fresh = fresh;
            o.memory.trouble = None;
        }
        Outcome::Withdrawn { failure } => {
            settle_fate(&mut o, Fate::Settled);
            fail(&mut o, failure, now);
        }
        Outcome::Announced(user) | Outcome::UserSeen(user) => take_object(&mut o, *user),
        Outcome::Protected(user) => {
            take_object(&mut o, *user);
            write_done(&mut o);
        }
        Outcome::StatusWritten(user) => {
            take_object(&mut o, *user);
            status_written(&mut o, step);
        }
        Outcome::Revoked => revoked(&mut o, step, now),
        Outcome::Waited => {}
        Outcome::SecretAcceptable => secret_acceptable(&mut o, true),
        Outcome::Issued(record) => issued(&mut o, step, record, now),
        Outcome::SecretSeen(view) => secret_seen(&mut o, step, view, now),
        Outcome::Inspected(finding) => inspected(&mut o, step, finding),
        Outcome::SecretWritten(version) => secret_written(&mut o, step, version),
        Outcome::SecretDeleted => secret_deleted(&mut o, step),
        Outcome::IdentityDeleted => {
            o.memory.identity_gone = true;
            o.memory.trouble = None;
        }
        Outcome::Released => o.user.finalizers.retain(|f| f != finalizer::IDENTITY),
        Outcome::Failed(failure) => {
            if matches!(step, Step::CreateIdentity { .. }) {
                let definite = failure.is_definite_refusal();
                settle_fate(&mut o, if definite { Fate::Settled } else { Fate::InDoubt });
            }
            if matches!(step, Step::RevokeTokens { .. }) && failure.kind == FailureKind::InDoubt {
                doubt_revocation(&mut o, now);
            }
            if matches!(step, Step::WriteSecret { .. }) {
                secret_not_written(&mut o, &failure);
            }
            fail(&mut o, failure, now);
        }
    }
    o
}

/// What a look at everything around an object went by.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    identity: Option<String>,
    deleting: bool,
}

impl Seen {
    /// As the look that came to `o` went by it.
    pub fn of(o: &Observed) -> Self {
        Self {
            identity: o.identity_id().map(str::to_owned),
            deleting: o.user.deleting,
        }
    }
}

/// Whether a run has to begin anew after a step: whose another identity is, and what still leads to ACS for one that is to be deleted,
/// only another look tells. An identity that was just made for the object is nobody else's.
pub fn is_to_look_again(now: &Observed, before: &Seen, is_made: bool) -> bool {
    let now = Seen::of(now);
    now.deleting != before.deleting || (!is_made && now.identity != before.identity)
}

/// Takes the object as it is now. Others may have changed it since the look: the name of its Secret, even its identity.
fn take_object(o: &mut Observed, user: User) {
    let name_before = o.user.secret_name().to_owned();
    o.user = user;
    let identity = o.identity_id().map(str::to_owned);
    o.memory.forget_all_but(identity.as_deref());
    let name = o.user.secret_name();
    if name == name_before {
        return;
    }
    let named = o.other_secrets.iter().position(|other| other.version.name == name);
    let named = named.map(|index| SecretView::Ours(o.other_secrets.remove(index)));
    if let SecretView::Ours(left) = std::mem::replace(&mut o.secret, named.unwrap_or(SecretView::NotSeen)) {
        o.other_secrets.push(left);
    }
}

fn announced(o: &mut Observed, step: &Step) {
    if let Step::Announce(attempt) = step {
        o.memory.attempt = Some(OwnAttempt {
            uuid: attempt.attempt,
            custom_id: attempt.custom_id,
            fate: Fate::Announced,
            follows_doubt: o.open_attempt().is_some_and(|before| before.is_in_doubt()),
        });
    }
}

fn settle_fate(o: &mut Observed, fate: Fate) {
    if let Some(own) = &mut o.memory.attempt {
        own.fate = fate;
    }
}

/// Forgets what status tells now.
fn status_written(o: &mut Observed, step: &Step) {
    if let Step::AnnounceRevocation { revocation, .. } = step {
        o.memory.revocation = Some(revocation.clone());
    }
    revocation::forget_what_is_over(o);
    let status = &o.user.status;
    let recorded = status
        .secret
        .as_ref()
        .and_then(|secret| secret.resource_version.as_ref());
    o.memory
        .inspected
        .take_if(|seen| seen.finding == Finding::Intact && recorded == Some(&seen.version.resource_version));
    let trouble = &mut o.memory.trouble;
    trouble.take_if(|trouble| trouble.failure.operation == Operation::Record);
}

/// A write that was refused before has come through.
fn write_done(o: &mut Observed) {
    let trouble = &mut o.memory.trouble;
    trouble.take_if(|trouble| matches!(trouble.failure.operation, Operation::Look | Operation::Write));
}

/// In whole seconds, as tokens tell when they were issued.
fn doubt_revocation(o: &mut Observed, now: Timestamp) {
    o.memory.revoke_in_doubt = Some(whole_seconds(now));
}

fn revoked(o: &mut Observed, step: &Step, now: Timestamp) {
    if let Step::RevokeTokens { cause, .. } = step {
        revocation::confirm(o, cause, now);
    }
    // What keeps a token that is wanted from being issued, or the Secret from being written, still does.
    let is_over = |operation| match operation {
        Operation::Issue => !o.user.wants_token(),
        Operation::Create | Operation::Revoke | Operation::Delete => true,
        Operation::Look | Operation::Write | Operation::Record => false,
    };
    let trouble = o.memory.trouble.take();
    o.memory.trouble = trouble.filter(|trouble| !is_over(trouble.failure.operation));
}

fn issued(o: &mut Observed, step: &Step, record: TokenRecord, now: Timestamp) {
    if let Step::IssueToken {
        cause: IssueCause::SecretLost,
        ..
    } = step
    {
        o.memory.repaired = Some(now);
    }
    o.memory.revoke_sent = None;
    o.this_run.fresh = Some(record);
}

fn secret_acceptable(o: &mut Observed, is_it: bool) {
    if let Some(looked) = &mut o.memory.looked {
        looked.accepts = is_it;
    }
}

fn secret_seen(o: &mut Observed, step: &Step, view: SecretView, now: Timestamp) {
    if let Step::InspectSecret { version, .. } | Step::DeleteSecret(version) = step
        && version.name != o.user.secret_name()
    {
        o.other_secrets.retain(|other| other.version.name != version.name);
        if let SecretView::Ours(secret) = view {
            o.other_secrets.push(secret);
        }
        return;
    }
    o.memory.looked = Some(LookedAt::of(o.user.secret_name(), &view));
    // A revocation comes first, whatever lies in the way of the next token.
    let wanted = o.user.wants_token() && !revoke::is_pending(o, now);
    if view == SecretView::Foreign && wanted {
        fail(o, conflict(step), now);
    } else if is_as_expected(step, &view) {
        fail(o, refused_for_no_reason(), now);
    } else {
        let trouble = &mut o.memory.trouble;
        let is_over =
            |failure: &Failure| failure.operation == Operation::Look || failure.kind == FailureKind::SecretConflict;
        trouble.take_if(|trouble| is_over(&trouble.failure));
    }
    o.secret = view;
}

/// Whether a write met just what it expected and was refused as a conflict all the same, as a quota may do.
fn is_as_expected(step: &Step, view: &SecretView) -> bool {
    match step {
        Step::WriteSecret { precondition, .. } | Step::TrySecret { precondition, .. } => match (precondition, view) {
            (Precondition::Absent, SecretView::Absent) => true,
            (Precondition::Version(expected), SecretView::Ours(secret) | SecretView::Unowned(secret)) => {
                *expected == secret.version
            }
            _ => false,
        },
        _ => false,
    }
}

fn refused_for_no_reason() -> Failure {
    Failure {
        kind: FailureKind::WriteRefused,
        operation: Operation::Write,
        words: "the API server refuses to write the Secret as a conflict, although it is as expected".into(),
    }
}

/// What was read is at hand, so a Secret that is astray can be written anew with the same token.
fn inspected(o: &mut Observed, step: &Step, finding: Finding) {
    let Step::InspectSecret { version, desired } = step else {
        return;
    };
    // Whatever lies under another name is not where it should be.
    let elsewhere = version.name != desired.name && finding == Finding::Intact;
    let finding = if elsewhere { Finding::Astray } else { finding };
    o.memory.inspected = Some(Inspected {
        version: version.clone(),
        layout: desired.record.request.layout.clone(),
        finding,
    });
    o.this_run.fresh = (finding == Finding::Astray).then(|| desired.record.clone());
    if finding == Finding::Intact {
        // Nothing is left to be written. With more to come, a refusal of that would be met as if it were the first.
        write_done(o);
    }
}

fn secret_written(o: &mut Observed, step: &Step, version: SecretVersion) {
    if let Step::WriteSecret { desired, .. } = step {
        o.memory.inspected = Some(Inspected {
            version: version.clone(),
            layout: desired.record.request.layout.clone(),
            finding: Finding::Intact,
        });
        let issued = desired.record.issued;
        o.memory
            .revoke_in_doubt
            .take_if(|ended| revoke::is_settled(*ended, issued));
        let record = Some(Box::new(desired.record.clone()));
        o.secret = SecretView::Ours(OwnedSecret { version, record });
        revocation::follow(o);
    }
    o.this_run.fresh = None;
    (o.memory.trouble, o.memory.looked) = (None, None);
}

fn secret_not_written(o: &mut Observed, failure: &Failure) {
    // The token that was to be replaced still is: only a Secret that was written is put right.
    o.memory.repaired = None;
    if !failure.can_pass() {
        return;
    }
    // It may have been written all the same.
    o.memory.looked = None;
    revocation::follow(o);
    if o.secret == SecretView::Absent {
        o.secret = SecretView::NotSeen;
    }
}

fn secret_deleted(o: &mut Observed, step: &Step) {
    if let Step::DeleteSecret(gone) = step {
        o.other_secrets.retain(|other| other.version.uid != gone.uid);
        if matches!(&o.secret, SecretView::Ours(secret) | SecretView::Unowned(secret) if secret.version.uid == gone.uid)
        {
            o.secret = SecretView::Absent;
        }
    }
    write_done(o);
}

fn fail(o: &mut Observed, failure: Failure, now: Timestamp) {
    secret_acceptable(o, false);
    let begun = o.this_run.step_begun.unwrap_or(now);
    let before = o.memory.trouble.as_ref();
    o.memory.trouble = Some(Trouble::after(
        before,
        failure,
        &o.user.uid,
        o.user.generation,
        begun,
        now,
    ));
}

fn conflict(step: &Step) -> Failure {
    let name = match step {
        Step::LookAtSecret { name } => name.as_str(),
        Step::WriteSecret { desired, .. } | Step::TrySecret { desired, .. } | Step::InspectSecret { desired, .. } => {
            desired.name.as_str()
        }
        _ => "",
    };
    Failure {
        kind: FailureKind::SecretConflict,
        operation: Operation::Write,
        words: format!(
            "Secret {name} exists and was not made for this object, so it is left alone. Delete it, or choose another name \
             in spec.secret.name"
        ),
    }
}
