//! Objects that can't be decoded.

use std::collections::{HashMap, HashSet};

use kube::{Resource, core::error_boundary::InvalidObject, runtime::watcher::Event};

use super::super::ObjectKey;

/// The longest description of what is wrong.
const LONGEST: usize = 300;

/// The objects that are there but can't be decoded, each with the version that was logged.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    logged: HashMap<ObjectKey, Option<String>>,
    /// During a list: those that it has.
    listed: Option<HashSet<ObjectKey>>,
}

impl Unreadable {
    pub(super) fn len(&self) -> usize {
        self.logged.len()
    }

    /// Takes note of an undecodable object, with a log line unless there was one for this version.
    pub(super) fn found(&mut self, resource: &str, key: &ObjectKey, invalid: &InvalidObject) {
        if let Some(listed) = &mut self.listed {
            listed.insert(key.clone());
        }
        let version = invalid.metadata.resource_version.clone();
        if self.logged.get(key) == Some(&version) {
            return;
        }
        let error: String = invalid.error.chars().take(LONGEST).collect();
        tracing::error!(
            resource, object = %key, error,
            "the object is left out: it cannot be decoded. Compare it with the definition of its kind, and correct it"
        );
        self.logged.insert(key.clone(), version);
    }

    pub(super) fn gone(&mut self, key: &ObjectKey) {
        self.logged.remove(key);
    }

    /// Takes note of what could be decoded, and of the limits of a list.
    pub(super) fn follow<K: Resource>(&mut self, event: &Event<K>) {
        match event {
            Event::Init => self.listed = Some(HashSet::new()),
            Event::InitDone => {
                if let Some(listed) = self.listed.take() {
                    self.logged.retain(|key, _| listed.contains(key));
                }
            }
            _ if self.logged.is_empty() => {}
            Event::InitApply(object) | Event::Apply(object) | Event::Delete(object) => {
                self.logged.remove(&ObjectKey::of(object));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::ObjectMeta;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn invalid(version: &str) -> InvalidObject {
        let metadata = ObjectMeta {
            resource_version: Some(version.into()),
            ..ObjectMeta::default()
        };
        InvalidObject {
            error: "missing field `scopes`".into(),
            metadata,
        }
    }

    #[test]
    fn each_version_that_cannot_be_decoded_is_logged_once_however_often_it_is_listed() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let key = ObjectKey::namespaced("shop", "alice");
        tracing::subscriber::with_default(subscriber, || {
            let mut unreadable = Unreadable::default();
            for version in ["1", "1", "2"] {
                unreadable.follow::<ConfigMap>(&Event::Init);
                unreadable.found("communicationusers", &key, &invalid(version));
                unreadable.follow::<ConfigMap>(&Event::InitDone);
            }
        });
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(log.contains("shop/alice") && log.contains("missing field"), "{log}");
    }
}
