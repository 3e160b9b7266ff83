//! What a Secret holds: writing it out, and comparing it with what it should be.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::service::sha256;
use crate::api::names;
use crate::decide::{DesiredSecret, Finding, User, controller_uid};

/// The whole Secret, to be applied.
pub(crate) fn manifest(user: &User, desired: &DesiredSecret, token: &SecretString) -> Value {
    let encode = |value: &str| json!(ByteString(value.as_bytes().to_vec()));
    let mut data: Map<String, Value> = desired
        .values
        .iter()
        .map(|(key, value)| (key.clone(), encode(value)))
        .collect();
    data.insert(desired.token_key.clone(), encode(token.expose_secret()));
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": desired.name,
            "namespace": user.namespace,
            "labels": desired.labels,
            "annotations": desired.annotations,
            "ownerReferences": [{
                "apiVersion": format!("{}/{}", names::GROUP, names::VERSION),
                "kind": "CommunicationUser",
                "name": user.name,
                "uid": user.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "data": data,
    })
}

/// What is found, and the token if it is the one of the record.
pub(crate) fn compare(secret: &Secret, desired: &DesiredSecret) -> (Finding, Option<SecretString>) {
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::from_value;

    use super::*;
    use crate::api::{CommunicationUser, Scope};
    use crate::decide::{OwnedSecret, SecretView, TokenRecord, TokenRequest};

    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln";
    const ENDPOINT: &str = "https://contoso.communication.azure.com";

    fn user(secret: &Value) -> User {
        let object = json!({
            "apiVersion": "acs-operator.dev/v1beta1", "kind": "CommunicationUser",
            "metadata": {"name": "alice", "namespace": "team", "uid": "u-1"},
            "spec": {"token": {"scopes": ["voip", "chat"]}, "secret": secret},
        });
        User::parse(&from_value::<CommunicationUser>(object).unwrap())
    }

    fn record(renew: Option<String>, second: i64) -> TokenRecord {
        TokenRecord {
            identity: "8:acs:2dee53b4-368b-45b4-ab52-8493fb117652_0".into(),
            sha256: sha256(TOKEN),
            issued: Timestamp::from_second(second).unwrap(),
            expires: Timestamp::from_second(second + 86_400).unwrap(),
            scopes: vec![Scope::Chat, Scope::Voip],
            credential: "0011223344556677".into(),
            request: TokenRequest {
                minutes: 1440,
                layout: "00112233".into(),
                renew,
                revoke: Some("a laptop was lost".into()),
                after: Timestamp::from_second(second - 2).ok(),
            },
        }
    }

    fn desired(user: &User, record: &TokenRecord) -> DesiredSecret {
        DesiredSecret::new(user, user.wish.as_ref().unwrap(), record, ENDPOINT)
    }

    fn written(user: &User, desired: &DesiredSecret) -> Secret {
        from_value(manifest(user, desired, &SecretString::from(TOKEN))).unwrap()
    }

    /// A wished layout: keys that differ, labels and annotations that are not reserved.
    fn any_layout() -> impl Strategy<Value = Value> {
        let key = || proptest::option::of("[-._a-zA-Z0-9]{1,20}");
        let others = || proptest::collection::btree_map("(example.com/)?[a-z]{1,10}", "\\PC{0,20}", 0..4);
        (key(), key(), key(), others(), others(), any::<bool>()).prop_map(
            |(user_id, expires_on, endpoint, labels, annotations, own_keys)| {
                let keys: Map<String, Value> = [("userId", user_id), ("expiresOn", expires_on), ("endpoint", endpoint)]
                    .into_iter()
                    .enumerate()
                    .filter_map(|(n, (name, key))| Some((name.to_owned(), json!(format!("{}{n}", key?)))))
                    .chain([("token".to_owned(), json!("ACS.TOKEN_x"))])
                    .collect();
                let mut layout = json!({"labels": labels, "annotations": annotations});
                if own_keys {
                    layout["keys"] = keys.into();
                }
                layout
            },
        )
    }

    /// Another Secret of the same version, changed in one place.
    fn changes(secret: &Secret) -> Vec<(String, Secret)> {
        let mut changed = Vec::new();
        let mut change = |what: String, edit: &dyn Fn(&mut Secret)| {
            let mut other = secret.clone();
            edit(&mut other);
            changed.push((what, other));
        };
        for key in secret.data.iter().flat_map(BTreeMap::keys) {
            change(format!("value {key} removed"), &|s| {
                s.data.as_mut().unwrap().remove(key);
            });
            change(format!("value {key} changed"), &|s| {
                s.data.as_mut().unwrap().get_mut(key).unwrap().0.push(b'x');
            });
        }
        for key in secret.metadata.labels.iter().flat_map(BTreeMap::keys) {
            change(format!("label {key} removed"), &|s| {
                s.metadata.labels.as_mut().unwrap().remove(key);
            });
            change(format!("label {key} changed"), &|s| {
                s.metadata.labels.as_mut().unwrap().get_mut(key).unwrap().push('x');
            });
        }
        for key in secret.metadata.annotations.iter().flat_map(BTreeMap::keys) {
            change(format!("annotation {key} removed"), &|s| {
                s.metadata.annotations.as_mut().unwrap().remove(key);
            });
            change(format!("annotation {key} changed"), &|s| {
                s.metadata.annotations.as_mut().unwrap().get_mut(key).unwrap().push('x');
            });
        }
        change("no owner".into(), &|s| s.metadata.owner_references = None);
        change("no values".into(), &|s| s.data = None);
        changed
    }

    proptest! {
        #[test]
        fn what_is_written_is_judged_intact_and_known_again(
            layout in any_layout(), renew in proptest::option::of(".{0,30}"), second in 0_i64..4_000_000_000,
        ) {
            let user = user(&layout);
            let desired = desired(&user, &record(renew, second));
            let secret = written(&user, &desired);
            let (finding, token) = compare(&secret, &desired);
            prop_assert_eq!(finding, Finding::Intact);
            prop_assert!(token.is_some_and(|token| token.expose_secret() == TOKEN));
            let SecretView::Ours(seen) = SecretView::of(&secret.metadata, &user) else { panic!("not ours") };
            prop_assert_eq!(seen.record.as_deref(), Some(&desired.record));
        }

        #[test]
        fn a_change_to_anything_of_ours_is_noticed_and_the_token_kept_unless_it_is_what_changed(layout in any_layout()) {
            let user = user(&layout);
            let desired = desired(&user, &record(None, 1_800_000_000));
            for (what, changed) in changes(&written(&user, &desired)) {
                let (finding, token) = compare(&changed, &desired);
                let is_token = what == "no values" || what.starts_with(&format!("value {} ", desired.token_key));
                let expected = if is_token { Finding::TokenLost } else { Finding::Astray };
                prop_assert_eq!(finding, expected, "{}", what);
                prop_assert_eq!(token.is_none(), is_token, "{}", what);
            }
        }

        #[test]
        fn a_change_to_an_annotation_of_ours_never_changes_what_is_known_of_the_token(
            victim in 0_usize..7, other in ".{0,40}", whole in any::<bool>(), layout in any_layout(),
        ) {
            let user = user(&layout);
            let desired = desired(&user, &record(Some("now".into()), 1_800_000_000));
            let mut metadata = written(&user, &desired).metadata;
            let (key, value) = desired.record.to_annotations().into_iter().nth(victim).unwrap();
            let text = if whole { other } else { value.replacen(['1', '0', '2', 'a', 'o'], &other, 1) };
            metadata.annotations.as_mut().unwrap().insert(key, text);
            let known = OwnedSecret::of(&metadata).record;
            prop_assert!(known.is_none() || known.as_deref() == Some(&desired.record), "{:?}", known);
        }

        #[test]
        fn what_others_add_is_theirs(
            layout in any_layout(), key in "[a-z]{3}\\.example/[a-z]{1,9}", text in ".{0,20}", bytes in any::<Vec<u8>>(),
        ) {
            let user = user(&layout);
            let desired = desired(&user, &record(None, 1_800_000_000));
            let mut secret = written(&user, &desired);
            secret.data.as_mut().unwrap().insert(format!("other-{}", key.replace('/', "-")), ByteString(bytes));
            secret.metadata.labels.as_mut().unwrap().insert(key.clone(), text.clone());
            secret.metadata.annotations.as_mut().unwrap().insert(key, text);
            prop_assert_eq!(compare(&secret, &desired).0, Finding::Intact);
        }

        #[test]
        fn a_token_under_another_key_is_found_and_put_where_it_belongs(key in "[-._a-zA-Z0-9]{1,20}x") {
            let user = user(&json!({}));
            let desired = desired(&user, &record(None, 1_800_000_000));
            let mut secret = written(&user, &desired);
            let data = secret.data.as_mut().unwrap();
            let token = data.remove(&desired.token_key).unwrap();
            data.insert(key, token);
            let (finding, token) = compare(&secret, &desired);
            prop_assert_eq!(finding, Finding::Astray);
            prop_assert!(token.is_some_and(|token| token.expose_secret() == TOKEN));
        }
    }
}
