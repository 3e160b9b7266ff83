//! Whose identity it is: the recorded one is guarded before anything else is done with the object, suspended or not.

use jiff::{SignedDuration, Timestamp};

use super::block::resting;
use super::observed::Observed;
use super::renewal::later;
use super::status::{claim, settle, settle_late};
use super::step::{Decision, Step};
use crate::api::{Reason, Verdict};

/// How often an object whose identity belongs to another one looks whether it still does.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// What the recorded identity needs first; `None`: nothing.
pub(super) fn decide(o: &Observed, id: &str, now: Timestamp) -> Option<Decision> {
    if !o.is_guarded() {
        return Some(resting(o, now).unwrap_or_else(|| Decision::Do(Box::new(Step::Protect))));
    }
    if o.is_copy() {
        return Some(resting(o, now).unwrap_or_else(|| claim(o, now)));
    }
    // Two processes may have created at a time, when one was cut off from its lease: the other one's attempt is settled
    // like any other.
    if let Some(open) = o.open_attempt() {
        return Some(resting(o, now).unwrap_or_else(|| settle_late(o, open)));
    }
    let rival = o.rival.as_ref()?;
    Some(settle(o, &in_use(id, rival), Some(look_again(now)), now))
}

/// The verdict on an object whose identity another one holds with the better claim.
pub(super) fn in_use(id: &str, rival: &str) -> Verdict {
    let message = format!(
        "the identity {id} belongs to {rival}, whose claim is older, and an identity belongs to one object. Delete this object, \
         which leaves the identity as it is, or the other one"
    );
    Verdict::new(Reason::IdentityInUse, message)
}

/// Whoever changes the other one has this one looked at; this is for when that gets lost.
pub(super) fn look_again(now: Timestamp) -> Timestamp {
    later(now, LOOK_AGAIN)
}
