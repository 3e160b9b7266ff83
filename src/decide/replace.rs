//! A new identity in place of one that is named by a request: the old one is deleted where it is ours to delete, then its
//! id is cleared, and a normal create follows.

use jiff::Timestamp;

use super::block::{Need, blocked, resting};
use super::deletion::is_kept;
use super::observed::{Observed, Wish};
use super::revocation::{RevocationCause, stage};
use super::revoke::announce;
use super::status::{clear, settle};
use super::step::{Decision, Step};
use crate::api::{Reason, Verdict, names::annotation};

/// The next step of a replacement; `None`: none is asked for.
pub(super) fn decide(o: &Observed, wish: &Wish, id: &str, now: Timestamp) -> Option<Decision> {
    if !o.is_to_be_replaced() {
        return None;
    }
    // A new identity would not be the pinned one, and the pin can't be taken back: the old one would be lost for nothing.
    if wish.pinned_id.is_some() {
        let message = format!(
            "{} asks for a new identity, but spec.identity.id pins this one for the life of the object: remove the \
             annotation, or create another CommunicationUser without spec.identity.id",
            annotation::REPLACE_IDENTITY
        );
        return Some(settle(o, &Verdict::new(Reason::InvalidRequest, message), None, now));
    }
    let gone = o.is_deleted() || o.is_known_gone();
    Some(if gone || is_kept(o, id) {
        resting(o, now).unwrap_or_else(|| clear(o, now))
    } else if let Some(block) = blocked(o, Need::Delete, now) {
        let message = format!(
            "the identity {id} is to be replaced but is still in ACS: {}. Annotate this object with {}={id} as well to replace \
             it and leave it there",
            block.why,
            annotation::ABANDON,
        );
        settle(o, &Verdict::new(block.reason, message), block.until, now)
    } else if stage(o, &RevocationCause::Replaced).is_some() {
        Decision::Do(Box::new(Step::DeleteIdentity { id: id.to_owned() }))
    } else {
        // With the identity go its tokens, even if the request is withdrawn before that is recorded.
        let verdict = Verdict::new(Reason::Progressing, "the identity is being replaced as requested");
        announce(o, RevocationCause::Replaced, &verdict, now)
    })
}

/// The request was withdrawn after the identity had been deleted; `None`: it is there.
pub(super) fn withdrawn(o: &Observed, id: &str, now: Timestamp) -> Option<Decision> {
    if !o.memory.identity_gone {
        return None;
    }
    let message = format!(
        "the identity {id} was deleted to be replaced, and then {key} was taken off. Annotate this object with {key}={id} to \
         have the new one, with another id; else delete this object",
        key = annotation::REPLACE_IDENTITY,
    );
    Some(settle(o, &Verdict::new(Reason::IdentityGone, message), None, now))
}
