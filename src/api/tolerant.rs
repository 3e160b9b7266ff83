//! Reading of what the API server lets pass, or once did, although it is not what the schema means.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A time, or nothing when the text is none: `format: date-time` also lets `2026-11-23T08:00:00x5Z` pass, and an object
/// that cannot be read would hide all others in a list.
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()).map(Time))
}

/// The conditions that can be read; the others are left out and written anew.
pub(super) fn conditions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Condition>, D::Error> {
    let values = Vec::<Value>::deserialize(deserializer)?;
    Ok(values
        .into_iter()
        .filter_map(|value| serde_json::from_value(value).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use crate::api::CommunicationUserStatus;

    #[test]
    fn a_status_with_times_that_are_none_is_read_without_them() {
        let status: CommunicationUserStatus = serde_json::from_str(
            r#"{
                "token": {"issueTime": "2026-11-23T08:00:00+99:99", "expirationTime": "2026-11-23T08:00:00Z"},
                "conditions": [
                    {"type": "Ready", "status": "True", "reason": "TokenIssued", "message": "", "lastTransitionTime": "2026-11-23T08:00:00x5Z"},
                    {"type": "Stalled", "status": "True", "reason": "IdentityGone", "message": "", "lastTransitionTime": "2026-11-23T08:00:00Z"}
                ]
            }"#,
        )
        .unwrap();
        let token = status.token.unwrap();
        assert_eq!((token.issue_time, token.expiration_time.is_some()), (None, true));
        assert_eq!(
            status
                .conditions
                .iter()
                .map(|condition| condition.type_.as_str())
                .collect::<Vec<_>>(),
            ["Stalled"]
        );
    }
}
