//! From a deletion request to no finalizer: the identity, then the Secrets, then the release. It comes before everything
//! else, whatever is wrong with the object, and writes no Secret any more.

use jiff::Timestamp;

use uuid::Uuid;

use super::backoff::Trouble;
use super::block::{Need, blocked, resting, under_way};
use super::failure::{FailureKind, Operation};
use super::memory::Fate;
use super::observed::{Observed, OpenAttempt};
use super::status::{settle, settle_attempt};
use super::step::{Decision, Step};
use crate::api::{DeletionPolicy, Origin, Reason, Verdict, names};

pub(super) fn decide(o: &Observed, now: Timestamp) -> Decision {
    if !o.is_guarded() {
        return Decision::Settled { wake_at: None };
    }
    if let Some(id) = o.identity_id()
        && !o.is_deleted()
        && !is_kept(o, id)
    {
        return delete_identity(o, id, now);
    }
    match o.open_attempt() {
        Some(open) if open.fate == Fate::UnderWay => under_way(now),
        Some(open) if o.may_have_made_another(open) => match o.identity_id() {
            None if o.can_be_repeated(open) => learn(o, open, now),
            _ => count_attempt(o, open, now),
        },
        _ => clear_away(o, None, now),
    }
}

/// With a custom id one more create tells which identity the open attempt made, if any, so that it can be deleted. That is
/// tried once: a deletion never waits for it.
fn learn(o: &Observed, open: OpenAttempt, now: Timestamp) -> Decision {
    if blocked(o, Need::Call, now).is_some() {
        return count_attempt(o, open, now);
    }
    Decision::Do(Box::new(match open.fate {
        Fate::Announced => Step::CreateIdentity {
            attempt: open.uuid,
            token: None,
        },
        _ => Step::Announce(o.next_attempt()),
    }))
}

/// Counts before the object goes: its status is the last thing that tells of the attempt. A status that can't be
/// written must not block the deletion.
fn count_attempt(o: &Observed, open: OpenAttempt, now: Timestamp) -> Decision {
    match &o.memory.trouble {
        Some(Trouble { failure, .. })
            if failure.operation == Operation::Record && failure.kind == FailureKind::WriteRefused =>
        {
            clear_away(o, Some(open.uuid), now)
        }
        _ => resting(o, now).unwrap_or_else(|| settle_attempt(o, open, &unknown_attempt(), now)),
    }
}

/// Whether the identity stays in ACS.
pub(super) fn is_kept(o: &Observed, id: &str) -> bool {
    if o.user.requests.abandon.as_deref() == Some(id) {
        return true;
    }
    // It is another object's.
    if o.rival.is_some() {
        return true;
    }
    let wished = o.user.deletion_policy();
    let origin = o
        .user
        .status
        .identity
        .as_ref()
        .and_then(|identity| identity.origin.as_ref());
    let copy = Origin::Restored;
    let origin = if o.is_copy() { Some(&copy) } else { origin };
    match (wished, origin) {
        (Some(DeletionPolicy::Delete), _) => false,
        // Deleting can't be undone: it takes an explicit word or an identity that we made.
        (Some(_), _) => true,
        (None, origin) => !matches!(origin, Some(Origin::Created) | None),
    }
}

fn delete_identity(o: &Observed, id: &str, now: Timestamp) -> Decision {
    let Some(block) = blocked(o, Need::Delete, now) else {
        return Decision::Do(Box::new(Step::DeleteIdentity { id: id.to_owned() }));
    };
    let message = format!(
        "the identity {id} is still in ACS: {}. Annotate this object with {}={id} to let it go and leave the identity in ACS",
        block.why,
        names::annotation::ABANDON,
    );
    settle(o, &Verdict::new(Reason::DeletionBlocked, message), block.until, now)
}

fn clear_away(o: &Observed, suspected: Option<Uuid>, now: Timestamp) -> Decision {
    if let (Some(pause), None) = (resting(o, now), suspected) {
        return pause;
    }
    let step = match o.owned_secrets().next() {
        Some(version) => Step::DeleteSecret(version.clone()),
        None => match last_words(o, now) {
            Some(Decision::Do(write)) => return Decision::Do(write),
            _ => Step::Release { suspected },
        },
    };
    Decision::Do(Box::new(step))
}

/// An object that others keep is still there when we are done with it: its status is not to promise what is gone. One that can't be
/// written must not block the deletion.
fn last_words(o: &Observed, now: Timestamp) -> Option<Decision> {
    let others = names::finalizer::without(names::finalizer::IDENTITY, &o.user.finalizers);
    let trouble = o.memory.trouble.as_ref();
    if others.is_empty() || trouble.is_some_and(|trouble| trouble.failure.operation == Operation::Record) {
        return None;
    }
    let message = format!(
        "this object is being deleted, and has no Secret any more. What keeps it are finalizers of others: {}",
        others.join(", ")
    );
    Some(settle(o, &Verdict::new(Reason::Progressing, message), None, now))
}

fn unknown_attempt() -> Verdict {
    Verdict::new(
        Reason::Progressing,
        "the object was deleted while an attempt to create its identity had no known result, so ACS may hold an identity \
         that nobody uses: it is counted as a suspected orphan",
    )
}
