//! The status of an object, computed in one place from what is observed and a verdict.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::block::{Need, blocked};
use super::memory::Finding;
use super::observed::{Observed, OpenAttempt, OwnedSecret, SecretVersion, SecretView, Wish};
use super::revocation::{is_dead, last_announced, last_word};
use super::step::{Decision, Step};
use super::terms::ConnectionState;
use super::token::is_recorded;
use crate::api::{
    CommunicationUserStatus, IdentityStatus, Origin, Reason, SecretStatus, TokenStatus, Verdict, whole_seconds,
};

/// Settled with this verdict: a status write if status does not say so yet.
pub(super) fn settle(o: &Observed, verdict: &Verdict, wake_at: Option<Timestamp>, now: Timestamp) -> Decision {
    let status = compose(o, verdict, now);
    if status == o.user.status {
        return Decision::Settled { wake_at };
    }
    match blocked(o, Need::Record, now) {
        Some(block) => Decision::Settled { wake_at: block.until },
        None => Decision::Do(Box::new(Step::WriteStatus {
            status: Box::new(status),
            suspected: None,
        })),
    }
}

/// Records what became of an open attempt. Every attempt that may have made an identity is counted as a suspected
/// orphan before the next one begins.
pub(super) fn settle_attempt(o: &Observed, open: OpenAttempt, verdict: &Verdict, now: Timestamp) -> Decision {
    settled_in(compose(o, verdict, now), o, open)
}

/// The same where another attempt gave the object its identity: nothing else changes by it.
pub(super) fn settle_late(o: &Observed, open: OpenAttempt) -> Decision {
    settled_in(o.user.status.clone(), o, open)
}

fn settled_in(mut status: CommunicationUserStatus, o: &Observed, open: OpenAttempt) -> Decision {
    let suspected = o.may_have_made_another(open).then_some(open.uuid);
    let identity = status.identity.get_or_insert_with(IdentityStatus::default);
    identity.attempt = Some(open.uuid.to_string());
    if suspected.is_some() {
        identity.suspected_orphans = Some(identity.suspected_orphans.unwrap_or(0).saturating_add(1));
    }
    Decision::Do(Box::new(Step::WriteStatus {
        status: Box::new(status),
        suspected,
    }))
}

/// The status that records a new identity: the write that makes a created identity known. It may come late; the identity, and its
/// first token, are from when they were `asked` for, or a moment later.
pub fn recording(
    o: &Observed,
    id: &str,
    attempt: uuid::Uuid,
    asked: Timestamp,
    now: Timestamp,
) -> CommunicationUserStatus {
    let mut with_id = o.clone();
    let identity = with_id.user.status.identity.get_or_insert_with(IdentityStatus::default);
    identity.id = Some(id.to_owned());
    identity.owner_uid = Some(o.user.uid.clone());
    identity.origin = Some(Origin::Created);
    // A later attempt, of a process that took over meanwhile, stays as open or settled as it is.
    if o.user.attempt.as_ref().is_none_or(|newest| newest.attempt == attempt) {
        identity.attempt = Some(attempt.to_string());
    }
    identity.creation_time = Some(Time(whole_seconds(asked)));
    if let ConnectionState::Ready { endpoint, .. } = &o.connection.state {
        identity.endpoint = Some(endpoint.clone());
    }
    // What was to be revoked before there was an identity is met by having a new one.
    with_id
        .user
        .status
        .last_handled_revoke_at
        .clone_from(&o.user.requests.revoke);
    let verdict = match o.user.wish.as_ref() {
        Ok(Wish { token: None, .. }) => identity_created(),
        _ => Verdict::new(
            Reason::Progressing,
            "the identity was created; its token is being written to the Secret",
        ),
    };
    compose(&with_id, &verdict, now)
}

/// Records that the object has an identity that was there before, by default not ours to delete.
pub(super) fn adopted(o: &Observed, id: &str, now: Timestamp) -> Decision {
    let verdict = match o.user.wish.as_ref() {
        Ok(Wish { token: None, .. }) => identity_created(),
        _ => Verdict::new(
            Reason::Progressing,
            "the identity is adopted; its first token is being issued",
        ),
    };
    let mut status = compose(o, &verdict, now);
    let identity = status.identity.get_or_insert_with(IdentityStatus::default);
    identity.id = Some(id.to_owned());
    identity.origin = Some(Origin::Adopted);
    identity.owner_uid = Some(o.user.uid.clone());
    identity.endpoint = o.endpoint().map(str::to_owned);
    Decision::Do(Box::new(Step::WriteStatus {
        status: Box::new(status),
        suspected: None,
    }))
}

