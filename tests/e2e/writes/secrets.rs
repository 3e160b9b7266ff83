//! Secrets: created where there is none, updated where they are the expected ones, never anything else.

use std::collections::BTreeMap;

use acs_operator::cluster::writes::{Expected, WriteError};
use k8s_openapi::{
    ByteString,
    api::core::v1::{Namespace, Secret},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::Place;

/// Longer than any name, and in no message.
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJza3lwZWlkIjoiYWNzOjEyMyJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ";

fn manifest(values: &[(&str, &str)]) -> Value {
    let data: BTreeMap<_, _> = values
        .iter()
        .map(|(key, value)| (*key, ByteString(value.as_bytes().to_vec())))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": "alice", "labels": {"app.kubernetes.io/managed-by": "acs-operator"}},
        "data": data,
    })
}

impl Place {
    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn apply(&self, expected: &Expected<'_>, manifest: Value) -> Result<ObjectMeta, WriteError> {
        let written = self
            .writes
            .apply_secret(&self.namespace, "alice", expected, manifest)
            .await;
        written.map(|secret| secret.metadata)
    }

    async fn delete(&self, seen: &ObjectMeta) -> Result<(), WriteError> {
        let (uid, version) = (seen.uid.as_deref().unwrap(), seen.resource_version.as_deref().unwrap());
        self.writes.delete_secret(&self.namespace, "alice", uid, version).await
    }

    /// A Secret as the operator makes it.
    async fn ours(&self) -> ObjectMeta {
        let ours = self.apply(&Expected::Absent, manifest(&[("token", TOKEN)])).await;
        ours.unwrap()
    }

    /// A Secret that someone else made.
    async fn foreign(&self) -> ObjectMeta {
        let foreign = serde_json::from_value(manifest(&[("password", "theirs")])).unwrap();
        let created = self.secrets().create(&PostParams::default(), &foreign).await;
        created.unwrap().metadata
    }

    async fn values(&self) -> BTreeMap<String, String> {
        let data = self.secrets().get("alice").await.unwrap().data.unwrap_or_default();
        let text = |ByteString(value)| String::from_utf8(value).unwrap();
        data.into_iter().map(|(key, value)| (key, text(value))).collect()
    }
}

fn values(expected: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    expected.iter().map(owned).collect()
}

fn version(meta: &ObjectMeta) -> Expected<'_> {
    Expected::Version {
        uid: meta.uid.as_deref().unwrap(),
        resource_version: meta.resource_version.as_deref().unwrap(),
    }
}

#[tokio::test]
async fn a_create_makes_the_secret_with_one_owner_of_its_fields() {
    let place = Place::new().await;
    let written = place.ours().await;
    let stored = place.secrets().get("alice").await.unwrap();
    assert_eq!(
        (&stored.metadata.uid, &stored.metadata.resource_version),
        (&written.uid, &written.resource_version)
    );
    assert_eq!(place.values().await, values(&[("token", TOKEN)]));
    let managers: Vec<_> = stored
        .managed_fields()
        .iter()
        .map(|entry| (entry.manager.as_deref(), entry.operation.as_deref()))
        .collect();
    assert_eq!(managers, [(Some("acs-operator"), Some("Apply"))]);
}

#[tokio::test]
async fn a_secret_that_exists_is_never_taken_over_by_a_create() {
    let place = Place::new().await;
    let foreign = place.foreign().await;
    let refused = place.apply(&Expected::Absent, manifest(&[("token", TOKEN)])).await;
    assert_eq!(refused, Err(WriteError::Conflict));
    let stored = place.secrets().get("alice").await.unwrap();
    assert_eq!(stored.metadata.resource_version, foreign.resource_version);
    assert_eq!(place.values().await, values(&[("password", "theirs")]));
}

#[tokio::test]
async fn our_own_secret_is_not_overwritten_by_a_create_either() {
    let place = Place::new().await;
    place.ours().await;
    let refused = place.apply(&Expected::Absent, manifest(&[("token", "another")])).await;
    assert_eq!(refused, Err(WriteError::Conflict));
    assert_eq!(place.values().await, values(&[("token", TOKEN)]));
}

#[tokio::test]
async fn an_update_sets_what_is_sent_and_drops_what_is_not_sent_any_more() {
    let place = Place::new().await;
    let first = place
        .apply(&Expected::Absent, manifest(&[("token", "old"), ("userId", "8:acs:x")]))
        .await;
    let first = first.unwrap();
    let second = place
        .apply(&version(&first), manifest(&[("jwt", "new")]))
        .await
        .unwrap();
    assert_eq!(second.uid, first.uid);
    assert_ne!(second.resource_version, first.resource_version);
    assert_eq!(place.values().await, values(&[("jwt", "new")]));
}

