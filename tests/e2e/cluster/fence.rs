//! What passes the fence while the lease is not held.

use acs_operator::{
    api::{CommunicationUser, CommunicationUserStatus},
    clock::Clock,
    cluster::{
        fence::{NotLeading, fenced},
        lease::{Election, Hold, LeaseSettings},
        writes::{Expected, Target, WriteError, Writes},
    },
};
use acs_operator_testbed::ControlPlane;
use kube::{Api, api::PostParams};
use serde_json::json;

/// As a candidate has it that waits.
fn not_held(client: &kube::Client) -> Hold {
    let settings = LeaseSettings {
        namespace: "default".to_owned(),
        name: "never-competed-for".to_owned(),
        identity: "nobody".to_owned(),
        duration: std::time::Duration::from_secs(15),
    };
    let (_, hold) = Election::new(client.clone(), settings, Clock::system(), Box::new(|_| {}));
    hold
}

#[tokio::test]
async fn without_the_lease_nothing_is_written_but_the_record_of_a_create() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let namespace = control_plane.namespace("fence").await.unwrap();
    let users: Api<CommunicationUser> = Api::namespaced(client.clone(), &namespace);
    let user = serde_json::from_value(json!({"metadata": {"name": "alice"}, "spec": {}})).unwrap();
    let user = users.create(&PostParams::default(), &user).await.unwrap();
    let (uid, version) = (user.metadata.uid.unwrap(), user.metadata.resource_version.unwrap());
    let target = Target {
        namespace: Some(&namespace),
        name: "alice",
        uid: &uid,
        resource_version: &version,
    };
    let writes = Writes::new(fenced(client.clone(), not_held(&client)));
    let refused = WriteError::NotLeading(NotLeading);

    let status = |generation: i64| CommunicationUserStatus {
        observed_generation: Some(generation),
        ..CommunicationUserStatus::default()
    };
    let (before, after, finalizers) = (status(0), status(1), ["a/b".to_owned()]);
    let metadata = writes.patch_metadata::<CommunicationUser>(&target, &finalizers, &[]);
    assert_eq!(metadata.await.unwrap_err(), refused);
    let patched = writes.patch_status::<CommunicationUser>(&target, &before, &after);
    assert_eq!(patched.await.unwrap_err(), refused);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "alice", "namespace": namespace}});
    let applied = writes.apply_secret(&namespace, "alice", &Expected::Absent, secret.clone());
    assert_eq!(applied.await.unwrap_err(), refused);
    let tried = writes.try_secret(&namespace, "alice", &Expected::Absent, secret);
    assert_eq!(tried.await.unwrap_err(), refused);
    assert_eq!(
        writes.delete_secret(&namespace, "alice", "u", "1").await.unwrap_err(),
        refused
    );
    let held = writes.patch_secret_finalizers(&namespace, "alice", "u", "1", &[]);
    assert_eq!(held.await.unwrap_err(), refused);

    let seen: CommunicationUser = writes.read_object(Some(&namespace), "alice", &uid).await.unwrap();
    assert_eq!(
        seen.metadata.resource_version.as_ref(),
        Some(&version),
        "nothing was written"
    );
    let recorded = writes
        .finishing_create()
        .patch_status::<CommunicationUser>(&target, &before, &after)
        .await;
    assert_eq!(recorded.unwrap().status.unwrap().observed_generation, Some(1));
}
