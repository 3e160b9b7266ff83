//! An identity without a token: no Secret, and what was handed out is revoked.

use jiff::Timestamp;

use super::block::resting;
use super::observed::{Observed, SecretView, Wish};
use super::revoke;
use super::status::{identity_created, settle};
use super::step::{Decision, Step};
use super::token::is_recorded;
use crate::api::{Reason, Verdict};

pub(super) fn decide(o: &Observed, wish: &Wish, id: &str, now: Timestamp) -> Decision {
    if let Some(version) = o.owned_secrets().next() {
        let delete = || Decision::Do(Box::new(Step::DeleteSecret(version.clone())));
        return resting(o, now).unwrap_or_else(|| recorded_first(o, now).unwrap_or_else(delete));
    }
    if o.secret == SecretView::NotSeen && is_recorded(o, &wish.secret.name) {
        let name = wish.secret.name.clone();
        return resting(o, now).unwrap_or_else(|| Decision::Do(Box::new(Step::LookAtSecret { name })));
    }
    revoke::decide(o, wish, id, now).unwrap_or_else(|| settle(o, &identity_created(), None, now))
}

/// With a Secret goes the record of its token, so status has to know of a token that is to be revoked.
fn recorded_first(o: &Observed, now: Timestamp) -> Option<Decision> {
    let told = o.user.status.token.as_ref().and_then(|token| token.issue_time.as_ref());
    o.token_record()
        .filter(|record| told.is_none_or(|issued| issued.0 != record.issued))?;
    let verdict = Verdict::new(
        Reason::Progressing,
        "no token is wanted any more: its Secret is deleted, then it is revoked",
    );
    Some(settle(o, &verdict, None, now))
}
