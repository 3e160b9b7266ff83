//! Revocation: ACS can only revoke all tokens of an identity, so a new one follows where one is wanted.

use jiff::{SignedDuration, Timestamp};

use super::block::blocked;
use super::observed::{Observed, Wish};
use super::renewal::later;
use super::status::settle;
use super::step::{Decision, Step};
use crate::api::{Reason, TokenStatus, Verdict};

/// Tokens carry their issue time in whole seconds, and ACS may revoke by it: one that is issued in the second of the
/// revocation may be revoked by it. That ACS does so is not documented; two seconds are safe either way.
const APART: SignedDuration = SignedDuration::from_secs(2);

/// The revocation request that no token answers yet. What was handed out before this process revoked does not answer it,
/// whoever says so: it is dead.
pub(super) fn requested(o: &Observed) -> Option<&String> {
    let request = o.user.requests.revoke.as_ref()?;
    let own = o
        .memory
        .revoked
        .as_ref()
        .filter(|own| own.request.as_ref() == Some(request));
    let record = o
        .token_record()
        .filter(|record| own.is_none_or(|own| record.issued >= own.at));
    let in_record = record.and_then(|record| record.request.revoke.as_ref());
    let in_status = o.user.status.last_handled_revoke_at.as_ref().filter(|_| own.is_none());
    (![in_record, in_status].contains(&Some(request))).then_some(request)
}

/// Whether a revocation was asked for that this process has not carried out.
pub(super) fn is_pending(o: &Observed) -> bool {
    let done = o.memory.revoked.as_ref().and_then(|revoked| revoked.request.as_ref());
    requested(o).is_some_and(|request| done != Some(request))
}

/// Whether the token was removed from the spec and the tokens handed out are still valid.
pub(super) fn orphaned_tokens(o: &Observed, wish: &Wish) -> bool {
    wish.token.is_none() && o.user.status.token.as_ref().is_some_and(|token| !is_revoked(o, token))
}

/// Whether this process revoked the token of status.
pub(super) fn is_revoked(o: &Observed, token: &TokenStatus) -> bool {
    token.issue_time.as_ref().is_some_and(|issued| is_dead(o, issued.0))
}

/// Whether this process revoked what was issued at this time.
pub(super) fn is_dead(o: &Observed, issued: Timestamp) -> bool {
    o.memory.revoked.as_ref().is_some_and(|revoked| issued <= revoked.at)
}

/// The steps up to the revocation; `None`: it is done, or not asked for.
pub(super) fn decide(o: &Observed, wish: &Wish, id: &str, now: Timestamp) -> Option<Decision> {
    let request = match requested(o) {
        Some(request) => Some(request.clone()),
        None if orphaned_tokens(o, wish) => None,
        None => return None,
    };
    if o.memory
        .revoked
        .as_ref()
        .is_some_and(|revoked| revoked.request == request)
    {
        return None;
    }
    Some(match blocked(o, now) {
        Some(block) => settle(o, &block.verdict(), block.until, now),
        None => announced(o, now).unwrap_or_else(|| {
            let (id, name) = (id.to_owned(), wish.secret.name.clone());
            // A process that led before may have handed out the token that answers: revoking once more would end that.
            Decision::Do(Box::new(if wish.token.is_some() && !o.memory.looked {
                Step::LookAtSecret { name }
            } else {
                Step::RevokeTokens { id, request }
            }))
        }),
    })
}

/// The instant before which no token may be issued after a revocation, whatever that was for.
pub(super) fn too_soon(o: &Observed, now: Timestamp) -> Option<Timestamp> {
    let apart = later(o.memory.last_revocation?, APART);
    (now < apart).then_some(apart)
}

/// The status says first that the tokens are about to become invalid.
fn announced(o: &Observed, now: Timestamp) -> Option<Decision> {
    let verdict = Verdict::new(Reason::Progressing, "all tokens of the identity are being revoked");
    match settle(o, &verdict, None, now) {
        Decision::Settled { .. } => None,
        write @ Decision::Do(_) => Some(write),
    }
}
