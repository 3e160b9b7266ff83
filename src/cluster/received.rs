//! An object as the API server sends it, without what nobody here reads.
//!
//! Two parts of the metadata belong to whoever may write the object, and can be large or odd whatever the kind's definition
//! says: the managed fields, whose times may lie in years that no time here can hold, and the annotations, a quarter of a
//! megabyte for each object.

use std::{borrow::Cow, fmt};

use kube::{
    Resource,
    core::{ObjectMeta, error_boundary::InvalidObject},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::api::names;

/// Objects in one answer to a list. Its text is held in memory twice while it is decoded, and etcd takes objects of more
/// than a megabyte.
pub(super) const PAGE_SIZE: u32 = 100;

/// For [`Received`]: with the annotations of others as well.
pub(super) const WITH_ALL_ANNOTATIONS: bool = true;

/// An object of a list, a watch or an answer; or what is known of it where it can't be decoded.
///
/// # Guarantees
/// - An object that can't be decoded fails nothing but itself.
/// - Managed fields, and the annotations of others, are skipped unread: they take up no memory and can't be wrong.
///
/// # Assumptions
/// The metadata is a map, and so are the annotations in it. The API server stores nothing else, whatever the kind.
#[derive(Debug, Clone)]
pub(crate) struct Received<K, const ALL_ANNOTATIONS: bool = false>(pub(crate) Result<K, InvalidObject>);

impl<K, const ALL: bool> Received<K, ALL> {
    /// The object. What is wrong with one that can't be decoded stays out of the error: its words could quote the object.
    pub(super) fn decoded(self) -> Result<K, kube::Error> {
        let untold = |_| kube::Error::SerdeError(serde_json::Error::custom("the object cannot be decoded"));
        self.0.map_err(untold)
    }
}

impl<'de, K: DeserializeOwned, const ALL: bool> Deserialize<'de> for Received<K, ALL> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Sent::<ALL> { metadata, mut rest } = Sent::deserialize(deserializer)?;
        let mut known = metadata.rest;
        let which = which(&known);
        if let Some(Kept(annotations)) = metadata.annotations {
            known.insert("annotations".into(), annotations.into());
        }
        rest.insert("metadata".into(), known.into());
        let object = K::deserialize(Value::Object(rest)).map_err(|error| InvalidObject {
            error: error.to_string(),
            metadata: which,
        });
        Ok(Self(object))
    }
}

#[derive(Deserialize)]
struct Sent<const ALL: bool> {
    #[serde(default)]
    metadata: SentMetadata<ALL>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize, Default)]
struct SentMetadata<const ALL: bool> {
    #[serde(default, rename = "managedFields")]
    _managed_fields: IgnoredAny,
    annotations: Option<Kept<ALL>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Those annotations that are read here.
struct Kept<const ALL: bool>(Map<String, Value>);

impl<'de, const ALL: bool> Deserialize<'de> for Kept<ALL> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self(Map::new()))
    }
}

impl<'de, const ALL: bool> Visitor<'de> for Kept<ALL> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("annotations")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut sent: A) -> Result<Self, A::Error> {
        while let Some(key) = sent.next_key::<String>()? {
            if ALL || is_ours(&key) {
                self.0.insert(key, sent.next_value()?);
            } else {
                sent.next_value::<IgnoredAny>()?;
            }
        }
        Ok(self)
    }
}

fn is_ours(annotation: &str) -> bool {
    annotation
        .strip_prefix(names::GROUP)
        .is_some_and(|name| name.starts_with('/'))
}

