//! What becomes of events, with a stand-in for the API server behind kube's client.

use std::collections::HashSet;

use http::{Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;

/// The events that arrived at the API server.
#[derive(Clone, Default)]
struct Arrived(Arc<Mutex<Vec<Value>>>);

impl Arrived {
    fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    async fn reach(&self, count: usize) {
        while self.count() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A client whose API server answers each event with `status`, `delay` after it arrived.
fn api_server(status: u16, delay: Duration) -> (Client, Arrived) {
    let arrived = Arrived::default();
    let seen = arrived.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let seen = seen.clone();
        async move {
            let path = request.uri().path().to_owned();
            let mut event: Value = serde_json::from_slice(&request.into_body().collect_bytes().await?)?;
            let answer = match status {
                201 => event.to_string(),
                code => json!({"kind": "Status", "status": "Failure", "message": "no", "code": code}).to_string(),
            };
            event["path"] = json!(path);
            seen.0.lock().unwrap().push(event);
            tokio::time::sleep(delay).await;
            let answer = Response::builder()
                .status(status)
                .body(Body::from(answer.into_bytes()))?;
            Ok::<_, tower::BoxError>(answer)
        }
    });
    (Client::new(service, "default"), arrived)
}

fn user(name: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("acs-operator.dev/v1beta1".into()),
        kind: Some("CommunicationUser".into()),
        namespace: Some("contact-center".into()),
        name: Some(name.into()),
        uid: Some(format!("uid-of-{name}")),
        ..ObjectReference::default()
    }
}

fn recorder(client: Client) -> (Arc<EventRecorder>, EventTask) {
    let (clock, _) = Clock::manual("2026-11-23T09:00:00Z".parse::<Timestamp>().unwrap());
    EventRecorder::new(client, clock, "acs-operator-0".into())
}

fn tell(recorder: &EventRecorder, name: &str, note: &str) {
    recorder.publish(user(name), EventType::Warning, "Throttled", "Renew", note.to_owned());
}

