//! Connections of both kinds: written in the version that was decided on, or not at all.

use std::fmt::Debug;

use acs_operator::{
    api::{ClusterCommunicationConnection, CommunicationConnection, ConnectionStatus},
    cluster::writes::WriteError,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::object::HasStatus,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Place, target};

const FINALIZER: &str = "acs-operator.dev/in-use";

/// A connection of one kind, under a name that no other test has.
struct Stage<K> {
    place: Place,
    api: Api<K>,
    spec: Value,
}

async fn namespaced() -> Stage<CommunicationConnection> {
    let place = Place::new().await;
    Stage {
        api: Api::namespaced(place.client.clone(), &place.namespace),
        spec: json!({"auth": {"connectionString": {"secretRef": {"name": "acs"}}}}),
        place,
    }
}

async fn cluster_scoped() -> Stage<ClusterCommunicationConnection> {
    let place = Place::new().await;
    Stage {
        api: Api::all(place.client.clone()),
        spec: json!({
            "auth": {"connectionString": {"secretRef": {"name": "acs", "namespace": "acs"}}},
            "allowedNamespaces": {"selector": {}},
        }),
        place,
    }
}

impl<K> Stage<K>
where
    K: Resource<DynamicType = ()> + HasStatus<Status = ConnectionStatus> + Clone + Debug + Serialize + DeserializeOwned,
{
    async fn made(&self) -> K {
        let metadata = json!({"name": self.place.namespace, "finalizers": ["example.org/other"]});
        let manifest =
            json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": metadata, "spec": self.spec});
        let made = serde_json::from_value(manifest).unwrap();
        self.api.create(&PostParams::default(), &made).await.unwrap()
    }

    async fn delete(&self) {
        let name = &self.place.namespace;
        let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        let _ = self.api.patch(name, &PatchParams::default(), &none).await;
        self.api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    async fn writes_the_version_that_was_seen_and_no_other(self) {
        let writes = &self.place.writes;
        let first = self.made().await;
        let finalizers = ["example.org/other".to_owned(), FINALIZER.to_owned()];
        let second: K = writes.patch_metadata(&target(&first), &finalizers, &[]).await.unwrap();
        assert_eq!(second.finalizers(), finalizers);

        let (before, after) = (status(json!({})), status(json!({"observedGeneration": 1})));
        let refused = writes.patch_metadata::<K>(&target(&first), &[], &[]).await;
        assert_eq!(refused.unwrap_err(), WriteError::Conflict);
        let refused = writes.patch_status::<K>(&target(&first), &before, &after).await;
        assert_eq!(refused.unwrap_err(), WriteError::Conflict);
        let stored = self.api.get(&first.name_any()).await.unwrap();
        assert_eq!(stored.resource_version(), second.resource_version());
        self.delete().await;
    }

    async fn confuses_it_with_no_other_of_its_name(self) {
        let writes = &self.place.writes;
        let first = self.made().await;
        self.delete().await;
        let (namespace, name, uid) = (first.namespace(), first.name_any(), first.uid().unwrap());
        let read = || writes.read_object::<K>(namespace.as_deref(), &name, &uid);
        assert_eq!(read().await.unwrap_err(), WriteError::Gone);
        assert_eq!(
            writes.patch_metadata::<K>(&target(&first), &[], &[]).await.unwrap_err(),
            WriteError::Gone
        );
        let second = self.made().await;
        assert_eq!(read().await.unwrap_err(), WriteError::Gone);
        let mut confused = target(&first);
        confused.resource_version = target(&second).resource_version;
        let refused = writes.patch_metadata::<K>(&confused, &[], &[]).await;
        assert_eq!(refused.unwrap_err(), WriteError::Conflict);
        let uid = second.uid().unwrap();
        let read: K = writes.read_object(namespace.as_deref(), &name, &uid).await.unwrap();
        assert_eq!(read.resource_version(), second.resource_version());
        self.delete().await;
    }

    async fn gets_the_wanted_status_whatever_it_had(self) {
        let writes = &self.place.writes;
        let mut held = self.made().await;
        for wanted in statuses() {
            let before = held.status().cloned().unwrap_or_default();
            held = writes.patch_status(&target(&held), &before, &wanted).await.unwrap();
            assert_eq!(held.status().cloned().unwrap_or_default(), wanted);
        }
        assert_eq!(held.meta().generation, Some(1));
        self.delete().await;
    }
}

fn status(value: Value) -> ConnectionStatus {
    serde_json::from_value(value).unwrap()
}

/// Of a connection that works, and of one that does not work any more.
fn statuses() -> [ConnectionStatus; 2] {
    let condition = |status: &str, reason: &str| {
        json!({"type": "Ready", "status": status, "reason": reason, "message": "", "observedGeneration": 1,
               "lastTransitionTime": "2026-11-23T09:00:00Z"})
    };
    let works = json!({
        "observedGeneration": 1,
        "authMethod": "accessKey",
        "credential": "0123456789ab",
        "users": 3,
        "conditions": [condition("True", "Proven")],
    });
    let fails = json!({
        "observedGeneration": 2,
        "authMethod": "accessKey",
        "conditions": [condition("False", "AccessDenied")],
    });
    [status(works), status(fails)]
}

#[tokio::test]
async fn a_connection_is_written_in_the_version_that_was_seen_and_in_no_other() {
    namespaced().await.writes_the_version_that_was_seen_and_no_other().await;
    cluster_scoped()
        .await
        .writes_the_version_that_was_seen_and_no_other()
        .await;
}

#[tokio::test]
async fn a_connection_is_not_confused_with_another_of_its_name() {
    namespaced().await.confuses_it_with_no_other_of_its_name().await;
    cluster_scoped().await.confuses_it_with_no_other_of_its_name().await;
}

#[tokio::test]
async fn a_connection_gets_the_wanted_status_whatever_it_had() {
    namespaced().await.gets_the_wanted_status_whatever_it_had().await;
    cluster_scoped().await.gets_the_wanted_status_whatever_it_had().await;
}
