//! CommunicationUsers: patched in the version that was decided on, or not at all.

use acs_operator::{
    api::{CommunicationUser, CommunicationUserStatus},
    cluster::writes::{Target, WriteError, Writes},
};
use acs_operator_testbed::ControlPlane;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{Place, target};

const FINALIZER: &str = "acs-operator.dev/identity";
const ID: &str = "8:acs:2d3a7c1e-0b4f-4c58-9d6e-7f8091a2b3c4_0000001a-2b3c-4d5e";
const ATTEMPT: &str = "acs-operator.dev/create-attempt";

impl Place {
    fn users(&self) -> Api<CommunicationUser> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn alice(&self) -> CommunicationUser {
        let user = json!({
            "apiVersion": "acs-operator.dev/v1beta1",
            "kind": "CommunicationUser",
            "metadata": {"name": "alice", "finalizers": ["example.org/other"], "annotations": {"note": "kept"}},
            "spec": {"token": {"scopes": ["voip"]}},
        });
        let user = serde_json::from_value(user).unwrap();
        self.users().create(&PostParams::default(), &user).await.unwrap()
    }

    async fn status(&self) -> Value {
        let user = self.users().get("alice").await.unwrap();
        serde_json::to_value(user.status).unwrap()
    }

    /// Takes alice out of the way of the namespace's deletion.
    async fn release(&self) {
        let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        let _ = self.users().patch("alice", &PatchParams::default(), &none).await;
    }
}

fn status(value: Value) -> CommunicationUserStatus {
    serde_json::from_value(value).unwrap()
}

#[tokio::test]
async fn finalizers_are_replaced_and_annotations_added_in_one_patch() {
    let place = Place::new().await;
    let alice = place.alice().await;
    let finalizers = ["example.org/other".to_owned(), FINALIZER.to_owned()];
    let annotations = [(ATTEMPT, "u/1".to_owned())];
    let written = place
        .writes
        .patch_metadata::<CommunicationUser>(&target(&alice), &finalizers, &annotations)
        .await
        .unwrap();
    assert_eq!(written.finalizers(), finalizers);
    assert_eq!(written.annotations()[ATTEMPT], "u/1");
    let stored = place.users().get("alice").await.unwrap();
    let annotations = [ATTEMPT, "note"].map(|key| stored.annotations()[key].as_str());
    assert_eq!(annotations, ["u/1", "kept"]);
    assert_eq!(stored.resource_version(), written.resource_version());
    let managers = stored
        .managed_fields()
        .iter()
        .filter_map(|entry| entry.manager.as_deref());
    assert!(
        managers.into_iter().any(|manager| manager == "acs-operator"),
        "{:?}",
        stored.managed_fields()
    );
    place.release().await;
}

#[tokio::test]
async fn a_user_that_someone_changed_meanwhile_is_not_written() {
    let place = Place::new().await;
    let alice = place.alice().await;
    let edit = Patch::Merge(json!({"metadata": {"finalizers": ["example.org/other", "example.org/late"]}}));
    place
        .users()
        .patch("alice", &PatchParams::default(), &edit)
        .await
        .unwrap();

    let finalizers = ["example.org/other".to_owned(), FINALIZER.to_owned()];
    let refused = place
        .writes
        .patch_metadata::<CommunicationUser>(&target(&alice), &finalizers, &[])
        .await;
    assert_eq!(refused.unwrap_err(), WriteError::Conflict);
    let (before, after) = (status(json!({})), status(json!({"observedGeneration": 1})));
    let refused = place
        .writes
        .patch_status::<CommunicationUser>(&target(&alice), &before, &after)
        .await;
    assert_eq!(refused.unwrap_err(), WriteError::Conflict);
    let stored = place.users().get("alice").await.unwrap();
    assert_eq!(stored.finalizers(), ["example.org/other", "example.org/late"]);
    place.release().await;
}