#[tokio::test(start_paused = true)]
async fn an_event_arrives_with_everything_that_the_api_server_asks_for() {
    let (client, arrived) = api_server(201, Duration::ZERO);
    let (recorder, task) = recorder(client);
    let stop = CancellationToken::new();
    let task = tokio::spawn(task.run(stop.clone()));
    tell(&recorder, "alice", "waits for the service");
    arrived.reach(1).await;

    let event = arrived.all().remove(0);
    assert_eq!(event["path"], "/apis/events.k8s.io/v1/namespaces/contact-center/events");
    assert_eq!(event["apiVersion"], "events.k8s.io/v1");
    assert_eq!(event["regarding"]["uid"], "uid-of-alice");
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["reason"], "Throttled");
    assert_eq!(event["action"], "Renew");
    assert_eq!(event["note"], "waits for the service");
    assert_eq!(event["eventTime"], "2026-11-23T09:00:00.000000Z");
    assert_eq!(event["reportingController"], "acs-operator.dev/acs-operator");
    assert_eq!(event["reportingInstance"], "acs-operator-0");
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_same_event_is_told_again_only_after_ten_minutes() {
    let (client, arrived) = api_server(201, Duration::ZERO);
    let (recorder, task) = recorder(client);
    let stop = CancellationToken::new();
    let task = tokio::spawn(task.run(stop.clone()));
    tell(&recorder, "alice", "waits");
    tell(&recorder, "alice", "waits");
    tell(&recorder, "bob", "waits");
    arrived.reach(2).await;
    tokio::time::sleep(Duration::from_secs(599)).await;
    tell(&recorder, "alice", "waits");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(arrived.count(), 2);

    tell(&recorder, "alice", "waits");
    arrived.reach(3).await;
    assert_eq!(recorder.dropped(), 0);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_herd_of_events_becomes_a_few_writes_a_second_and_the_rest_is_counted() {
    let (client, arrived) = api_server(201, Duration::ZERO);
    let (recorder, task) = recorder(client);
    let stop = CancellationToken::new();
    let task = tokio::spawn(task.run(stop.clone()));
    for object in 0..10_000 {
        tell(&recorder, &format!("user-{object}"), "created");
    }
    assert_eq!(recorder.dropped(), 9_000);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!((60..=80).contains(&arrived.count()), "{}", arrived.count());
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn bad_news_is_told_before_a_herd_of_good_news_and_is_not_lost_in_it() {
    let (client, arrived) = api_server(201, Duration::ZERO);
    let (recorder, task) = recorder(client);
    for object in 0..10_000 {
        let note = "created".to_owned();
        recorder.publish(
            user(&format!("user-{object}")),
            EventType::Normal,
            "TokenIssued",
            "Issue",
            note,
        );
    }
    tell(&recorder, "alice", "expired");
    let stop = CancellationToken::new();
    let task = tokio::spawn(task.run(stop.clone()));
    arrived.reach(2).await;
    let first: Vec<_> = arrived.all().into_iter().map(|event| event["note"].clone()).collect();
    assert_eq!(first[..2], ["expired", "created"]);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_dropped_is_told_when_it_happens_again() {
    let (client, arrived) = api_server(201, Duration::ZERO);
    let (recorder, task) = recorder(client);
    for object in 0..QUEUE {
        tell(&recorder, &format!("user-{object}"), "created");
    }
    tell(&recorder, "alice", "created");
    assert_eq!(recorder.dropped(), 1);
    let stop = CancellationToken::new();
    let task = tokio::spawn(task.run(stop.clone()));
    arrived.reach(1).await;
    tell(&recorder, "alice", "created");
    assert_eq!(recorder.dropped(), 1);
    arrived.reach(QUEUE + 1).await;
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refusals_and_failures_of_the_api_server_stop_nothing() {
    for status in [403, 404, 409, 422, 429, 500, 503] {
        let (client, arrived) = api_server(status, Duration::ZERO);
        let (recorder, task) = recorder(client);
        let stop = CancellationToken::new();
        let task = tokio::spawn(task.run(stop.clone()));
        tell(&recorder, "alice", "one");
        tell(&recorder, "alice", "two");
        arrived.reach(2).await;
        stop.cancel();
        task.await.unwrap();
        let names: HashSet<_> = arrived.all().iter().map(|e| e["metadata"]["name"].clone()).collect();
        assert_eq!(names.len(), 2, "{status}: each is tried once");
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_hangs_costs_each_event_five_seconds() {
    let (client, arrived) = api_server(201, Duration::from_hours(1));
    let (recorder, task) = recorder(client);
    let stop = CancellationToken::new();
    let task = tokio::spawn(task.run(stop.clone()));
    for object in 0..10 {
        tell(&recorder, &format!("user-{object}"), "created");
    }
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(arrived.count(), 3);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_waits_at_the_end_is_written() {
    let (client, arrived) = api_server(201, Duration::from_millis(20));
    let (recorder, task) = recorder(client);
    for object in 0..10 {
        tell(&recorder, &format!("user-{object}"), "created");
    }
    let stop = CancellationToken::new();
    stop.cancel();
    task.run(stop).await;
    assert_eq!(arrived.count(), 10);
    assert_eq!(recorder.dropped(), 0);
    tell(&recorder, "late", "created");
    assert_eq!(recorder.dropped(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_takes_half_a_second_at_most_and_counts_what_is_left() {
    let (client, arrived) = api_server(201, Duration::from_millis(300));
    let (recorder, task) = recorder(client);
    for object in 0..10 {
        tell(&recorder, &format!("user-{object}"), "created");
    }
    let stop = CancellationToken::new();
    stop.cancel();
    let start = Instant::now();
    task.run(stop).await;
    assert!(start.elapsed() < Duration::from_millis(600), "{:?}", start.elapsed());
    assert_eq!(arrived.count(), 2);
    assert_eq!(recorder.dropped(), 8);
}
