//! Revocation: ACS can only revoke all tokens of an identity, so a new one follows where one is wanted.
//!
//! Before anything is revoked, status says so ([`Step::AnnounceRevocation`]), with an instant that is later than that of every
//! revocation before. A new token carries in its record the last such instant that it comes after. So every process can tell
//! which tokens are dead, whatever became of the one that revoked them, and of the request.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::block::blocked;
use super::memory::Revocation;
use super::observed::{Observed, Wish};
use super::record::TokenRecord;
use super::renewal::later;
use super::status::{compose, settle};
use super::step::{Decision, Step};
use crate::api::{CommunicationUserStatus, Reason, Verdict, whole_seconds};

/// Tokens carry their issue time in whole seconds, and ACS may revoke by it: one that is issued in the second of the
/// revocation may be revoked by it. That ACS does so is not documented; two seconds are safe either way.
const APART: SignedDuration = SignedDuration::from_secs(2);

/// The last revocation that was announced.
pub(super) fn last(o: &Observed) -> Option<Timestamp> {
    let own = o.memory.revocation.as_ref().and_then(|revocation| revocation.at);
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
    let record = o.token_record().filter(|record| !is_dead(o, record));
    let in_record = record.and_then(|record| record.request.revoke.as_ref());
    let in_status = o.user.status.last_handled_revoke_at.as_ref();
    (![in_record, in_status].contains(&Some(request))).then_some(request)
}

/// Whether a revocation was asked for that this process has not carried out.
pub(super) fn is_pending(o: &Observed) -> bool {
    let done = confirmed(o).and_then(|revocation| revocation.request.as_ref());
    requested(o).is_some_and(|request| done != Some(request))
}

/// The revocation that ACS confirmed to this process and that no token answers yet.
pub(super) fn confirmed(o: &Observed) -> Option<&Revocation> {
    o.memory.revocation.as_ref().filter(|revocation| revocation.confirmed)
}

/// The steps up to the revocation; `None`: it is done, or not asked for.
pub(super) fn decide(o: &Observed, wish: &Wish, id: &str, now: Timestamp) -> Option<Decision> {
    let request = match requested(o) {
        Some(request) => Some(request.clone()),
        None if wish.token.is_none() && o.user.status.token.is_some() => None,
        None => return None,
    };
    if confirmed(o).is_some_and(|revocation| revocation.request == request) {
        return None;
    }
    if let Some(block) = blocked(o, now) {
        return Some(settle(o, &block.verdict(), block.until, now));
    }
    let verdict = Verdict::new(Reason::Progressing, "all tokens of the identity are being revoked");
    Some(announced(o, request.as_ref(), &verdict, now).unwrap_or_else(|| {
        let (id, name) = (id.to_owned(), wish.secret.name.clone());
        // A process that led before may have handed out the token that answers: revoking once more would end that.
        Decision::Do(Box::new(if wish.token.is_some() && !o.memory.looked {
            Step::LookAtSecret { name }
        } else {
            Step::RevokeTokens { id, request }
        }))
    }))
}

/// The status says first that the tokens are about to become invalid; `None`: it does.
pub(super) fn announced(o: &Observed, request: Option<&String>, verdict: &Verdict, now: Timestamp) -> Option<Decision> {
    let own = o.memory.revocation.as_ref();
    if own.is_some_and(|revocation| revocation.request.as_ref() == request) {
        return None;
    }
    let mut status = compose(o, verdict, now);
    let last = last(o);
    let at = status.token.as_mut().map(|token| {
        let at = last.map_or(now, |last| now.max(later(last, SignedDuration::from_secs(1))));
        let at = whole_seconds(at);
        token.revocation_time = Some(Time(at));
        at
    });
    if at.is_none() && status == o.user.status {
        return None;
    }
    let revocation = Revocation {
        request: request.cloned(),
        at,
        confirmed: false,
    };
    Some(Decision::Do(Box::new(Step::AnnounceRevocation {
        status: Box::new(status),
        revocation,
    })))
}

/// The instant before which no token may be issued after a revocation, whatever that was for.
pub(super) fn too_soon(o: &Observed, now: Timestamp) -> Option<Timestamp> {
    // One in the future: the clock was set back, and tells nothing.
    let revoked = o.memory.last_revocation.filter(|revoked| *revoked <= now)?;
    let apart = later(revoked, APART);
    (now < apart).then_some(apart)
}
