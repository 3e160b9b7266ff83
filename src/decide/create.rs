//! From no identity to a recorded one: announce the attempt, create, record. A process that dies anywhere in
//! between leaves either no identity or an attempt that its successor counts as a suspected orphan.

use jiff::Timestamp;

use super::block::{blocked, resting, under_way};
use super::observed::{Fate, Observed, OpenAttempt, Wish};
use super::status::{settle, settle_attempt};
use super::step::{Decision, Step};
use super::token::order;
use crate::api::{Reason, Verdict};

pub(super) fn decide(o: &Observed, wish: &Wish, now: Timestamp) -> Decision {
    let open = o.open_attempt();
    // With a custom id a repeat returns the identity that the open attempt may have made: nothing to settle.
    let to_repeat = open.filter(|open| o.custom_ids() && open.fate == Fate::InDoubt);
    if let Some(open) = open.filter(|_| to_repeat.is_none()) {
        return match open.fate {
            Fate::Announced => create(o, wish, open),
            Fate::UnderWay => under_way(now),
            Fate::Refused | Fate::InDoubt => {
                resting(o, now).unwrap_or_else(|| settle_attempt(o, open, &verdict_on(o, open, now), now))
            }
        };
    }
    if let Some(id) = &wish.pinned_id {
        return settle(o, &adoption_not_allowed(id), None, now);
    }
    match (blocked(o, now), to_repeat) {
        (Some(block), _) => settle(o, &block.verdict(), block.until, now),
        (None, Some(_)) if !o.is_guarded() => Decision::Do(Box::new(Step::Protect)),
        (None, Some(open)) => create(o, wish, open),
        (None, None) => Decision::Do(Box::new(Step::Announce {
            attempt: o.memory.next_attempt,
        })),
    }
}

fn create(o: &Observed, wish: &Wish, open: OpenAttempt) -> Decision {
    // What was revoked before there is any token is met by the first one.
    let revoke = o.user.requests.revoke.as_ref();
    let token = wish
        .token
        .as_ref()
        .map(|token| order(o, wish, token, o.endpoint().unwrap_or_default(), revoke));
    Decision::Do(Box::new(Step::CreateIdentity {
        attempt: open.uuid,
        token,
    }))
}

fn verdict_on(o: &Observed, open: OpenAttempt, now: Timestamp) -> Verdict {
    match blocked(o, now) {
        Some(block) => block.verdict(),
        None if open.fate == Fate::InDoubt => Verdict::new(
            Reason::Progressing,
            "an attempt to create the identity ended without a known result, so ACS may hold an identity that nobody \
             uses: it is counted in status.identity.suspectedOrphans, and another one is created",
        ),
        None => Verdict::new(Reason::Progressing, "the identity is being created"),
    }
}

fn adoption_not_allowed(id: &str) -> Verdict {
    Verdict::new(
        Reason::AdoptionNotAllowed,
        format!(
            "spec.identity.id asks to adopt {id}, which a shared connection never allows: whoever may name an id there \
             could act as anyone. Delete this object, and create one without spec.identity.id"
        ),
    )
}
