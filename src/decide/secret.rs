//! The Secret as it should be, but for the token itself, which decisions never see.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::observed::{SecretVersion, User, Wish};
use super::record::TokenRecord;
use crate::api::names::{self, secret_annotation};

/// The content of a token Secret without the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredSecret {
    /// Its name; it lies in the namespace of the user.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// All annotations, the record of the token among them.
    pub annotations: BTreeMap<String, String>,
    /// All values but the token.
    pub values: BTreeMap<String, String>,
    /// The key under which the token goes.
    pub token_key: String,
    /// The record of the token that goes in.
    pub record: TokenRecord,
}

/// A fingerprint of everything in a Secret that follows from the object and not from its token: when it changes, the
/// Secret is written anew.
pub fn layout(wish: &Wish, endpoint: &str) -> String {
    let wished = &wish.secret;
    let parts = serde_json::json!([wished.keys, wished.labels, wished.annotations, endpoint]);
    short_digest(&parts.to_string())
}

/// Twelve hexadecimal digits that tell two texts apart.
pub(super) fn short_digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..6]
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Which Secret a write may meet; any other makes it fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// There is none of that name.
    Absent,
    /// Exactly this version.
    Version(SecretVersion),
}

impl DesiredSecret {
    /// The Secret that holds the token of `record` for `user`.
    pub fn new(user: &User, wish: &Wish, record: &TokenRecord, endpoint: &str) -> Self {
        let wished = &wish.secret;
        let mut labels = wished.labels.clone();
        labels.insert(names::MANAGED_BY_LABEL.into(), names::MANAGED_BY_VALUE.into());
        let mut annotations = wished.annotations.clone();
        annotations.extend(record.to_annotations());
        annotations.insert(
            secret_annotation::USER.into(),
            format!("{}/{}", user.namespace, user.name),
        );
        let keys = &wished.keys;
        let values = [
            (&keys.user_id, record.identity.clone()),
            (&keys.expires_on, record.expires.to_string()),
            (&keys.endpoint, endpoint.to_owned()),
        ];
        let values = values
            .into_iter()
            .filter_map(|(key, value)| Some((key.clone()?, value)))
            .collect();
        let token_key = keys.token.clone().unwrap_or_else(|| "token".into());
        Self {
            name: wished.name.clone(),
            labels,
            annotations,
            values,
            token_key,
            record: record.clone(),
        }
    }
}