/// Claims the identity of a copy: from now on it is ours to renew, and by default not ours to delete.
pub(super) fn claim(o: &Observed, now: Timestamp) -> Decision {
    let message = "the identity was recorded for another object, of which this is a copy, or which came out of a backup. It is \
                   used on, and by default kept when this object is deleted";
    let mut status = compose(o, &Verdict::new(Reason::Progressing, message), now);
    if let Some(identity) = &mut status.identity {
        identity.origin = Some(Origin::Restored);
        identity.owner_uid = Some(o.user.uid.clone());
    }
    Decision::Do(Box::new(Step::WriteStatus {
        status: Box::new(status),
        suspected: None,
    }))
}

/// Forgets the identity, so that a new one is created. What is counted stays counted.
pub(super) fn clear(o: &Observed, now: Timestamp) -> Decision {
    let mut status = compose(
        o,
        &Verdict::new(Reason::Progressing, "the identity is being replaced as requested"),
        now,
    );
    if let Some(identity) = &mut status.identity {
        *identity = IdentityStatus {
            attempt: identity.attempt.take(),
            // Tells the custom id of the next identity from that of this one.
            creation_time: identity.creation_time.take(),
            suspected_orphans: identity.suspected_orphans,
            ..IdentityStatus::default()
        };
    }
    status.token = None;
    Decision::Do(Box::new(Step::WriteStatus {
        status: Box::new(status),
        suspected: None,
    }))
}

/// The verdict on an object that wants no token and has its identity.
pub(super) fn identity_created() -> Verdict {
    Verdict::new(
        Reason::IdentityCreated,
        "the identity exists. No token was asked for, so there is no Secret: add spec.token to have one",
    )
}

/// The whole status.
pub(super) fn compose(o: &Observed, verdict: &Verdict, now: Timestamp) -> CommunicationUserStatus {
    let before = &o.user.status;
    let mut status = before.clone();
    status.observed_generation = Some(o.user.generation);
    status.connection = Some(o.connection.label.clone());
    status.conditions = verdict.conditions(&before.conditions, o.user.generation, now);
    match &o.secret {
        SecretView::Ours(OwnedSecret { version, .. }) | SecretView::Unowned(OwnedSecret { version, .. }) => {
            status.secret = Some(SecretStatus {
                name: Some(version.name.clone()),
                uid: Some(version.uid.clone()),
                resource_version: verified_version(o, version),
            });
            record_token(o, &mut status);
        }
        // The last token is valid wherever else it lies, so it stays on record until another one follows or it is revoked.
        // What the watch doesn't show may still be there, without our label.
        SecretView::NotSeen => {}
        SecretView::Absent | SecretView::Foreign => status.secret = None,
    }
    if let Ok(wish) = &o.user.wish
        && wish.token.is_none()
    {
        record_revocation_without_token(o, &mut status);
    }
    status
}

/// The version of the Secret that is known to be as it should be: the one just written or read, or the one that was
/// recorded before. Any other is read before it is recorded, however long that takes.
fn verified_version(o: &Observed, version: &SecretVersion) -> Option<String> {
    let read = o.memory.inspected.as_ref();
    if read.is_some_and(|read| read.version == *version && read.finding == Finding::Intact) {
        return Some(version.resource_version.clone());
    }
    let recorded = o.user.status.secret.as_ref();
    recorded
        .filter(|recorded| recorded.uid.as_ref() == Some(&version.uid))
        .and_then(|recorded| recorded.resource_version.clone())
}

/// Without a Secret to carry the record, status alone tells of a revocation, and of one that is still owed. As long as there
/// is one, it has to tell that the token in it is dead.
fn record_revocation_without_token(o: &Observed, status: &mut CommunicationUserStatus) {
    let may_be_unseen = o.secret == SecretView::NotSeen && is_recorded(o, o.user.secret_name());
    let Some(done) = last_word(o).filter(|_| !may_be_unseen && o.owned_secrets().next().is_none()) else {
        return;
    };
    status.token = None;
    if let Some(request) = done.cause.request() {
        status.last_handled_revoke_at = Some(request.clone());
    }
}

fn record_token(o: &Observed, status: &mut CommunicationUserStatus) {
    let Some(record) = o.token_record() else { return };
    let renew_before = o
        .user
        .wish
        .as_ref()
        .ok()
        .and_then(|wish| wish.token.as_ref()?.renew_before);
    let renewal = record.life().renew_at(renew_before, &o.user.uid);
    status.token = Some(TokenStatus {
        issue_time: Some(Time(record.issued)),
        expiration_time: Some(Time(record.expires)),
        renewal_time: Some(Time(whole_seconds(renewal))),
        revocation_time: record.request.after.max(last_announced(o)).map(Time),
        scopes: record.scopes.clone(),
        credential: Some(record.credential.clone()),
    });
    if is_dead(o, record) {
        // It answers nothing any more.
        return;
    }
    if record.request.renew.is_some() {
        status.last_handled_renew_at.clone_from(&record.request.renew);
    }
    if record.request.revoke.is_some() {
        status.last_handled_revoke_at.clone_from(&record.request.revoke);
    }
}
