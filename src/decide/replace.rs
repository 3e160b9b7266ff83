//! A new identity in place of one that is named by a request: the old one is deleted where it is ours to delete, then its
//! id is cleared, and a normal create follows.

use jiff::Timestamp;

use super::block::{blocked, resting};
use super::deletion::is_kept;
use super::observed::Observed;
use super::status::{clear, settle};
use super::step::{Decision, Step};

/// The next step of a replacement; `None`: none is asked for.
pub(super) fn decide(o: &Observed, id: &str, now: Timestamp) -> Option<Decision> {
    if o.user.requests.replace.as_deref() != Some(id) {
        return None;
    }
    let gone = o.memory.identity_gone || o.is_known_gone();
    Some(if gone || is_kept(o, id) {
        resting(o, now).unwrap_or_else(|| clear(o, now))
    } else if let Some(block) = blocked(o, now) {
        settle(o, &block.verdict, block.until, now)
    } else {
        Decision::Do(Box::new(Step::DeleteIdentity { id: id.to_owned() }))
    })
}