#[tokio::test]
async fn another_user_of_the_same_name_is_not_written() {
    let place = Place::new().await;
    let first = place.alice().await;
    place.release().await;
    place.users().delete("alice", &DeleteParams::default()).await.unwrap();
    let second = place.alice().await;
    for resource_version in [target(&first).resource_version, target(&second).resource_version] {
        let target = Target {
            resource_version,
            ..target(&first)
        };
        let refused = place
            .writes
            .patch_metadata::<CommunicationUser>(&target, &[], &[])
            .await;
        assert_eq!(refused.unwrap_err(), WriteError::Conflict, "{target:?}");
    }
    assert_eq!(
        place
            .writes
            .read_object::<CommunicationUser>(Some(&place.namespace), "alice", target(&first).uid)
            .await
            .unwrap_err(),
        WriteError::Gone
    );
    let seen = place
        .writes
        .read_object::<CommunicationUser>(Some(&place.namespace), "alice", target(&second).uid)
        .await
        .unwrap();
    assert_eq!(seen.resource_version(), second.resource_version());
    place.release().await;
}

#[tokio::test]
async fn a_user_that_is_gone_is_told_as_gone() {
    let place = Place::new().await;
    let alice = place.alice().await;
    place.release().await;
    place.users().delete("alice", &DeleteParams::default()).await.unwrap();
    let (target, none) = (target(&alice), status(json!({})));
    assert_eq!(
        place
            .writes
            .patch_metadata::<CommunicationUser>(&target, &[], &[])
            .await
            .unwrap_err(),
        WriteError::Gone
    );
    let recorded = place
        .writes
        .patch_status::<CommunicationUser>(&target, &none, &status(json!({"observedGeneration": 1})))
        .await;
    assert_eq!(recorded.unwrap_err(), WriteError::Gone);
    let read = place
        .writes
        .read_object::<CommunicationUser>(Some(&place.namespace), "alice", target.uid)
        .await;
    assert_eq!(read.unwrap_err(), WriteError::Gone);
}

#[tokio::test]
async fn a_status_becomes_the_wanted_one_whatever_it_was() {
    let place = Place::new().await;
    let alice = place.alice().await;
    let condition = |kind: &str, reason: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": "", "observedGeneration": 1,
               "lastTransitionTime": "2026-11-23T09:00:00Z"})
    };
    let first = json!({
        "observedGeneration": 1,
        "connection": "ClusterCommunicationConnection/default",
        "identity": {"id": ID, "origin": "Created", "attempt": "4b1d8a1c-2f3e-4a5b-8c6d-7e8f9a0b1c2d"},
        "conditions": [condition("Ready", "Progressing"), condition("Reconciling", "Progressing")],
    });
    let second = json!({
        "observedGeneration": 2,
        "identity": {"id": ID, "origin": "Created"},
        "conditions": [condition("Ready", "TokenIssued")],
    });
    let written = place
        .writes
        .patch_status::<CommunicationUser>(
            &target(&alice),
            &alice.status.clone().unwrap_or_default(),
            &status(first.clone()),
        )
        .await
        .unwrap();
    assert_eq!(
        serde_json::to_value(&written.status).unwrap(),
        serde_json::to_value(status(first)).unwrap()
    );
    let written = place
        .writes
        .patch_status::<CommunicationUser>(
            &target(&written),
            &written.status.clone().unwrap(),
            &status(second.clone()),
        )
        .await
        .unwrap();
    assert_eq!(written.metadata.generation, alice.metadata.generation);
    assert_eq!(place.status().await, serde_json::to_value(status(second)).unwrap());
    place.release().await;
}

#[tokio::test]
async fn a_kind_that_is_not_served_does_not_make_its_objects_gone() {
    let control_plane = ControlPlane::start().unwrap();
    let writes = Writes::new(control_plane.client().await.unwrap());
    let read = writes
        .read_object::<CommunicationUser>(Some("default"), "alice", "u")
        .await
        .unwrap_err();
    assert!(matches!(&read, WriteError::Unavailable(_)), "{read:?}");
    let target = Target {
        namespace: Some("default"),
        name: "alice",
        uid: "u",
        resource_version: "1",
    };
    let patch = writes
        .patch_metadata::<CommunicationUser>(&target, &[], &[])
        .await
        .unwrap_err();
    assert!(matches!(&patch, WriteError::Unavailable(_)), "{patch:?}");
}
