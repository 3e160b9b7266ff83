//! Compares a Secret with what it should be.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use secrecy::{ExposeSecret, SecretString};

use super::service::sha256;
use crate::decide::{DesiredSecret, Finding, controller_uid};

/// What is found, and the token if it is the one of the record.
pub(super) fn compare(secret: &Secret, desired: &DesiredSecret) -> (Finding, Option<SecretString>) {
    let Some(token) = token_of_record(secret, desired) else {
        return (Finding::TokenLost, None);
    };
    let data = secret.data.as_ref();
    let holds = |key: &String, value: &[u8]| data.is_some_and(|data| data.get(key).is_some_and(|held| held.0 == value));
    let intact = holds(&desired.token_key, token.expose_secret().as_bytes())
        && desired.values.iter().all(|(key, value)| holds(key, value.as_bytes()))
        && contains(secret.metadata.labels.as_ref(), &desired.labels)
        && contains(secret.metadata.annotations.as_ref(), &desired.annotations)
        && controller_uid(&secret.metadata).is_some();
    (if intact { Finding::Intact } else { Finding::Astray }, Some(token))
}

/// The token may lie under a key of an earlier layout; its fingerprint tells it.
fn token_of_record(secret: &Secret, desired: &DesiredSecret) -> Option<SecretString> {
    let values = secret.data.as_ref()?.values();
    let mut texts = values.filter_map(|ByteString(bytes)| std::str::from_utf8(bytes).ok());
    let token = texts.find(|text| sha256(text) == desired.record.sha256)?;
    Some(SecretString::from(token))
}

/// Whether all of `wanted` is there; what others add is theirs.
fn contains(held: Option<&BTreeMap<String, String>>, wanted: &BTreeMap<String, String>) -> bool {
    wanted
        .iter()
        .all(|(key, value)| held.is_some_and(|held| held.get(key) == Some(value)))
}
