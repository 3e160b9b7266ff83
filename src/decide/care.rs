//! The Secret as it is against the Secret as it should be. Only a change of its version or of the wished layout makes it
//! be read.

use jiff::{SignedDuration, Timestamp};

use super::block::{Block, resting};
use super::memory::Finding;
use super::observed::{Observed, OwnedSecret, SecretView, Wish};
use super::record::TokenRecord;
use super::renewal::{is_still, later};
use super::secret::{DesiredSecret, layout};
use super::step::{Decision, IssueCause, Step};
use crate::api::Reason;

/// What the Secret needs although its token is not due.
pub(super) enum Care {
    /// Nothing.
    None,
    /// This.
    Step(Decision),
    /// A new token.
    NewToken,
}

/// What our Secret needs.
pub(super) fn of(o: &Observed, wish: &Wish, endpoint: &str, now: Timestamp) -> Care {
    let (secret, owned) = match &o.secret {
        SecretView::Ours(secret) => (secret, true),
        SecretView::Unowned(secret) => (secret, false),
        _ => return Care::None,
    };
    let Some(record) = secret.record.as_deref() else {
        return Care::NewToken;
    };
    let wanted = layout(wish, endpoint);
    let as_recorded = o.user.status.secret.as_ref().is_some_and(|recorded| {
        recorded.uid.as_ref() == Some(&secret.version.uid)
            && recorded.resource_version.as_ref() == Some(&secret.version.resource_version)
    });
    if owned && as_recorded && record.request.layout == wanted {
        return Care::None;
    }
    look(o, wish, secret, record, endpoint, now)
}

/// A Secret of another name that holds the token that is wanted: what a rename left.
pub(super) fn of_renamed(
    o: &Observed,
    wish: &Wish,
    fits: impl Fn(&TokenRecord) -> bool,
    endpoint: &str,
    now: Timestamp,
) -> Care {
    let old = o
        .other_secrets
        .iter()
        .find_map(|secret| Some((secret, secret.record.as_deref().filter(|r| fits(r))?)));
    match old {
        Some((secret, record)) => look(o, wish, secret, record, endpoint, now),
        None => Care::NewToken,
    }
}

fn look(o: &Observed, wish: &Wish, secret: &OwnedSecret, record: &TokenRecord, endpoint: &str, now: Timestamp) -> Care {
    let wanted = layout(wish, endpoint);
    let known = o
        .memory
        .inspected
        .as_ref()
        .filter(|seen| seen.version == secret.version && seen.layout == wanted);
    let finding = known.map(|seen| seen.finding);
    match finding {
        Some(Finding::Intact) if secret.version.name == wish.secret.name => Care::None,
        Some(Finding::TokenLost) => Care::NewToken,
        _ => Care::Step(resting(o, now).unwrap_or_else(|| {
            let mut record = record.clone();
            record.request.layout = wanted;
            Decision::Do(Box::new(Step::InspectSecret {
                version: secret.version.clone(),
                desired: Box::new(DesiredSecret::new(&o.user, wish, &record, endpoint)),
            }))
        })),
    }
}

/// A token that is lost is replaced at most once in this time, whoever keeps damaging or deleting its Secret.
const BETWEEN_REPAIRS: SignedDuration = SignedDuration::from_secs(30);

/// What keeps a lost token from being replaced again so soon.
pub(super) fn just_repaired(o: &Observed, cause: IssueCause, now: Timestamp) -> Option<Block> {
    let is_due = |repaired: &Timestamp| cause == IssueCause::SecretLost && is_still(*repaired, BETWEEN_REPAIRS, now);
    let until = later(o.memory.repaired.filter(is_due)?, BETWEEN_REPAIRS);
    Some(Block {
        reason: Reason::Progressing,
        why: "its Secret was damaged or deleted again within 30 seconds of being put right, and is put right again after that \
              time: look for what else writes to it"
            .into(),
        until: Some(until),
    })
}
