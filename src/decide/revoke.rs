//! Revocation: ACS can only revoke all tokens of an identity, so a new one follows where one is wanted.
//!
//! Before anything is revoked, status says so ([`Step::AnnounceRevocation`]), with an instant that is later than that of every
//! revocation before. What is announced is carried out before there is another token, and that carries in its record the instant
//! that it comes after. So every process can tell which tokens are dead, whatever became of the one that revoked them, and of the
//! request.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::block::blocked_revocation;
use super::memory::{Revocation, RevocationCause};
use super::observed::{Observed, Wish};
use super::record::TokenRecord;
use super::renewal::{is_still, later};
use super::status::{compose, settle};
use super::step::{Decision, Step};
use crate::api::{CommunicationUserStatus, Reason, Verdict, whole_seconds};

/// Tokens carry their issue time in whole seconds, and ACS may revoke by it: one that is issued in the second of the
/// revocation may be revoked by it. That ACS does so is not documented; two seconds are safe either way.
const APART: SignedDuration = SignedDuration::from_secs(2);

/// The last revocation that was announced.
pub(super) fn last(o: &Observed) -> Option<Timestamp> {
    let own = o.memory.revocation.as_ref().map(|revocation| revocation.at);
    own.max(told(&o.user.status))
}

fn told(status: &CommunicationUserStatus) -> Option<Timestamp> {
    let time = status.token.as_ref()?.revocation_time.as_ref()?;
    Some(time.0)
}

/// Whether a token was issued before the last revocation, or may have been.
pub(super) fn is_dead(o: &Observed, record: &TokenRecord) -> bool {
    last(o) > record.request.after
}

/// The revocation request that no token answers yet. What was handed out before the last revocation answers none.
pub(super) fn requested(o: &Observed) -> Option<&String> {
    let request = o.user.requests.revoke.as_ref()?;
    let in_status = o.user.status.last_handled_revoke_at.as_ref();
    (![met_by_token(o), in_status].contains(&Some(request))).then_some(request)
}

fn met_by_token(o: &Observed) -> Option<&String> {
    let record = o.token_record().filter(|record| !is_dead(o, record));
    record.and_then(|record| record.request.revoke.as_ref())
}

/// The last request that a token issued now comes after.
pub(super) fn met(o: &Observed) -> Option<&String> {
    let in_status = o.user.status.last_handled_revoke_at.as_ref();
    answered_request(o).or(met_by_token(o)).or(in_status)
}

/// Whether a revocation is to be carried out, before there may be another token.
pub(super) fn is_pending(o: &Observed, now: Timestamp) -> bool {
    o.user.wish.as_ref().is_ok_and(|wish| due(o, wish, now).is_some())
}

/// The request that this process has carried out and that no token answers yet.
pub(super) fn answered_request(o: &Observed) -> Option<&String> {
    match &confirmed(o)?.cause {
        RevocationCause::Requested(request) => Some(request),
        _ => None,
    }
}

/// The revocation that this process began and that is not over yet.
fn own(o: &Observed) -> Option<&Revocation> {
    o.memory.revocation.as_ref().filter(|own| !is_over(o, own))
}

/// The same, once ACS confirmed it.
pub(super) fn confirmed(o: &Observed) -> Option<&Revocation> {
    own(o).filter(|own| own.confirmed)
}

/// Forgets a revocation that is over.
pub(super) fn forget_what_is_over(o: &mut Observed) {
    if own(o).is_none() {
        o.memory.revocation = None;
    }
}

/// A token was handed out after the revocation that this process carried out.
pub(super) fn follow(o: &mut Observed) {
    if let Some(own) = &mut o.memory.revocation {
        own.followed |= own.confirmed;
    }
}

/// Whether ACS confirmed that every token was revoked, and none was handed out since.
pub(super) fn is_last_word(o: &Observed) -> bool {
    confirmed(o).is_some_and(|confirmed| !confirmed.followed)
}

/// Whether status tells what became of a revocation, however that is known: the answer to its write may have been lost.
fn is_over(o: &Observed, own: &Revocation) -> bool {
    let status = &o.user.status;
    if let RevocationCause::Requested(request) = &own.cause
        && status.last_handled_revoke_at.as_ref() == Some(request)
    {
        return true;
    }
    let Some(told) = &status.token else {
        return own.confirmed && !matches!(own.cause, RevocationCause::Requested(_));
    };
    // A later token ends every revocation before it.
    let is_told = |record: &&TokenRecord| told.issue_time.as_ref().is_some_and(|issued| issued.0 == record.issued);
    o.token_record()
        .filter(is_told)
        .is_some_and(|record| !is_dead(o, record))
}