/// Which object it is, and in which version.
fn which(metadata: &Map<String, Value>) -> ObjectMeta {
    let text = |name: &str| metadata.get(name)?.as_str().map(str::to_owned);
    ObjectMeta {
        namespace: text("namespace"),
        name: text("name"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        ..ObjectMeta::default()
    }
}

/// It is what it holds to the API server.
impl<K: Resource, const ALL: bool> Resource for Received<K, ALL> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn kind(of: &K::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &K::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &K::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &K::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|invalid| &invalid.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0
            .as_mut()
            .map_or_else(|invalid| &mut invalid.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    use kube::{
        ResourceExt,
        api::PartialObjectMeta,
        core::{ObjectList, WatchEvent},
    };
    use serde_json::json;

    use super::*;

    fn sent(data: &Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {
                "namespace": "shop", "name": "alice", "uid": "u-1", "resourceVersion": "7", "finalizers": ["theirs"],
                "annotations": {
                    "acs-operator.dev/create-attempt": "ours",
                    "acs-operator.development/note": "theirs",
                    "kubectl.kubernetes.io/last-applied-configuration": "{}",
                },
                "managedFields": [{"manager": "someone", "time": "9999-12-31T23:59:59Z", "fieldsV1": {"f:data": {}}}],
            },
        })
    }

    fn received<K: DeserializeOwned, const ALL: bool>(value: &Value) -> Received<K, ALL> {
        serde_json::from_str(&value.to_string()).unwrap()
    }

    #[test]
    fn what_is_read_here_is_kept_and_nothing_else() {
        let Received::<ConfigMap>(object) = received(&sent(&json!({"key": "value"})));
        let object = object.unwrap();
        assert_eq!(object.data.as_ref().unwrap()["key"], "value");
        assert_eq!(
            (object.name_any().as_str(), object.finalizers()),
            ("alice", ["theirs".to_owned()].as_slice())
        );
        assert_eq!(object.metadata.managed_fields, None);
        let annotations: Vec<_> = object.annotations().iter().collect();
        assert_eq!(
            annotations,
            [(&"acs-operator.dev/create-attempt".to_owned(), &"ours".to_owned())]
        );
    }

    #[test]
    fn annotations_of_others_are_kept_where_they_are_asked_for() {
        let Received::<ConfigMap, WITH_ALL_ANNOTATIONS>(object) = received(&sent(&json!({})));
        let object = object.unwrap();
        assert_eq!((object.annotations().len(), object.metadata.managed_fields), (3, None));
    }

    #[test]
    fn an_object_that_cannot_be_decoded_leaves_the_rest_of_a_list_and_a_watch_alone() {
        let (good, bad) = (sent(&json!({})), sent(&json!("no map")));
        let list = json!({"metadata": {"resourceVersion": "9"}, "items": [bad, good]}).to_string();
        let list: ObjectList<Received<ConfigMap>> = serde_json::from_str(&list).unwrap();
        let invalid = list.items[0].0.as_ref().unwrap_err();
        assert!(invalid.error.contains("no map"), "{}", invalid.error);
        let ObjectMeta {
            namespace,
            name,
            uid,
            resource_version,
            ..
        } = &invalid.metadata;
        let which = [namespace, name, uid, resource_version].map(|text| text.as_deref().unwrap());
        assert_eq!(which, ["shop", "alice", "u-1", "7"]);
        assert!(list.items[1].0.is_ok());

        let event = json!({"type": "MODIFIED", "object": bad}).to_string();
        let WatchEvent::Modified(object) = serde_json::from_str::<WatchEvent<Received<ConfigMap>>>(&event).unwrap()
        else {
            panic!("another event");
        };
        assert_eq!(object.meta().resource_version.as_deref(), Some("7"));
    }

    #[test]
    fn metadata_alone_is_received_as_well() {
        let Received::<PartialObjectMeta<ConfigMap>>(object) = received(&sent(&json!("no map")));
        assert_eq!(object.unwrap().metadata.annotations.unwrap().len(), 1);
        assert!(Received::<PartialObjectMeta<ConfigMap>>::metadata_api());
        assert!(!Received::<ConfigMap>::metadata_api());
    }

    #[test]
    fn the_error_of_an_answer_quotes_nothing() {
        let secret = sent(&json!({"key": "not base64: secret-access-key"}));
        let error = received::<Secret, false>(&secret).decoded().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret-access-key"));
    }
}
