//! A valid token in the Secret, always.

use jiff::Timestamp;

use super::block::{Block, Need, blocked, resting};
use super::care::{self, Care};
use super::failure::{FailureKind, Operation};
use super::narrowed::with_older_tokens;
use super::no_token;
use super::observed::{Observed, SecretView, TokenWish, Wish};
use super::record::{TokenRecord, TokenRequest, joined};
use super::revocation::{is_dead, last_announced, met_request, unmet_request};
use super::revoke;
use super::secret::{DesiredSecret, Precondition, layout};
use super::status::settle;
use super::step::{Decision, IssueCause, Step, TokenOrder};
use super::terms::ConnectionState;
use crate::api::{Origin, Reason, ReasonClass, Verdict};

pub(super) fn decide(o: &Observed, wish: &Wish, id: &str, now: Timestamp) -> Decision {
    let Some(wanted) = &wish.token else {
        return no_token::decide(o, wish, id, now);
    };
    if let Some(step) = revoke::decide(o, wish, id, now) {
        return step;
    }
    if let Some(fresh) = at_hand(o, wish, wanted, id, now).filter(|_| resting(o, now).is_none()) {
        return put_away(o, wish, fresh);
    }
    let due = due(o, wanted, now);
    let cause = match due {
        Some(cause) if !has_to_wait(o, cause, now) => cause,
        // Nothing can be issued or has to be: the Secret is kept as it should be all the same.
        _ => {
            let endpoint = o.endpoint();
            match (
                endpoint.map_or(Care::None, |endpoint| care::of(o, wish, endpoint, now)),
                due,
            ) {
                (Care::Step(step), _) => return step,
                (Care::NewToken, _) => IssueCause::SecretLost,
                (Care::None, Some(cause)) => cause,
                (Care::None, None) => return rest(o, wish, wanted, now),
            }
        }
    };
    bring(o, wish, wanted, id, cause, now)
}

/// The token at hand, if it is what is wanted now, and no newer one lies in the Secret.
fn at_hand<'a>(o: &'a Observed, wish: &Wish, wanted: &TokenWish, id: &str, now: Timestamp) -> Option<&'a TokenRecord> {
    let revoke = unmet_request(o);
    o.this_run.fresh.as_ref().filter(|fresh| {
        fresh.identity == id
            && o.token_record().is_none_or(|held| held.issued <= fresh.issued)
            && due_for(fresh, o, wanted, now).is_none_or(|cause| has_to_wait(o, cause, now))
            && !is_dead(o, fresh)
            && revoke.is_none_or(|request| fresh.request.revoke.as_ref() == Some(request))
            && o.endpoint()
                .is_some_and(|endpoint| fresh.request.layout == layout(wish, endpoint))
    })
}

/// Whether a token for this cause can't be had now, and the one that is there does until then.
fn has_to_wait(o: &Observed, cause: IssueCause, now: Timestamp) -> bool {
    cause.can_wait() && blocked(o, Need::Call, now).is_some()
}

/// Into the Secret with the token at hand.
fn put_away(o: &Observed, wish: &Wish, fresh: &TokenRecord) -> Decision {
    let endpoint = o.endpoint().unwrap_or_default();
    Decision::Do(match precondition(o, &wish.secret.name) {
        Ok(precondition) => Box::new(Step::WriteSecret {
            desired: Box::new(DesiredSecret::new(&o.user, wish, fresh, endpoint)),
            precondition,
        }),
        Err(look) => look,
    })
}

/// What a write to the Secret is conditional on, or the look that tells.
fn precondition(o: &Observed, name: &str) -> Result<Precondition, Box<Step>> {
    match &o.secret {
        SecretView::Ours(secret) | SecretView::Unowned(secret) => Ok(Precondition::Version(secret.version.clone())),
        SecretView::NotSeen if o.look().is_some() || !needs_a_look(o, name) => Ok(Precondition::Absent),
        SecretView::Absent => Ok(Precondition::Absent),
        SecretView::NotSeen | SecretView::Foreign => Err(Box::new(Step::LookAtSecret { name: name.to_owned() })),
    }
}

