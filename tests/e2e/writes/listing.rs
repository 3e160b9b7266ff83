//! What is counted and found live: only metadata, over any number of pages.

use std::time::Instant;

use acs_operator::{
    api::CommunicationUser,
    cluster::{
        Scope,
        writes::{WriteError, Writes},
    },
};
use acs_operator_testbed::{CEILING, ControlPlane};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::Place;

const FINALIZER: &str = "acs-operator.dev/credential-in-use";

impl Place {
    fn scope(&self) -> Scope {
        Scope::Namespace(self.namespace.as_str().into())
    }

    async fn user(&self, name: String, connection_ref: Value) {
        let mut user = json!({"metadata": {"name": name}, "spec": {"token": {"scopes": ["voip"]}}});
        user["apiVersion"] = json!("acs-operator.dev/v1beta1");
        user["kind"] = json!("CommunicationUser");
        // An absent kind stays absent on the way to the API server.
        if !connection_ref.is_null() {
            user["spec"]["connectionRef"] = connection_ref;
        }
        let apply = Patch::Apply(user);
        let users: Api<CommunicationUser> = Api::namespaced(self.client.clone(), &self.namespace);
        users.patch(&name, &PatchParams::apply("test"), &apply).await.unwrap();
    }

    async fn count(&self, kind: &str, name: &str) -> usize {
        self.writes.count_users(&self.scope(), kind, name).await.unwrap()
    }

    async fn secret(&self, name: String, finalizers: &[&str]) {
        let secret = json!({"metadata": {"name": name, "finalizers": finalizers}});
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = serde_json::from_value(secret).unwrap();
        secrets.create(&PostParams::default(), &secret).await.unwrap();
    }
}

#[tokio::test]
async fn users_are_counted_by_the_kind_and_the_name_of_their_connection() {
    let place = Place::new().await;
    for (number, connection_ref) in [
        json!({"name": "contoso"}),
        json!({"kind": "CommunicationConnection", "name": "contoso"}),
        json!({"kind": "ClusterCommunicationConnection", "name": "contoso"}),
        json!({"kind": "ClusterCommunicationConnection", "name": "default"}),
        json!(null),
        json!(null),
        json!(null),
    ]
    .into_iter()
    .enumerate()
    {
        place.user(format!("user-{number}"), connection_ref).await;
    }
    assert_eq!(
        place.count("CommunicationConnection", "contoso").await,
        2,
        "with and without a kind"
    );
    assert_eq!(place.count("ClusterCommunicationConnection", "contoso").await, 1);
    assert_eq!(place.count("ClusterCommunicationConnection", "default").await, 1);
    assert_eq!(place.count("CommunicationConnection", "default").await, 0);
    let without = place.writes.count_users_without_reference(&place.scope()).await;
    assert_eq!(without, Ok(3));
}

#[tokio::test]
async fn users_of_all_namespaces_are_counted_and_those_that_are_being_deleted_too() {
    let (here, there) = (Place::new().await, Place::new().await);
    let connection = || json!({"kind": "ClusterCommunicationConnection", "name": here.namespace});
    here.user("alice".to_owned(), connection()).await;
    there.user("bob".to_owned(), connection()).await;
    let users: Api<CommunicationUser> = Api::namespaced(there.client.clone(), &there.namespace);
    let finalizers = |list: Value| Patch::Merge(json!({"metadata": {"finalizers": list}}));
    let params = PatchParams::default();
    let hold = finalizers(json!(["example.org/hold"]));
    users.patch("bob", &params, &hold).await.unwrap();
    users.delete("bob", &DeleteParams::default()).await.unwrap();
    let (kind, name) = ("ClusterCommunicationConnection", &here.namespace);
    let count = async || here.writes.count_users(&Scope::Cluster, kind, name).await;
    assert_eq!(answered(count).await, Ok(2));
    users.patch("bob", &params, &finalizers(json!(null))).await.unwrap();
    assert_eq!(answered(count).await, Ok(1));
}

/// What is listed of the whole cluster, where there is what all other tests made as well, once the API server has an answer in time.
async fn answered<T>(list: impl AsyncFn() -> Result<T, WriteError>) -> Result<T, WriteError> {
    let begun = Instant::now();
    loop {
        let listed = list().await;
        if !matches!(listed, Err(WriteError::Unavailable(_))) || begun.elapsed() > CEILING {
            return listed;
        }
    }
}

#[tokio::test]
async fn more_objects_than_fit_into_a_page_are_found_all() {
    const OBJECTS: usize = 520;
    let place = Place::new().await;
    let make = |number: usize| {
        place.secret(
            format!("secret-{number}"),
            if number.is_multiple_of(2) { &[FINALIZER] } else { &[] },
        )
    };
    stream::iter(0..OBJECTS).map(make).buffer_unordered(16).count().await;
    let found = place
        .writes
        .secrets_with_finalizer(&place.scope(), FINALIZER)
        .await
        .unwrap();
    assert_eq!(found.len(), OBJECTS / 2);

    // The namespace is not held up by them.
    let secrets: Api<Secret> = Api::namespaced(place.client.clone(), &place.namespace);
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let release = |meta: kube::api::ObjectMeta| {
        let (secrets, none) = (secrets.clone(), none.clone());
        async move {
            secrets
                .patch(&meta.name.unwrap(), &PatchParams::default(), &none)
                .await
                .unwrap()
        }
    };
    stream::iter(found).map(release).buffer_unordered(16).count().await;
    let found = place
        .writes
        .secrets_with_finalizer(&place.scope(), FINALIZER)
        .await
        .unwrap();
    assert_eq!(found, []);
}

#[tokio::test]
async fn secrets_are_found_by_this_finalizer_and_not_by_another() {
    let place = Place::new().await;
    place.secret("ours".to_owned(), &["example.org/hold", FINALIZER]).await;
    place.secret("theirs".to_owned(), &["example.org/hold"]).await;
    place.secret("free".to_owned(), &[]).await;
    for scope in [place.scope(), Scope::Cluster] {
        let found = answered(async || place.writes.secrets_with_finalizer(&scope, FINALIZER).await).await;
        let found = found.unwrap();
        let here = found
            .iter()
            .filter(|meta| meta.namespace.as_deref() == Some(&place.namespace));
        let names: Vec<_> = here.map(|meta| meta.name.as_deref()).collect();
        assert_eq!(names, [Some("ours")], "{scope}");
    }
}

#[tokio::test]
async fn a_kind_that_is_not_served_has_not_no_users() {
    let control_plane = ControlPlane::start().unwrap();
    let writes = Writes::new(control_plane.client().await.unwrap());
    let counted = writes.count_users_without_reference(&Scope::Cluster).await;
    assert!(matches!(&counted, Err(WriteError::Unavailable(_))), "{counted:?}");
}
