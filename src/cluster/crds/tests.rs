//! What is seen of definitions that come one after the other.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

const USERS: &str = "communicationusers.acs-operator.dev";
const CONNECTIONS: &str = "communicationconnections.acs-operator.dev";
const CLUSTER_CONNECTIONS: &str = "clustercommunicationconnections.acs-operator.dev";

/// A client whose API server gives each of these answers once, and the last one for ever.
fn api_server(answers: Vec<(u16, Value)>) -> Client {
    let answers = Arc::new(Mutex::new(answers));
    let service = tower::service_fn(move |request: Request<Body>| {
        let answers = Arc::clone(&answers);
        async move {
            assert_eq!(request.uri().path(), "/apis/acs-operator.dev/v1beta1");
            let mut answers = answers.lock().unwrap();
            let (status, body) = if answers.len() > 1 {
                answers.remove(0)
            } else {
                answers[0].clone()
            };
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, tower::BoxError>(Response::builder().status(status).body(body)?)
        }
    });
    Client::new(service, "default")
}

fn serving(plurals: &[&str]) -> (u16, Value) {
    let resource = |name: &str| json!({"name": name, "singularName": "", "namespaced": true, "kind": "", "verbs": []});
    // Subresources are listed like resources of their own.
    let resources: Vec<Value> = plurals
        .iter()
        .flat_map(|plural| [resource(plural), resource(&format!("{plural}/status"))])
        .collect();
    let list = json!({"kind": "APIResourceList", "groupVersion": "acs-operator.dev/v1beta1", "resources": resources});
    (200, list)
}

fn failure(code: u16) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "status": "Failure", "message": "no", "code": code}),
    )
}

fn all() -> (u16, Value) {
    serving(&[
        "communicationusers",
        "communicationconnections",
        "clustercommunicationconnections",
    ])
}

/// Whether the wait ended well, and what it reported missing on the way.
async fn wait(answers: Vec<(u16, Value)>, stop: &CancellationToken) -> (bool, Vec<Vec<String>>) {
    let mut reports = Vec::new();
    let report = |missing: &[&str]| reports.push(missing.iter().map(ToString::to_string).collect());
    let served = wait_served(&api_server(answers), stop, report).await;
    (served, reports)
}

#[tokio::test(start_paused = true)]
async fn kinds_that_are_served_are_not_waited_for() {
    assert_eq!(wait(vec![all()], &CancellationToken::new()).await, (true, vec![]));
}

#[tokio::test(start_paused = true)]
async fn missing_definitions_are_named_each_time_that_others_are_missing() {
    let answers = vec![
        failure(404),
        failure(404),
        serving(&["communicationusers"]),
        serving(&["communicationusers"]),
        all(),
    ];
    let (served, reports) = wait(answers, &CancellationToken::new()).await;
    assert!(served);
    assert_eq!(
        reports,
        [
            vec![USERS, CONNECTIONS, CLUSTER_CONNECTIONS],
            vec![CONNECTIONS, CLUSTER_CONNECTIONS]
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_fails_says_nothing_about_definitions() {
    let answers = vec![failure(500), failure(401), failure(403), failure(429), all()];
    assert_eq!(wait(answers, &CancellationToken::new()).await, (true, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_waiting() {
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_hours(1)).await;
        stopping.cancel();
    });
    let (served, reports) = wait(vec![failure(404)], &stop).await;
    assert!(!served);
    assert_eq!(reports.len(), 1);
}