/// Why a new token is due, if one is.
fn due(o: &Observed, wanted: &TokenWish, now: Timestamp) -> Option<IssueCause> {
    if unmet_request(o).is_some() {
        return Some(IssueCause::Revoked);
    }
    let Some(record) = o.token_record() else {
        let had_one = o.user.status.token.is_some() || matches!(o.secret, SecretView::Ours { .. });
        return Some(if had_one {
            IssueCause::SecretLost
        } else {
            IssueCause::First
        });
    };
    // A request that was withdrawn after it was carried out, or half carried out, has left a dead token.
    if is_dead(o, record) {
        return Some(IssueCause::Revoked);
    }
    // Not in `due_for`: a token that was just made is as good as it gets, whatever became of its credential since.
    let retired = o.connection.has_retired(&record.credential);
    let may_be_ended = revoke::replaced_at(o).is_some_and(|at| at <= now);
    due_for(record, o, wanted, now)
        .or(retired.then_some(IssueCause::CredentialRetired))
        .or(may_be_ended.then_some(IssueCause::RevocationInDoubt))
}

/// Why this token needs a successor, if it does.
fn due_for(record: &TokenRecord, o: &Observed, wanted: &TokenWish, now: Timestamp) -> Option<IssueCause> {
    let renew = &o.user.requests.renew;
    let unmet = renew.is_some() && *renew != record.request.renew && *renew != o.user.status.last_handled_renew_at;
    if record.scopes != wanted.scopes {
        Some(IssueCause::ScopesChanged)
    } else if record.request.minutes != wanted.lifetime.as_mins() {
        Some(IssueCause::LifetimeChanged)
    } else if unmet {
        Some(IssueCause::Requested)
    } else if now >= record.life().renew_at(wanted.renew_before, &o.user.uid) {
        Some(IssueCause::Renewal)
    } else {
        None
    }
}

/// The way to a new token, with a look at the Secret where that may spare a call.
fn bring(o: &Observed, wish: &Wish, wanted: &TokenWish, id: &str, cause: IssueCause, now: Timestamp) -> Decision {
    if let Some(block) = blocked(o, Need::Call, now) {
        return waiting(o, cause, &block, now);
    }
    let ConnectionState::Ready { endpoint, .. } = &o.connection.state else {
        return Decision::Settled { wake_at: None };
    };
    let precondition = match precondition(o, &wish.secret.name) {
        Ok(precondition) => precondition,
        Err(look) => return Decision::Do(look),
    };
    let order = order(o, wish, wanted, endpoint, met_request(o));
    let usable = |record: &TokenRecord| {
        record.identity == id
            && due_for(record, o, wanted, now).is_none()
            && !is_dead(o, record)
            && unmet_request(o).is_none()
    };
    match care::of_renamed(o, wish, usable, endpoint, now) {
        Care::Step(step) => return step,
        Care::None | Care::NewToken => {}
    }
    if let Some(block) = care::just_repaired(o, cause, now) {
        return waiting(o, cause, &block, now);
    }
    Decision::Do(Box::new(if o.look().is_none() {
        // A process that led before may have written it already, and the watch be late to show it.
        let name = wish.secret.name.clone();
        Step::LookAtSecret { name }
    } else if may_be_refused(o, cause) {
        let placeholder = TokenRecord::placeholder(id, &order, now);
        let desired = Box::new(DesiredSecret::new(&o.user, wish, &placeholder, endpoint));
        Step::TrySecret { desired, precondition }
    } else if let Some(instant) = revoke::too_soon(o, now) {
        Step::WaitUntil(instant)
    } else {
        let id = id.to_owned();
        Step::IssueToken { id, order, cause }
    }))
}