/// The steps up to the revocation; `None`: it is done, or not asked for.
pub(super) fn decide(o: &Observed, wish: &Wish, id: &str, now: Timestamp) -> Option<Decision> {
    let cause = due(o, wish, now)?;
    if let Some(block) = blocked_revocation(o, now) {
        return Some(settle(o, &block.verdict(), block.until, now));
    }
    let verdict = Verdict::new(Reason::Progressing, "all tokens of the identity are being revoked");
    Some(announced(o, &cause, &verdict, now).unwrap_or_else(|| {
        let (id, name) = (id.to_owned(), wish.secret.name.clone());
        // A process that led before may have handed out the token that answers: revoking once more would end that.
        Decision::Do(Box::new(if wish.token.is_some() && !o.memory.looked {
            Step::LookAtSecret { name }
        } else {
            Step::RevokeTokens { id, cause }
        }))
    }))
}

/// Why the tokens are to be revoked, if this process has not done so.
fn due(o: &Observed, wish: &Wish, now: Timestamp) -> Option<RevocationCause> {
    let cause = match requested(o) {
        Some(request) => RevocationCause::Requested(request.clone()),
        None => owed(o, wish, now)?,
    };
    let is_done = confirmed(o).is_some_and(|confirmed| is_for(o, confirmed, &cause));
    (!is_done || (wish.token.is_none() && !is_last_word(o))).then_some(cause)
}

/// Whether a revocation is what is asked for. The time from which on the connection takes tokens may have moved past it since.
fn is_for(o: &Observed, own: &Revocation, cause: &RevocationCause) -> bool {
    let is_late_enough = *cause != RevocationCause::TokensValidFrom || o.connection.tokens_valid_from <= Some(own.at);
    own.cause == *cause && is_late_enough
}

/// Why tokens that were handed out are to end although nobody asks for it on the object.
fn owed(o: &Observed, wish: &Wish, now: Timestamp) -> Option<RevocationCause> {
    let told = o.user.status.token.as_ref();
    if wish.token.is_none() {
        return told.map(|_| RevocationCause::TokenRemoved);
    }
    let done = carried_out(o);
    let handed_out = told.is_some() || o.token_record().is_some();
    let valid_from = o.connection.tokens_valid_from.filter(|from| *from <= now);
    if valid_from.is_some_and(|from| handed_out && done < Some(from) && !was_created_since(o, from)) {
        return Some(RevocationCause::TokensValidFrom);
    }
    (last(o) > done).then_some(RevocationCause::Announced)
}

/// The last revocation that is known to be carried out. Once announced, one is carried out before there is another token,
/// even if nobody asks for it any more: so a token that comes after it is the proof. Where its Secret is gone as well, status is,
/// unless a clock was set back between: then they are revoked once more, which does no harm.
fn carried_out(o: &Observed) -> Option<Timestamp> {
    let told = o.user.status.token.as_ref();
    let by_status = || {
        told.filter(|told| told.issue_time > told.revocation_time)
            .and_then(|told| Some(told.revocation_time.as_ref()?.0))
    };
    let by_token = o.token_record().map_or_else(by_status, |record| record.request.after);
    by_token.max(confirmed(o).map(|confirmed| confirmed.at))
}

/// When a revocation will be owed.
pub(super) fn due_later(o: &Observed, now: Timestamp) -> Option<Timestamp> {
    o.connection.tokens_valid_from.filter(|from| *from > now)
}

fn was_created_since(o: &Observed, time: Timestamp) -> bool {
    let identity = o.user.status.identity.as_ref();
    let created = identity.and_then(|identity| identity.creation_time.as_ref());
    created.is_some_and(|created| created.0 >= time)
}

/// The status says first that the tokens are about to become invalid; `None`: it does.
pub(super) fn announced(o: &Observed, cause: &RevocationCause, verdict: &Verdict, now: Timestamp) -> Option<Decision> {
    // One that another process announced is announced once more: that process may have handed out a token since.
    if own(o).is_some_and(|own| is_for(o, own, cause) && !own.followed) {
        return None;
    }
    let last = last(o);
    let at = last.map_or(now, |last| now.max(later(last, SignedDuration::from_secs(1))));
    let at = whole_seconds(at);
    let mut status = compose(o, verdict, now);
    // Even where status knows of no token: one may lie in a Secret, and another process has to see that something was begun.
    status.token.get_or_insert_default().revocation_time = Some(Time(at));
    let revocation = Revocation {
        cause: cause.clone(),
        at,
        confirmed: false,
        followed: false,
    };
    Some(Decision::Do(Box::new(Step::AnnounceRevocation {
        status: Box::new(status),
        revocation,
    })))
}

/// The instant before which no token may be issued after a revocation, whatever that was for.
pub(super) fn too_soon(o: &Observed, now: Timestamp) -> Option<Timestamp> {
    let revoked = o.memory.last_revocation?;
    is_still(revoked, APART, now).then(|| later(revoked, APART))
}