#[tokio::test]
async fn a_secret_that_someone_changed_meanwhile_is_not_overwritten() {
    let place = Place::new().await;
    let ours = place.ours().await;
    let edit = Patch::Merge(json!({"metadata": {"labels": {"team": "blue"}}}));
    place
        .secrets()
        .patch("alice", &PatchParams::default(), &edit)
        .await
        .unwrap();
    let refused = place.apply(&version(&ours), manifest(&[("token", "new")])).await;
    assert_eq!(refused, Err(WriteError::Conflict));
    assert_eq!(place.values().await, values(&[("token", TOKEN)]));
}

#[tokio::test]
async fn a_deleted_secret_is_not_brought_back_by_an_update() {
    let place = Place::new().await;
    let ours = place.ours().await;
    place.secrets().delete("alice", &DeleteParams::default()).await.unwrap();
    let refused = place.apply(&version(&ours), manifest(&[("token", "old")])).await;
    assert_eq!(refused, Err(WriteError::Conflict));
    assert!(place.secrets().get_opt("alice").await.unwrap().is_none());
}

#[tokio::test]
async fn a_new_secret_of_the_same_name_is_not_the_expected_one_whatever_its_version() {
    let place = Place::new().await;
    let ours = place.ours().await;
    place.secrets().delete("alice", &DeleteParams::default()).await.unwrap();
    let foreign = place.foreign().await;
    for resource_version in [&ours.resource_version, &foreign.resource_version] {
        let expected = Expected::Version {
            uid: ours.uid.as_deref().unwrap(),
            resource_version: resource_version.as_deref().unwrap(),
        };
        let refused = place.apply(&expected, manifest(&[("token", TOKEN)])).await;
        assert_eq!(refused, Err(WriteError::Conflict), "{expected:?}");
    }
    assert_eq!(place.values().await, values(&[("password", "theirs")]));
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words_but_never_with_a_value() {
    let place = Place::new().await;
    let mut bad_label = manifest(&[("token", TOKEN)]);
    bad_label["metadata"]["labels"]["team"] = json!("not a label!");
    let refused = place.apply(&Expected::Absent, bad_label).await.unwrap_err();
    assert!(
        matches!(&refused, WriteError::Refused(words) if words.contains("metadata.labels")),
        "{refused}"
    );

    // Values where the API server would quote them.
    let (encoded, nested) = (ByteString(TOKEN.as_bytes().to_vec()), json!({"value": TOKEN}));
    let mut in_label = manifest(&[("token", TOKEN)]);
    in_label["metadata"]["labels"]["token"] = json!(TOKEN.repeat(2));
    let mut as_key = manifest(&[("token", TOKEN)]);
    as_key["data"][format!("{TOKEN} {TOKEN}")] = json!(encoded);
    let mut not_encoded = manifest(&[]);
    not_encoded["data"]["token"] = json!(TOKEN);
    let mut nested_value = manifest(&[("token", TOKEN)]);
    nested_value["data"]["nested"] = nested;
    for manifest in [in_label, as_key, not_encoded, nested_value] {
        let refused = place.apply(&Expected::Absent, manifest).await.unwrap_err();
        let told = format!("{refused} {refused:?}");
        assert!(!told.contains(&TOKEN[..12]), "{told}");
        assert!(!told.contains(&json!(encoded).as_str().unwrap()[..12]), "{told}");
    }
}

#[tokio::test]
async fn a_deletion_means_one_version_of_one_secret_and_not_its_name() {
    let place = Place::new().await;
    let ours = place.ours().await;
    place.secrets().delete("alice", &DeleteParams::default()).await.unwrap();
    assert_eq!(place.delete(&ours).await, Ok(()), "it is gone already");
    place.foreign().await;
    assert_eq!(place.delete(&ours).await, Err(WriteError::Conflict));
    assert_eq!(place.values().await, values(&[("password", "theirs")]));
    place.secrets().delete("alice", &DeleteParams::default()).await.unwrap();

    let ours = place.ours().await;
    let change = Patch::Merge(json!({"metadata": {"labels": {"changed": "by-others"}}}));
    let changed = place
        .secrets()
        .patch("alice", &PatchParams::default(), &change)
        .await
        .unwrap();
    assert_eq!(place.delete(&ours).await, Err(WriteError::Conflict));
    assert_eq!(place.delete(&changed.metadata).await, Ok(()));
    assert!(place.secrets().get_opt("alice").await.unwrap().is_none());
}

#[tokio::test]
async fn a_secret_with_a_finalizer_can_be_deleted_too() {
    let place = Place::new().await;
    let ours = place.ours().await;
    let hold = Patch::Merge(json!({"metadata": {"finalizers": ["example.org/hold"]}}));
    place
        .secrets()
        .patch("alice", &PatchParams::default(), &hold)
        .await
        .unwrap();
    let held = place.secrets().get("alice").await.unwrap().metadata;
    assert_eq!(ours.uid, held.uid);
    assert_eq!(place.delete(&held).await, Ok(()));
    let stored = place.secrets().get("alice").await.unwrap();
    assert!(stored.metadata.deletion_timestamp.is_some());
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    place
        .secrets()
        .patch("alice", &PatchParams::default(), &release)
        .await
        .unwrap();
}

#[tokio::test]
async fn in_a_namespace_that_goes_away_a_create_is_refused_and_says_so() {
    let place = Place::new().await;
    let foreign = place.foreign().await;
    let hold = Patch::Merge(json!({"metadata": {"finalizers": ["example.org/hold"]}}));
    place
        .secrets()
        .patch("alice", &PatchParams::default(), &hold)
        .await
        .unwrap();
    let namespaces: Api<Namespace> = Api::all(place.client.clone());
    namespaces
        .delete(&place.namespace, &DeleteParams::default())
        .await
        .unwrap();
    let refused = place
        .writes
        .apply_secret(&place.namespace, "bob", &Expected::Absent, {
            let mut manifest = manifest(&[("token", TOKEN)]);
            manifest["metadata"]["name"] = json!("bob");
            manifest
        })
        .await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(&refused, WriteError::Refused(words) if words.contains("being terminated")),
        "{refused}"
    );
    let release = Patch::Merge(json!({"metadata": {"finalizers": null, "resourceVersion": null}}));
    place
        .secrets()
        .patch(&foreign.name.unwrap(), &PatchParams::default(), &release)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_namespace_that_is_not_there_is_told_and_not_taken_for_a_conflict() {
    let mut place = Place::new().await;
    place.namespace = "nowhere-at-all".to_owned();
    let refused = place
        .apply(&Expected::Absent, manifest(&[("token", TOKEN)]))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, WriteError::Refused(words) if words.contains("nowhere-at-all")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_live_look_gives_the_metadata_of_the_stored_secret() {
    let place = Place::new().await;
    let look = || place.writes.read_secret_metadata(&place.namespace, "alice");
    assert_eq!(look().await, Ok(None));
    let ours = place.ours().await;
    let seen = look().await.unwrap().unwrap();
    assert_eq!((seen.uid, seen.resource_version), (ours.uid, ours.resource_version));
}

#[tokio::test]
async fn a_finalizer_holds_exactly_the_secret_that_was_seen_and_leaves_its_values() {
    let place = Place::new().await;
    place.foreign().await;
    let patch = |seen: &ObjectMeta, finalizers: &[&str]| {
        let (uid, version) = (seen.uid.clone().unwrap(), seen.resource_version.clone().unwrap());
        let finalizers: Vec<_> = finalizers.iter().map(ToString::to_string).collect();
        let place = &place;
        async move {
            let writes = &place.writes;
            let patched = writes.patch_secret_finalizers(&place.namespace, "alice", &uid, &version, &finalizers);
            patched.await
        }
    };
    let copy = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "theirs"}}});
    let (params, copied) = (PatchParams::default(), Patch::Merge(copy));
    let foreign = place.secrets().patch("alice", &params, &copied).await.unwrap().metadata;
    let held = patch(&foreign, &["example.org/hold"]).await.unwrap();
    assert!(
        !format!("{held:?}").contains("theirs"),
        "kubectl's copy of the manifest repeats the values"
    );
    assert_eq!(
        held.finalizers.as_deref(),
        Some(["example.org/hold".to_owned()].as_slice())
    );
    assert_eq!(place.values().await, values(&[("password", "theirs")]));
    assert_eq!(patch(&foreign, &[]).await, Err(WriteError::Conflict), "it was changed");

    let another = ObjectMeta {
        uid: Some("another".to_owned()),
        ..held.clone()
    };
    assert_eq!(
        patch(&another, &[]).await,
        Err(WriteError::Conflict),
        "another of that name"
    );
    assert_eq!(place.delete(&held).await, Ok(()));
    let deleting = place.secrets().get("alice").await.unwrap().metadata;
    patch(&deleting, &[]).await.unwrap();
    assert_eq!(patch(&deleting, &[]).await, Err(WriteError::Gone));
}
