//! From `spec.identity.id` to an identity that was there before: it is recorded as adopted, and used like any other.

use jiff::Timestamp;

use super::block::{Need, blocked, resting};
use super::custody::{in_use, look_again};
use super::observed::Observed;
use super::status::{adopted, settle};
use super::step::{Decision, Step};
use crate::api::{Reason, Verdict};

pub(super) fn decide(o: &Observed, id: &str, now: Timestamp) -> Decision {
    if o.connection.is_ready() && !o.connection.allows_adoption {
        return settle(o, &not_allowed(o, id), None, now);
    }
    if let Some(rival) = &o.rival {
        return settle(o, &in_use(id, rival), Some(look_again(now)), now);
    }
    if let Some(block) = blocked(o, Need::Call, now) {
        return settle(o, &block.verdict(), block.until, now);
    }
    resting(o, now).unwrap_or_else(|| {
        if o.is_guarded() {
            adopted(o, id, now)
        } else {
            Decision::Do(Box::new(Step::Protect))
        }
    })
}

fn not_allowed(o: &Observed, id: &str) -> Verdict {
    Verdict::new(
        Reason::AdoptionNotAllowed,
        format!(
            "spec.identity.id asks to adopt {id}, which {} does not allow: whoever may name an id there could act as anyone. \
             Use a CommunicationConnection of this namespace with spec.allowAdoption: true, or delete this object and create \
             one without spec.identity.id",
            o.connection.label
        ),
    )
}
