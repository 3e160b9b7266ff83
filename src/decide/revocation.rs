//! What is known of the revocations of an identity's tokens, and which tokens they ended.
//!
//! Three tell, because each of them can be lost:
//! - status: the instant of the last revocation that was announced, and the last request that was met;
//! - the record of a token: the last revocation that it comes after, and the request that it answers;
//! - the memory of this process: how far it came with the one that it began.

use jiff::Timestamp;

use super::observed::Observed;
use super::record::TokenRecord;

/// A revocation that this process announced in status: what was issued before it is not relied on any more, whatever came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Why.
    pub cause: RevocationCause,
    /// When it was announced, as status says.
    pub at: Timestamp,
    /// How far it came.
    pub stage: Stage,
}

/// How far a revocation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Status tells of it. It may have been carried out.
    Announced,
    /// ACS confirmed it, and no token was handed out since.
    CarriedOut,
    /// A token was handed out after it, or may have been: that one it did not end.
    Followed,
}

/// Why the tokens of an identity are to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevocationCause {
    /// This request asks for it.
    Requested(String),
    /// No token is wanted any more.
    TokenRemoved,
    /// The connection takes none from before some time.
    TokensValidFrom,
    /// It was announced, and nobody knows any more what came of it, or asks for it.
    Announced,
    /// The identity is to be replaced, and its tokens go with it.
    Replaced,
}

impl RevocationCause {
    /// The request that it meets.
    pub fn request(&self) -> Option<&String> {
        match self {
            Self::Requested(request) => Some(request),
            _ => None,
        }
    }
}

/// The last revocation that was announced.
pub(super) fn last_announced(o: &Observed) -> Option<Timestamp> {
    let own = o.memory.revocation.as_ref().map(|own| own.at);
    let told = o.user.status.token.as_ref();
    own.max(told.and_then(|told| Some(told.revocation_time.as_ref()?.0)))
}

/// The last revocation that is known to be carried out. Once announced, one is carried out before there is another token,
/// even if nobody asks for it any more: so a token that comes after it is the proof. Where its Secret is gone as well, status is,
/// unless a clock was set back between: then they are revoked once more, which does no harm.
pub(super) fn last_carried_out(o: &Observed) -> Option<Timestamp> {
    let told = o.user.status.token.as_ref();
    let by_status = || {
        told.filter(|told| told.issue_time > told.revocation_time)
            .and_then(|told| Some(told.revocation_time.as_ref()?.0))
    };
    let by_token = o.token_record().map_or_else(by_status, |record| record.request.after);
    by_token.max(carried_out(o).map(|own| own.at))
}

/// Whether a revocation is not known to be carried out that another process announced, and may have sent.
pub(super) fn is_anothers_open(o: &Observed) -> bool {
    own(o).is_none() && last_announced(o) > last_carried_out(o)
}

/// Whether a token was issued before the last revocation, or may have been.
pub(super) fn is_dead(o: &Observed, record: &TokenRecord) -> bool {
    last_announced(o) > record.request.after
}

/// The request that no token answers yet. What was handed out before the last revocation answers none.
pub(super) fn unmet_request(o: &Observed) -> Option<&String> {
    let request = o.user.requests.revoke.as_ref()?;
    let told = o.user.status.last_handled_revoke_at.as_ref();
    (![answered_by_token(o), told].contains(&Some(request))).then_some(request)
}

/// The last request that a token issued now comes after.
pub(super) fn met_request(o: &Observed) -> Option<&String> {
    let told = o.user.status.last_handled_revoke_at.as_ref();
    let own = carried_out(o).and_then(|own| own.cause.request());
    own.or(answered_by_token(o)).or(told)
}

fn answered_by_token(o: &Observed) -> Option<&String> {
    let record = o.token_record().filter(|record| !is_dead(o, record));
    record.and_then(|record| record.request.revoke.as_ref())
}

/// How far this process is with a revocation for this cause; `None`: it has not begun one.
pub(super) fn stage(o: &Observed, cause: &RevocationCause) -> Option<Stage> {
    // The time from which on the connection takes tokens may have moved past it since.
    let is_late_enough =
        |own: &Revocation| *cause != RevocationCause::TokensValidFrom || o.connection.tokens_valid_from <= Some(own.at);
    let is_for_it = |own: &&Revocation| own.cause == *cause && is_late_enough(own);
    own(o).filter(is_for_it).map(|own| own.stage)
}

/// The revocation after which there is no token at all, as ACS confirmed to this process.
pub(super) fn last_word(o: &Observed) -> Option<&Revocation> {
    own(o).filter(|own| own.stage == Stage::CarriedOut)
}

fn carried_out(o: &Observed) -> Option<&Revocation> {
    own(o).filter(|own| own.stage != Stage::Announced)
}

/// The revocation that this process began and that is not over yet.
fn own(o: &Observed) -> Option<&Revocation> {
    o.memory.revocation.as_ref().filter(|own| !is_over(o, own))
}

/// Whether status tells what became of a revocation, however that is known: the answer to its write may have been lost.
fn is_over(o: &Observed, own: &Revocation) -> bool {
    let status = &o.user.status;
    let request = own.cause.request();
    if request.is_some() && request == status.last_handled_revoke_at.as_ref() {
        return true;
    }
    let Some(told) = &status.token else {
        return own.stage != Stage::Announced && request.is_none();
    };
    // A later token ends every revocation before it.
    let is_told = |record: &&TokenRecord| told.issue_time.as_ref().is_some_and(|issued| issued.0 == record.issued);
    o.token_record()
        .filter(is_told)
        .is_some_and(|record| !is_dead(o, record))
}

/// ACS confirmed a revocation.
pub(super) fn confirm(o: &mut Observed, cause: &RevocationCause, now: Timestamp) {
    o.memory.revocation = Some(Revocation {
        cause: cause.clone(),
        at: last_announced(o).unwrap_or(now),
        stage: Stage::CarriedOut,
    });
}

/// A token was handed out, or may have been.
pub(super) fn follow(o: &mut Observed) {
    if let Some(own) = &mut o.memory.revocation
        && own.stage == Stage::CarriedOut
    {
        own.stage = Stage::Followed;
    }
}

/// Forgets a revocation that is over.
pub(super) fn forget_what_is_over(o: &mut Observed) {
    if own(o).is_none() {
        o.memory.revocation = None;
    }
}
