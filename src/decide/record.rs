//! The record of a token: the annotations of its Secret, written in the same call as the token itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::renewal::TokenLife;
use super::secret::short_digest;
use super::step::TokenOrder;
use crate::api::Scope;
use crate::api::names::secret_annotation;

/// What is known of the token in a Secret without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// The identity whose token it is.
    pub identity: String,
    /// SHA-256 of the token, in hexadecimal.
    pub sha256: String,
    /// When it was asked for, in whole seconds.
    pub issued: Timestamp,
    /// When it ends, rounded down to whole seconds.
    pub expires: Timestamp,
    /// What it permits, sorted.
    pub scopes: Vec<Scope>,
    /// Fingerprint of the key or principal that made it.
    pub credential: String,
    /// What it was issued for.
    pub request: TokenRequest,
}

/// What a token was issued for, so that a change of it, or a repeat after a crash, is recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// The lifetime that was asked for, in minutes. The service may give less.
    pub minutes: i64,
    /// Fingerprint of how the Secret is laid out besides the token: keys, labels, annotations, endpoint.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub layout: String,
    /// The renewal request that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew: Option<String>,
    /// The revocation request that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke: Option<String>,
    /// The last revocation before it, as status told of it. A token that does not know of the last one is not relied on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
}

/// The annotation of the request. It also carries a checksum of the whole record, so that an expiry or a fingerprint that
/// someone changed is not taken for ours: nobody could tell any more what it was.
#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    request: TokenRequest,
    sum: String,
}

impl TokenRecord {
    /// The life of the token.
    pub fn life(&self) -> TokenLife {
        TokenLife {
            issued: self.issued,
            expires: self.expires,
        }
    }

    /// A record of no token, to ask with whether a Secret would be accepted.
    pub fn placeholder(identity: &str, order: &TokenOrder, now: Timestamp) -> Self {
        Self {
            identity: identity.to_owned(),
            sha256: "0".repeat(64),
            issued: now,
            expires: now,
            scopes: order.scopes.clone(),
            credential: String::from("none"),
            request: order.request.clone(),
        }
    }

    /// The annotations that carry this record.
    pub fn to_annotations(&self) -> BTreeMap<String, String> {
        let sealed = Sealed {
            request: self.request.clone(),
            sum: self.sum(),
        };
        let request = serde_json::to_string(&sealed).unwrap_or_default();
        let pairs = [
            (secret_annotation::IDENTITY, self.identity.clone()),
            (secret_annotation::TOKEN_SHA256, self.sha256.clone()),
            (secret_annotation::ISSUE_TIME, self.issued.to_string()),
            (secret_annotation::EXPIRATION_TIME, self.expires.to_string()),
            (secret_annotation::SCOPES, joined(&self.scopes, ",")),
            (secret_annotation::CREDENTIAL, self.credential.clone()),
            (secret_annotation::REQUEST, request),
        ];
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// The record that annotations carry; `None` when any part is missing or was changed.
    pub fn from_annotations(annotations: &BTreeMap<String, String>) -> Option<Self> {
        let (record, sum) = Self::with_sum(annotations)?;
        (record.sum() == sum).then_some(record)
    }

    /// A record and the checksum beside it, which may be that of another.
    pub(crate) fn with_sum(annotations: &BTreeMap<String, String>) -> Option<(Self, String)> {
        let get = |key: &str| annotations.get(key).filter(|value| !value.is_empty());
        let Sealed { request, sum } = serde_json::from_str(get(secret_annotation::REQUEST)?).ok()?;
        let record = Self {
            identity: get(secret_annotation::IDENTITY)?.clone(),
            sha256: get(secret_annotation::TOKEN_SHA256)?.clone(),
            issued: whole_seconds(get(secret_annotation::ISSUE_TIME)?)?,
            expires: whole_seconds(get(secret_annotation::EXPIRATION_TIME)?)?,
            scopes: get(secret_annotation::SCOPES)?
                .split(',')
                .map(|name| Scope::from(name.to_owned()))
                .collect(),
            credential: get(secret_annotation::CREDENTIAL)?.clone(),
            request,
        };
        Some((record, sum))
    }

    /// A checksum of every part.
    fn sum(&self) -> String {
        let (issued, expires) = (self.issued.to_string(), self.expires.to_string());
        let parts = serde_json::json!([
            self.identity,
            self.sha256,
            issued,
            expires,
            self.scopes,
            self.credential,
            self.request
        ]);
        short_digest(&parts.to_string())
    }
}

/// Scopes as one text.
pub(super) fn joined(scopes: &[Scope], separator: &str) -> String {
    scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(separator)
}

/// We write whole seconds, and status holds no others: anything else is not ours.
fn whole_seconds(text: &str) -> Option<Timestamp> {
    let time: Timestamp = text.parse().ok()?;
    (time.subsec_nanosecond() == 0).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(renew: Option<String>, seconds: i64) -> TokenRecord {
        TokenRecord {
            identity: "8:acs:a_b".into(),
            sha256: "00ff".into(),
            issued: Timestamp::from_second(seconds).unwrap(),
            expires: Timestamp::from_second(seconds + 3600).unwrap(),
            scopes: vec![Scope::Chat, Scope::Voip],
            credential: "abcd".into(),
            request: TokenRequest {
                minutes: 60,
                layout: "0a".into(),
                renew,
                revoke: None,
                after: Timestamp::from_second(seconds - 60).ok(),
            },
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(renew in proptest::option::of(".*"), seconds in 0_i64..4_000_000_000) {
            let record = record(renew, seconds);
            prop_assert_eq!(TokenRecord::from_annotations(&record.to_annotations()), Some(record));
        }

        #[test]
        fn a_change_to_any_annotation_makes_the_record_void(victim in 0_usize..7, garbage in ".*", at in 0_usize..30) {
            let mut annotations = record(None, 1_800_000_000).to_annotations();
            let value = annotations.values_mut().nth(victim).unwrap();
            let (kept, _) = value.split_at(at.min(value.len()));
            let changed = format!("{kept}{garbage}");
            prop_assume!(changed != *value);
            *value = changed;
            let read = TokenRecord::from_annotations(&annotations);
            prop_assert!(read.is_none_or(|read| read == record(None, 1_800_000_000)));
        }
    }

    #[test]
    fn a_missing_annotation_makes_the_record_void() {
        let whole = record(None, 1_800_000_000).to_annotations();
        for key in whole.keys() {
            let mut annotations = whole.clone();
            annotations.remove(key);
            assert_eq!(TokenRecord::from_annotations(&annotations), None, "without {key}");
        }
    }

    #[test]
    fn a_time_that_status_could_not_hold_makes_the_record_void() {
        let mut annotations = record(None, 1_800_000_000).to_annotations();
        annotations.insert(
            secret_annotation::EXPIRATION_TIME.into(),
            "2027-01-15T08:00:00.5Z".into(),
        );
        assert_eq!(TokenRecord::from_annotations(&annotations), None);
    }

    #[test]
    fn times_are_written_in_whole_seconds_utc() {
        let annotations = record(None, 1_800_000_000).to_annotations();
        assert_eq!(annotations[secret_annotation::ISSUE_TIME], "2027-01-15T08:00:00Z");
    }
}
