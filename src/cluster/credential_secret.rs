//! A Secret that may stay in memory.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use k8s_openapi::{ByteString, NamespaceResourceScope, api::core::v1::Secret};
use kube::{Resource, core::ObjectMeta};
use secrecy::SecretSlice;
use serde::{Deserialize, Deserializer, de::Error};

use super::ObjectKey;

/// A Secret that somebody else made and that holds a credential. Cheap to clone.
///
/// # Guarantees
/// Neither its `Debug` nor an error of decoding it holds a value. Annotations are dropped right away: kubectl's copy of the
/// manifest among them repeats the values.
#[derive(Clone)]
pub struct CredentialSecret {
    metadata: ObjectMeta,
    values: Arc<BTreeMap<String, SecretSlice<u8>>>,
}

impl CredentialSecret {
    /// The value under `key`, decoded.
    pub fn value(&self, key: &str) -> Option<&SecretSlice<u8>> {
        self.values.get(key)
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }
}

impl From<Secret> for CredentialSecret {
    fn from(mut secret: Secret) -> Self {
        secret.metadata.annotations = None;
        let values = secret.data.unwrap_or_default().into_iter();
        let values = values.map(|(key, ByteString(value))| (key, SecretSlice::from(value)));
        Self {
            metadata: secret.metadata,
            values: Arc::new(values.collect()),
        }
    }
}

impl<'de> Deserialize<'de> for CredentialSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What serde says of a value that it does not understand may quote it.
        let secret =
            Secret::deserialize(deserializer).map_err(|_| D::Error::custom("it does not look like a Secret"))?;
        Ok(secret.into())
    }
}

/// Name and version.
impl fmt::Debug for CredentialSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialSecret")
            .field("key", &ObjectKey::of(self))
            .field("resource_version", &self.metadata.resource_version)
            .finish_non_exhaustive()
    }
}

/// It is a Secret to the API server.
impl Resource for CredentialSecret {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Secret::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        Secret::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        Secret::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        Secret::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::{
        Scope,
        cache::{Cache, Change},
        received::Received,
    };

    const KEY: &str = "c2VjcmV0LWFjY2Vzcy1rZXk=";

    fn secret(data: &Value) -> Value {
        let copy = json!({"data": data}).to_string();
        let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": copy});
        let metadata = json!({"namespace": "shop", "name": "acs", "resourceVersion": "7", "annotations": annotations});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    }

    fn decoded() -> CredentialSecret {
        serde_json::from_value(secret(&json!({"accessKey": KEY, "other": ""}))).unwrap()
    }

    #[test]
    fn values_are_there_for_who_asks_for_them() {
        let secret = decoded();
        assert_eq!(secret.keys().collect::<Vec<_>>(), ["accessKey", "other"]);
        assert_eq!(secret.value("accessKey").unwrap().expose_secret(), b"secret-access-key");
        assert!(secret.value("accesskey").is_none());
        let empty: CredentialSecret = serde_json::from_value(json!({"metadata": {"name": "acs"}})).unwrap();
        assert_eq!(empty.keys().count(), 0);
    }

    #[test]
    fn no_value_is_printed_wherever_the_secret_is_kept() {
        let (cache, mut feeds) = Cache::new([Scope::Namespace("shop".into())], []);
        let changes: Vec<Change<CredentialSecret>> = feeds
            .pop()
            .unwrap()
            .apply(kube::runtime::watcher::Event::Apply(decoded()));
        let metadata = decoded().meta().clone();
        for printed in [format!("{cache:?}"), format!("{changes:?}"), format!("{:?}", decoded())] {
            assert!(printed.contains("shop/acs"), "{printed}");
            assert!(
                !printed.contains(KEY) && !printed.contains("secret-access-key"),
                "{printed}"
            );
        }
        assert!(!format!("{metadata:?}").contains(KEY));
    }

    #[test]
    fn a_secret_that_cannot_be_decoded_is_told_without_its_values() {
        for data in [
            json!({"accessKey": "not base64: secret-access-key"}),
            json!({"accessKey": {"secret-access-key": 1}}),
            json!("secret-access-key"),
        ] {
            let received: Received<CredentialSecret> = serde_json::from_value(secret(&data)).unwrap();
            let invalid = received.0.unwrap_err();
            assert!(!invalid.error.contains("secret-access-key"), "{}", invalid.error);
            assert_eq!(invalid.metadata.name.as_deref(), Some("acs"));
        }
    }
}
