//! What older tokens still permit after scopes were taken away: ACS can revoke tokens, but not change them.

use super::observed::Observed;
use super::record::{TokenRecord, joined};
use crate::api::{ConditionType, Reason, Scope, TokenStatus, names};

/// What the tokens before this one keep, until when, and how to end that. Known as long as status tells of the token before.
pub fn older_tokens_keep(o: &Observed, record: &TokenRecord) -> Option<String> {
    let status = &o.user.status;
    let before = status.token.as_ref().filter(|token| !is_of(token, record))?;
    let revoked_since = before.revocation_time > before.issue_time;
    let expires = before.expiration_time.as_ref()?.0;
    let is_lost = |scope: &&Scope| !record.scopes.contains(scope);
    let lost: Vec<Scope> = before.scopes.iter().filter(is_lost).cloned().collect();
    if revoked_since || lost.is_empty() || expires <= record.issued {
        return None;
    }
    Some(format!(
        "Older tokens keep {} until they expire, the newest of them at {expires}: annotate this object with {}=<any text> to \
         revoke them now",
        joined(&lost, ", "),
        names::annotation::REVOKE_REQUESTED_AT,
    ))
}

/// The message of a valid token, with what older tokens keep for as long as this is the token: the status that was before is
/// told of nowhere else, so what was said then is said again.
pub(super) fn with_older_tokens(o: &Observed, record: &TokenRecord, message: &str) -> String {
    if let Some(words) = older_tokens_keep(o, record) {
        return format!("{message}. {words}");
    }
    let status = &o.user.status;
    let said = ConditionType::Ready
        .find(&status.conditions)
        .filter(|said| said.reason == Reason::TokenIssued.as_str() && said.message.starts_with(&format!("{message}.")))
        .filter(|_| status.token.as_ref().is_some_and(|token| is_of(token, record)));
    said.map_or_else(|| message.to_owned(), |said| said.message.clone())
}

/// Whether status speaks of the same token as its record.
fn is_of(token: &TokenStatus, record: &TokenRecord) -> bool {
    let times = [
        (&token.issue_time, record.issued),
        (&token.expiration_time, record.expires),
    ];
    token.scopes == record.scopes
        && times
            .iter()
            .all(|(told, recorded)| told.as_ref().is_some_and(|told| told.0 == *recorded))
}
