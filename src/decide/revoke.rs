//! Revocation: ACS can only revoke all tokens of an identity, so a new one follows where one is wanted.
//!
//! | phase | what is known | next |
//! |---|---|---|
//! | [`Quiet`](Phase::Quiet) | nothing asks for one, and the last that was announced was carried out | a token may be issued |
//! | [`Owed`](Phase::Owed) | something asks for one that this process has not begun | status tells of it, with an instant later than that of every one before ([`Step::AnnounceRevocation`]) |
//! | [`Announced`](Phase::Announced) | status tells; ACS may have carried it out | a look for a token that came after it, then [`Step::RevokeTokens`] |
//! | [`CarriedOut`](Phase::CarriedOut) | ACS confirmed it | a token may be issued that carries the instant in its record; status tells where none is wanted |
//!
//! - None is forgotten: the instant in status that no token comes after asks for one, whoever announced it, and whether or not it is
//!   still asked for otherwise.
//! - None ends the token that answers it: that names the instant and the request, so every process can tell that they are met. Only
//!   where none does, one whose result got lost is made once more, which does no harm.
//! - None is met by a token that it ended: a token that does not name the last instant [is dead](super::revocation::is_dead).

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::block::{Need, blocked};
use super::observed::{Observed, Wish};
use super::renewal::{is_still, later};
use super::revocation::{Revocation, RevocationCause, Stage, last_announced, last_carried_out, stage, unmet_request};
use super::status::{compose, settle};
use super::step::{Decision, Step};
use crate::api::{Reason, Verdict, whole_seconds};

/// Tokens carry their issue time in whole seconds, and ACS may revoke by it: one that is issued in the second of the
/// revocation may be revoked by it. That ACS does so is not documented; two seconds are safe either way.
const APART: SignedDuration = SignedDuration::from_secs(2);

/// For so long ACS may carry out a revocation that had no answer. What it would end is replaced then.
const SETTLES: SignedDuration = SignedDuration::from_mins(1);

/// What the revocation of an object's tokens stands at.
enum Phase {
    Quiet,
    Owed(RevocationCause),
    Announced(RevocationCause),
    CarriedOut,
}

fn phase(o: &Observed, wish: &Wish, now: Timestamp) -> Phase {
    let Some(cause) = cause(o, wish, now) else {
        return Phase::Quiet;
    };
    match stage(o, &cause) {
        // One that another process announced is announced once more: that process may have handed out a token since.
        None => Phase::Owed(cause),
        Some(Stage::Announced) => Phase::Announced(cause),
        // The token that followed is not wanted any more.
        Some(Stage::Followed) if wish.token.is_none() => Phase::Owed(cause),
        Some(Stage::CarriedOut | Stage::Followed) => Phase::CarriedOut,
    }
}

/// Why the tokens are to end, until a token or status tells that they did.
fn cause(o: &Observed, wish: &Wish, now: Timestamp) -> Option<RevocationCause> {
    if let Some(request) = unmet_request(o) {
        return Some(RevocationCause::Requested(request.clone()));
    }
    let told = o.user.status.token.as_ref();
    if wish.token.is_none() {
        return told.map(|_| RevocationCause::TokenRemoved);
    }
    let done = last_carried_out(o);
    let handed_out = told.is_some() || o.token_record().is_some();
    let valid_from = o.connection.tokens_valid_from.filter(|from| *from <= now);
    if valid_from.is_some_and(|from| handed_out && done < Some(from) && !was_created_since(o, from)) {
        return Some(RevocationCause::TokensValidFrom);
    }
    (last_announced(o) > done).then_some(RevocationCause::Announced)
}

fn was_created_since(o: &Observed, time: Timestamp) -> bool {
    let identity = o.user.status.identity.as_ref();
    let created = identity.and_then(|identity| identity.creation_time.as_ref());
    created.is_some_and(|created| created.0 >= time)
}

/// The steps up to the revocation; `None`: it is done, or not asked for.
pub(super) fn decide(o: &Observed, wish: &Wish, id: &str, now: Timestamp) -> Option<Decision> {
    let phase = phase(o, wish, now);
    if let (Phase::Owed(_) | Phase::Announced(_), Some(block)) = (&phase, blocked(o, Need::Revoke, now)) {
        return Some(settle(o, &block.verdict(), block.until, now));
    }
    Some(match phase {
        Phase::Quiet | Phase::CarriedOut => return None,
        Phase::Owed(cause) => {
            let verdict = Verdict::new(Reason::Progressing, "all tokens of the identity are being revoked");
            announce(o, cause, &verdict, now)
        }
        // A process that led before may have handed out the token that answers: revoking once more would end that.
        Phase::Announced(_) if wish.token.is_some() && o.look().is_none() => look(o, wish, now),
        Phase::Announced(cause) => Decision::Do(Box::new(Step::RevokeTokens {
            id: id.to_owned(),
            cause,
        })),
    })
}

/// A look that failed is not repeated at once; whatever else is wrong with the Secret, it is looked at.
fn look(o: &Observed, wish: &Wish, now: Timestamp) -> Decision {
    match blocked(o, Need::Look, now) {
        Some(block) => settle(o, &block.verdict(), block.until, now),
        None => Decision::Do(Box::new(Step::LookAtSecret {
            name: wish.secret.name.clone(),
        })),
    }
}

/// Whether a revocation is to be carried out, before there may be another token.
pub(super) fn is_pending(o: &Observed, now: Timestamp) -> bool {
    let wish = o.user.wish.as_ref();
    wish.is_ok_and(|wish| matches!(phase(o, wish, now), Phase::Owed(_) | Phase::Announced(_)))
}

/// The status says first that the tokens are about to become invalid.
pub(super) fn announce(o: &Observed, cause: RevocationCause, verdict: &Verdict, now: Timestamp) -> Decision {
    let next = |last| now.max(later(last, SignedDuration::from_secs(1)));
    let at = whole_seconds(last_announced(o).map_or(now, next));
    let mut status = compose(o, verdict, now);
    // Even where status knows of no token: one may lie in a Secret, and another process has to see that something was begun.
    status.token.get_or_insert_default().revocation_time = Some(Time(at));
    Decision::Do(Box::new(Step::AnnounceRevocation {
        status: Box::new(status),
        revocation: Revocation {
            cause,
            at,
            stage: Stage::Announced,
        },
    }))
}

/// When a revocation will be owed.
pub(super) fn due_later(o: &Observed, now: Timestamp) -> Option<Timestamp> {
    o.connection.tokens_valid_from.filter(|from| *from > now)
}

/// Whether one that had no answer when it `ended` cannot end a token that is issued now.
pub(super) fn is_settled(ended: Timestamp, now: Timestamp) -> bool {
    now >= later(ended, SETTLES)
}

/// When the token in the Secret is to be replaced, because a revocation without an answer may have ended it.
pub(super) fn replaced_at(o: &Observed) -> Option<Timestamp> {
    let ended = o.memory.revoke_in_doubt?;
    let issued = o.token_record()?.issued;
    (!is_settled(ended, issued)).then(|| later(ended, SETTLES))
}

/// The instant before which no token may be issued after a revocation, whatever that was for.
pub(super) fn too_soon(o: &Observed, now: Timestamp) -> Option<Timestamp> {
    let revoked = o.memory.revoke_sent?;
    is_still(revoked, APART, now).then(|| later(revoked, APART))
}
