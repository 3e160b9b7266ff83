//! What must hold of a watch for whatever the API server sends.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a target fails by panicking"
)]

use futures::{StreamExt, stream};
use kube::{
    core::WatchEvent,
    runtime::watcher::{self, Event},
};
use serde_json::json;
use tokio::sync::watch as latest;

use super::{Subject, Watch, fault::explain};
use crate::api::CommunicationUser;
use crate::cluster::{ObjectKey, Scope, cache::Cache, received::Received};

/// Lines of a watch, after an empty list. An object that can be read is delivered, whatever came before it; a failure is
/// told in a few words.
pub fn watch(data: &[u8]) {
    let (cache, mut feeds) = Cache::new([Scope::Cluster], []);
    let subject = Subject::of::<CommunicationUser>();
    let (_, taken_up) = latest::channel(());
    let mut watch = Watch::over(|| stream::empty().boxed(), taken_up, feeds.remove(0), subject.clone());
    for event in [Event::Init, Event::InitDone] {
        watch.take_in(event);
    }
    for line in data.split(|byte| *byte == b'\n').take(20) {
        let Ok(event) = serde_json::from_slice::<WatchEvent<Received<CommunicationUser>>>(line) else {
            continue;
        };
        let changes = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => watch.take_in(Event::Apply(object)),
            WatchEvent::Deleted(object) => watch.take_in(Event::Delete(object)),
            WatchEvent::Bookmark(_) => Vec::new(),
            WatchEvent::Error(status) => {
                if let Some(fault) = explain(&watcher::Error::WatchError(status), &subject, &Scope::Cluster) {
                    assert!(fault.words.chars().count() <= 300 && !fault.remedy.is_empty());
                }
                Vec::new()
            }
        };
        assert!(changes.len() <= 1, "one event, one change");
    }
    // A version without an order, so that no other can be newer.
    let object = json!({
        "apiVersion": "acs-operator.dev/v1beta1", "kind": "CommunicationUser", "spec": {},
        "metadata": {"name": "the-last", "namespace": "team", "uid": "the-last", "resourceVersion": "unordered"},
    });
    watch.take_in(Event::Apply(serde_json::from_value(object).unwrap()));
    assert!(cache.get(&ObjectKey::namespaced("team", "the-last")).is_some());
}