/// Nothing is due: clear away what a rename left, record, and sleep until the renewal.
fn rest(o: &Observed, wish: &Wish, wanted: &TokenWish, now: Timestamp) -> Decision {
    if let Some(other) = o.other_secrets.first() {
        let delete = || Decision::Do(Box::new(Step::DeleteSecret(other.version.clone())));
        return resting(o, now).unwrap_or_else(delete);
    }
    let Some(record) = o.token_record() else {
        return Decision::Settled { wake_at: None };
    };
    let renewal = record.life().renew_at(wanted.renew_before, &o.user.uid);
    let (name, scopes) = (&wish.secret.name, joined(&wanted.scopes, ", "));
    if record.life().is_valid(now) {
        let message = format!("Secret {name} holds a valid token for {scopes}");
        let message = with_older_tokens(o, record, &message);
        let wake_at = [renewal, record.expires]
            .into_iter()
            .chain(revoke::due_later(o, now))
            .chain(revoke::replaced_at(o))
            .min();
        return settle(o, &Verdict::new(Reason::TokenIssued, message), wake_at, now);
    }
    let message = format!(
        "ACS gave a token that had expired at {} already. Set the clock of the operator's node right; a new token is asked \
         for at {renewal}",
        record.expires
    );
    settle(o, &Verdict::new(Reason::TokenExpired, message), Some(renewal), now)
}

/// The token to ask for. A renewal request that is there is met by it, as is the revocation request `revoke`.
pub(super) fn order(
    o: &Observed,
    wish: &Wish,
    wanted: &TokenWish,
    endpoint: &str,
    revoke: Option<&String>,
) -> TokenOrder {
    let request = TokenRequest {
        minutes: wanted.lifetime.as_mins(),
        layout: layout(wish, endpoint),
        renew: o.user.requests.renew.clone(),
        revoke: revoke.cloned(),
        after: last_announced(o),
    };
    TokenOrder {
        scopes: wanted.scopes.clone(),
        lifetime: wanted.lifetime,
        request,
    }
}

/// Whether the API server may refuse the Secret, so that it is asked before a token is issued, which would be wasted: it did the last
/// time (quota, admission, an immutable Secret) or it did not work, or the Secret is gone, as it is when its whole namespace goes.
fn may_be_refused(o: &Observed, cause: IssueCause) -> bool {
    let failure = o.memory.trouble.as_ref().map(|trouble| &trouble.failure);
    let failed = failure.is_some_and(|failure| {
        let refused = failure.kind == FailureKind::WriteRefused || failure.is_of_an_absent_server();
        refused && failure.operation == Operation::Write
    });
    (failed || cause == IssueCause::SecretLost) && !o.look().is_some_and(|look| look.accepts)
}

/// Whether a look at the Secret may spare a token: after a conflict over the name, when status knows of a Secret that the
/// watch, which sees only those with our label, does not show, or when what brought the object back may have brought its
/// Secret back a moment later.
fn needs_a_look(o: &Observed, name: &str) -> bool {
    let trouble = o.memory.trouble.as_ref();
    let conflict = trouble.is_some_and(|trouble| trouble.failure.kind == FailureKind::SecretConflict);
    let status = &o.user.status;
    let identity = status.identity.as_ref();
    let restored = identity.is_some_and(|identity| identity.origin == Some(Origin::Restored));
    conflict || (restored && status.secret.is_none()) || is_recorded(o, name)
}

/// Whether status knows of a Secret of this name.
pub(super) fn is_recorded(o: &Observed, name: &str) -> bool {
    let secret = o.user.status.secret.as_ref();
    secret.is_some_and(|secret| secret.name.as_deref() == Some(name))
}

/// The verdict while a due token can't be had: a renewal that is late does nobody harm while the old token is valid,
/// unless it can never succeed.
fn waiting(o: &Observed, cause: IssueCause, block: &Block, now: Timestamp) -> Decision {
    let why = &block.why;
    let can_pass = block.reason.class() != ReasonClass::Stalled;
    match o.token_record().filter(|_| can_pass) {
        None => settle(o, &block.verdict(), block.until, now),
        Some(record) if !record.life().is_valid(now) => {
            let message = format!(
                "the token expired at {}, and there is no new one: {why}",
                record.expires
            );
            settle(o, &Verdict::new(Reason::TokenExpired, message), block.until, now)
        }
        Some(record) => {
            let verdict = if cause.can_wait() {
                let message = format!(
                    "the token is valid until {}, but its renewal is delayed: {why}",
                    record.expires
                );
                Verdict::new(Reason::RenewalDelayed, message)
            } else {
                block.verdict()
            };
            let wake_at = Some(block.until.map_or(record.expires, |until| until.min(record.expires)));
            settle(o, &verdict, wake_at, now)
        }
    }
}
