//! The Secret as it is against the Secret as it should be. Only a change of its version or of the wished layout makes it
//! be read.

use jiff::{SignedDuration, Timestamp};

use super::block::resting;
use super::observed::{Finding, Observed, OwnedSecret, SecretView, Wish};
use super::record::TokenRecord;
use super::renewal::later;
use super::secret::{DesiredSecret, Precondition, layout};
use super::step::{Decision, Step};

/// A damaged token is replaced at most once in this time, whoever keeps damaging it. One that was just issued for that is
/// written first.
const BETWEEN_REPAIRS: SignedDuration = SignedDuration::from_secs(30);

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
    let desired = || {
        let mut record = record.clone();
        record.request.layout.clone_from(&wanted);
        Box::new(DesiredSecret::new(&o.user, wish, &record, endpoint))
    };
    let known = o
        .memory
        .inspected
        .as_ref()
        .filter(|seen| seen.version == secret.version && seen.layout == wanted);
    let finding = known.map(|seen| seen.finding);
    match finding {
        Some(Finding::Intact) if secret.version.name == wish.secret.name => Care::None,
        Some(Finding::TokenLost) => match o
            .memory
            .repaired
            .map(|at| later(at, BETWEEN_REPAIRS))
            .filter(|at| now < *at && o.memory.fresh.is_none())
        {
            Some(at) => Care::Step(Decision::Settled { wake_at: Some(at) }),
            None => Care::NewToken,
        },
        _ => Care::Step(resting(o, now).unwrap_or_else(|| {
            let at_hand = o.memory.fresh.as_ref().filter(|fresh| fresh.sha256 == record.sha256);
            Decision::Do(Box::new(match (finding, at_hand) {
                (Some(Finding::Astray), Some(_)) => {
                    let precondition = precondition(o);
                    Step::WriteSecret {
                        desired: desired(),
                        precondition,
                    }
                }
                _ => Step::InspectSecret {
                    version: secret.version.clone(),
                    desired: desired(),
                },
            }))
        })),
    }
}

/// What the Secret of the wished name is now.
fn precondition(o: &Observed) -> Precondition {
    match &o.secret {
        SecretView::Ours(secret) | SecretView::Unowned(secret) => Precondition::Version(secret.version.clone()),
        _ => Precondition::Absent,
    }
}
