//! Events that a real API server accepts and kubectl shows.

use std::{sync::Arc, time::Duration};

use acs_operator::{
    clock::Clock,
    cluster::events::{EventRecorder, EventType},
};
use acs_operator_testbed::{CEILING, ControlPlane};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, ObjectReference},
    events::v1::Event,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// A recorder on the shared control plane, whose task ends with [`end`](Self::end).
struct Recording {
    control_plane: &'static ControlPlane,
    client: Client,
    recorder: Arc<EventRecorder>,
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Recording {
    async fn start() -> Self {
        let control_plane = ControlPlane::shared().await.unwrap();
        let client = control_plane.client().await.unwrap();
        let (recorder, task) = EventRecorder::new(client.clone(), Clock::system(), "acs-operator-0".to_owned());
        let stop = CancellationToken::new();
        Self {
            control_plane,
            client,
            recorder,
            task: tokio::spawn(task.run(stop.clone())),
            stop,
        }
    }

    /// Stops the task once so many events about an object are there: it would not wait for long for an API server that is busy.
    async fn end_after(self, count: usize, namespace: &str, name: &str) -> Client {
        let written = async {
            while events_about(self.client.clone(), namespace, name).await.len() < count {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(CEILING, written).await.expect("the events are written");
        self.end().await
    }

    async fn end(self) -> Client {
        self.stop.cancel();
        timeout(CEILING, self.task).await.unwrap().unwrap();
        assert_eq!(self.recorder.dropped(), 0);
        self.client
    }
}

fn reference(kind: &str, namespace: Option<&str>, name: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("acs-operator.dev/v1beta1".to_owned()),
        kind: Some(kind.to_owned()),
        namespace: namespace.map(str::to_owned),
        name: Some(name.to_owned()),
        ..ObjectReference::default()
    }
}

async fn events_about(client: Client, namespace: &str, name: &str) -> Vec<Event> {
    let events: Api<Event> = Api::namespaced(client, namespace);
    let about = ListParams::default().fields(&format!("regarding.name={name}"));
    events.list(&about).await.unwrap().items
}

#[tokio::test]
async fn kubectl_describe_shows_the_event() {
    let recording = Recording::start().await;
    let control_plane = recording.control_plane;
    let namespace = control_plane.namespace("events").await.unwrap();
    let users: Api<acs_operator::api::CommunicationUser> = Api::namespaced(recording.client.clone(), &namespace);
    let user = serde_json::from_value(json!({"metadata": {"name": "alice"}, "spec": {}})).unwrap();
    let user = users.create(&PostParams::default(), &user).await.unwrap();
    let regarding = ObjectReference {
        uid: user.metadata.uid,
        ..reference("CommunicationUser", Some(&namespace), "alice")
    };
    let note = "the service is not available; tried again in 30 s".to_owned();
    recording
        .recorder
        .publish(regarding, EventType::Warning, "ServiceUnavailable", "Create", note);
    recording.end_after(1, &namespace, "alice").await;

    let described = control_plane
        .kubectl(["describe", "communicationuser", "alice", "-n", &namespace])
        .unwrap();
    let (_, events) = described.split_once("Events:").unwrap();
    for shown in [
        "Warning",
        "ServiceUnavailable",
        "acs-operator.dev/acs-operator",
        "tried again in 30 s",
    ] {
        assert!(events.contains(shown), "{shown}:\n{described}");
    }
}

#[tokio::test]
async fn the_longest_names_and_notes_are_accepted() {
    let recording = Recording::start().await;
    let namespace = recording.control_plane.namespace("events").await.unwrap();
    let name = format!("{}.{}", "a".repeat(227), "b".repeat(25));
    for note in ["é".repeat(5000), "x".repeat(5000)] {
        let regarding = reference("CommunicationUser", Some(&namespace), &name);
        recording
            .recorder
            .publish(regarding, EventType::Normal, "TokenIssued", "Issue", note);
    }
    let client = recording.end_after(2, &namespace, &name).await;
    let events = events_about(client, &namespace, &name).await;
    let mut lengths: Vec<_> = events.into_iter().map(|event| event.note.unwrap().len()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [1024, 1024]);
}

#[tokio::test]
async fn events_about_cluster_scoped_objects_are_in_default() {
    let recording = Recording::start().await;
    let name = recording.control_plane.namespace("contoso").await.unwrap();
    let regarding = reference("ClusterCommunicationConnection", None, &name);
    let note = "in use".to_owned();
    recording
        .recorder
        .publish(regarding, EventType::Normal, "ConnectionReady", "Probe", note);
    let client = recording.end_after(1, "default", &name).await;
    assert_eq!(events_about(client, "default", &name).await.len(), 1);
}

#[tokio::test]
async fn an_event_in_a_terminating_namespace_is_let_go_and_the_namespace_goes() {
    let recording = Recording::start().await;
    let namespace = recording.control_plane.namespace("events").await.unwrap();
    let held: Api<ConfigMap> = Api::namespaced(recording.client.clone(), &namespace);
    let holder = json!({"metadata": {"name": "holder", "finalizers": ["acs-operator.dev/test"]}});
    let holder = serde_json::from_value(holder).unwrap();
    held.create(&PostParams::default(), &holder).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(recording.client.clone());
    namespaces.delete(&namespace, &DeleteParams::default()).await.unwrap();

    for note in ["deleting", "deleted"] {
        let regarding = reference("CommunicationUser", Some(&namespace), "alice");
        recording
            .recorder
            .publish(regarding, EventType::Normal, "Progressing", "Delete", note.to_owned());
    }
    // They are written in this order, so the others were tried before.
    let other = recording.control_plane.namespace("events").await.unwrap();
    let marker = reference("CommunicationUser", Some(&other), "marker");
    let note = "there".to_owned();
    recording
        .recorder
        .publish(marker, EventType::Normal, "Progressing", "Create", note);
    let client = recording.end_after(1, &other, "marker").await;
    assert!(events_about(client, &namespace, "alice").await.is_empty());

    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    held.patch("holder", &PatchParams::default(), &release).await.unwrap();
    let gone = async {
        while namespaces.get_opt(&namespace).await.unwrap().is_some() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(CEILING, gone).await.unwrap();
}
