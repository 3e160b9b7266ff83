//! From no identity to a recorded one: announce the attempt, create, record. A process that dies anywhere in
//! between leaves either no identity or an attempt that its successor counts as a suspected orphan.

use jiff::Timestamp;

use super::adopt;
use super::block::{Need, blocked, resting};
use super::memory::Fate;
use super::observed::{Observed, OpenAttempt, Wish};
use super::status::{settle, settle_attempt};
use super::step::{Decision, Step};
use super::token::order;
use crate::api::{Reason, Verdict};

pub(super) fn decide(o: &Observed, wish: &Wish, now: Timestamp) -> Decision {
    if let Some(open) = o.open_attempt() {
        match open.fate {
            Fate::Announced if let Some(block) = blocked(o, Need::Call, now) => {
                return settle(o, &block.verdict(), block.until, now);
            }
            // It is sent as it was announced, or not at all: the connection may have another API version by now.
            Fate::Announced if open.custom_id == o.custom_ids() => return create(o, wish, open),
            // The next attempt returns what this one may have made: nothing to settle.
            _ if o.can_be_repeated(open) => {}
            // Whether it will, only a connection that can be used tells; without it none is sent either.
            _ if open.custom_id && open.is_in_doubt() && !o.connection.is_ready() => {}
            _ => {
                return resting(o, now).unwrap_or_else(|| settle_attempt(o, open, &verdict_on(o, open, now), now));
            }
        }
    }
    if let Some(id) = &wish.pinned_id {
        return adopt::decide(o, id, now);
    }
    match blocked(o, Need::Call, now) {
        Some(block) => settle(o, &block.verdict(), block.until, now),
        None => Decision::Do(Box::new(Step::Announce(o.next_attempt()))),
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
    match blocked(o, Need::Call, now) {
        Some(block) => block.verdict(),
        None if open.is_in_doubt() => Verdict::new(
            Reason::Progressing,
            "an attempt to create the identity ended without a known result, so ACS may hold an identity that nobody \
             uses: it is counted in status.identity.suspectedOrphans, and another one is created",
        ),
        None => Verdict::new(Reason::Progressing, "the identity is being created"),
    }
}
