//! From API objects to what decisions see. Whatever the API server may hold is accepted here; what makes no sense becomes
//! an [`InvalidSpec`] with words for its author.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::observed::{
    InvalidSpec, OwnedSecret, Requests, SecretVersion, SecretView, SecretWish, TokenWish, User, Wish,
};
use super::record::TokenRecord;
use crate::api::names::{self, annotation, secret_annotation};
use crate::api::{CommunicationUser, CommunicationUserSpec, DurationError, TokenSpec};

/// `status.lastHandled…` holds at most this many characters, so longer requests are known by their beginning.
const REQUEST_CHARS: usize = 256;

impl User {
    /// The object, parsed. Never fails: an object that makes no sense can still be deleted.
    pub fn parse(object: &CommunicationUser) -> Self {
        let metadata = &object.metadata;
        let annotations = metadata.annotations.clone().unwrap_or_default();
        let name = metadata.name.clone().unwrap_or_default();
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            deleting: metadata.deletion_timestamp.is_some(),
            finalizers: metadata.finalizers.clone().unwrap_or_default(),
            attempt: annotations
                .get(annotation::CREATE_ATTEMPT)
                .and_then(|value| value.parse().ok()),
            requests: Requests::parse(&annotations),
            wish: Wish::parse(&name, &object.spec),
            status: object.status.clone().unwrap_or_default(),
            name,
        }
    }
}

impl Requests {
    fn parse(annotations: &BTreeMap<String, String>) -> Self {
        let get = |key: &str| {
            annotations
                .get(key)
                .map(|value| value.chars().take(REQUEST_CHARS).collect())
        };
        Self {
            renew: get(annotation::RENEW_REQUESTED_AT),
            revoke: get(annotation::REVOKE_REQUESTED_AT),
            replace: get(annotation::REPLACE_IDENTITY),
            abandon: get(annotation::ABANDON),
        }
    }
}

impl Wish {
    fn parse(name: &str, spec: &CommunicationUserSpec) -> Result<Self, InvalidSpec> {
        let secret = spec.secret.clone().unwrap_or_default();
        let identity = spec.identity.clone().unwrap_or_default();
        let deletion_policy = identity.deletion_policy;
        let invalid = |why| InvalidSpec {
            why,
            deletion_policy: deletion_policy.clone(),
        };
        let token = spec.token.as_ref().map(TokenWish::parse).transpose();
        Ok(Self {
            token: token.map_err(invalid)?,
            secret: SecretWish {
                name: secret.name.unwrap_or_else(|| name.to_owned()),
                keys: secret.keys.unwrap_or_default(),
                labels: secret.labels,
                annotations: secret.annotations,
            },
            pinned_id: identity.id,
            deletion_policy,
            suspend: spec.suspend,
        })
    }
}

impl TokenWish {
    fn parse(spec: &TokenSpec) -> Result<Self, String> {
        let mut scopes = spec.scopes.clone();
        scopes.sort();
        scopes.dedup();
        let invalid = |field: &'static str| move |e: DurationError| format!("spec.token.{field}: {e}");
        let signed = |duration: Duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        Ok(Self {
            scopes,
            lifetime: signed(spec.lifetime().map_err(invalid("lifetime"))?),
            renew_before: spec.renew_before().map_err(invalid("renewBefore"))?.map(signed),
        })
    }
}

impl SecretVersion {
    /// Which version of which Secret this is.
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
        }
    }
}

impl OwnedSecret {
    /// The Secret with this metadata.
    pub fn of(metadata: &ObjectMeta) -> Self {
        let record = metadata.annotations.as_ref().and_then(TokenRecord::from_annotations);
        Self {
            version: SecretVersion::of(metadata),
            record: record.map(Box::new),
        }
    }
}

impl SecretView {
    /// How the Secret with this metadata looks to `user`.
    pub fn of(metadata: &ObjectMeta, user: &User) -> Self {
        match controller_uid(metadata) {
            Some(uid) if uid == user.uid => Self::Ours(OwnedSecret::of(metadata)),
            None if was_made_for(metadata, user) => Self::Unowned(OwnedSecret::of(metadata)),
            _ => Self::Foreign,
        }
    }
}

/// Whether a Secret carries our label and the name of this object.
fn was_made_for(metadata: &ObjectMeta, user: &User) -> bool {
    let label = metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(names::MANAGED_BY_LABEL));
    let named = metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(secret_annotation::USER));
    label.is_some_and(|label| label == names::MANAGED_BY_VALUE)
        && named.is_some_and(|named| *named == format!("{}/{}", user.namespace, user.name))
}

/// The object that controls this one.
pub fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    let owners = metadata.owner_references.as_ref()?;
    owners.iter().find(|owner| owner.controller == Some(true))
}

/// The uid of the object that controls this one.
pub fn controller_uid(metadata: &ObjectMeta) -> Option<&str> {
    controller(metadata).map(|owner| owner.uid.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DeletionPolicy;
    use serde_json::json;

    fn parsed(spec: &serde_json::Value) -> User {
        let object = json!({
            "apiVersion": "acs-operator.dev/v1beta1", "kind": "CommunicationUser",
            "metadata": {"name": "alice", "namespace": "team", "uid": "u-1", "generation": 3,
                "annotations": {"acs-operator.dev/renew-requested-at": "x".repeat(300)}},
            "spec": spec,
        });
        User::parse(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn the_smallest_manifest_has_all_defaults() {
        let user = parsed(&json!({"token": {"scopes": ["voip"]}}));
        let wish = user.wish.unwrap();
        assert_eq!(wish.token.unwrap().lifetime, SignedDuration::from_hours(24));
        assert_eq!(wish.secret.name, "alice");
        assert_eq!(wish.secret.keys.expires_on.as_deref(), Some("expiresOn"));
    }

    #[test]
    fn scopes_are_a_set() {
        let user = parsed(&json!({"token": {"scopes": ["voip", "chat", "voip"]}}));
        let scopes = user.wish.unwrap().token.unwrap().scopes;
        assert_eq!(super::super::record::joined(&scopes, ","), "chat,voip");
    }

    #[test]
    fn a_duration_that_no_schema_stopped_is_reported_with_its_field() {
        let user = parsed(&json!({"token": {"scopes": ["voip"], "lifetime": "soon"}}));
        let words = user.wish.unwrap_err().why;
        assert!(
            words.starts_with("spec.token.lifetime: ") && words.contains("soon"),
            "{words}"
        );
    }

    #[test]
    fn what_is_to_become_of_the_identity_is_read_from_a_spec_that_makes_no_sense_too() {
        let token = json!({"scopes": ["voip"], "lifetime": "soon"});
        let user = parsed(&json!({"token": token, "identity": {"deletionPolicy": "Retain"}}));
        assert!(user.wish.is_err());
        assert_eq!(user.deletion_policy(), Some(&DeletionPolicy::Retain));
    }

    #[test]
    fn a_request_is_known_by_what_status_can_hold_of_it() {
        let user = parsed(&json!({}));
        assert_eq!(user.requests.renew.unwrap().len(), REQUEST_CHARS);
    }
}
