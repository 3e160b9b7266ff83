//! The name of an object within its kind.

use std::{fmt, sync::Arc};

use kube::{Resource, core::ObjectMeta};

/// Namespace and name of an object, or the name alone of a cluster-scoped one. Cheap to clone: one shared text.
///
/// Says nothing of which incarnation is meant: an object that was deleted and created again has the same key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// The key of a namespaced object.
    pub fn namespaced(namespace: &str, name: &str) -> Self {
        Self(format!("{namespace}/{name}").into())
    }

    /// The key of a cluster-scoped object.
    pub fn cluster_scoped(name: &str) -> Self {
        Self(name.into())
    }

    /// The key of `object`, which came from the API server and so has a name.
    pub fn of(object: &impl Resource) -> Self {
        Self::from_meta(object.meta())
    }

    /// The key of the object with this metadata, which came from the API server and so has a name.
    pub fn from_meta(meta: &ObjectMeta) -> Self {
        let name = meta.name.as_deref().unwrap_or_default();
        match meta.namespace.as_deref() {
            Some(namespace) => Self::namespaced(namespace, name),
            None => Self::cluster_scoped(name),
        }
    }

    /// The namespace; `None` for a cluster-scoped object.
    pub fn namespace(&self) -> Option<&str> {
        self.0.split_once('/').map(|(namespace, _)| namespace)
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, name)| name)
    }
}

/// `namespace/name`, or `name`.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ConfigMap, Namespace};

    #[test]
    fn a_key_reads_as_namespace_and_name() {
        let metadata = ObjectMeta {
            namespace: Some("contact-center".into()),
            name: Some("alice".into()),
            ..ObjectMeta::default()
        };
        let key = ObjectKey::of(&ConfigMap {
            metadata,
            ..ConfigMap::default()
        });
        assert_eq!(key, ObjectKey::namespaced("contact-center", "alice"));
        assert_eq!((key.namespace(), key.name()), (Some("contact-center"), "alice"));
        assert_eq!(key.to_string(), "contact-center/alice");
    }

    #[test]
    fn a_cluster_scoped_object_has_no_namespace() {
        let metadata = ObjectMeta {
            name: Some("alice".into()),
            ..ObjectMeta::default()
        };
        let key = ObjectKey::of(&Namespace {
            metadata,
            ..Namespace::default()
        });
        assert_eq!((key.namespace(), key.name()), (None, "alice"));
        assert_eq!(key.to_string(), "alice");
    }
}
