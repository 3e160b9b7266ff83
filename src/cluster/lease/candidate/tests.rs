//! What a real API server does too rarely to be waited for: its answers get lost, its watch is late, somebody else is faster.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Instant,
};

use futures::future::{BoxFuture, pending};
use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::Value;
use tokio::sync::watch;
use tower::Service;

use super::*;
use crate::cluster::lease::Election;

/// An API server with one Lease, whose watch never tells anything.
#[derive(Clone)]
struct Stub {
    lease: Arc<Mutex<Option<Value>>>,
    manner: Manner,
    was_asked: watch::Sender<bool>,
    has_listed: watch::Sender<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// The first list has nothing, and is answered when the Lease is being created; that is answered after it.
    ListsWhileItIsCreated,
    /// The Lease is created, and nobody is told.
    LosesTheAnswerToACreate,
    /// Somebody has the Lease before the first renewal.
    IsOvertaken,
    /// The first question is forbidden, and later ones come at a bad time.
    RefusesAndThenFails,
}

impl Stub {
    fn new(manner: Manner) -> Self {
        Self {
            lease: Arc::default(),
            manner,
            was_asked: watch::Sender::new(false),
            has_listed: watch::Sender::new(false),
        }
    }

    fn holder(&self) -> Value {
        self.lease.lock().unwrap().as_ref().unwrap()["spec"]["holderIdentity"].clone()
    }

    fn keep(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut lease = self.lease.lock().unwrap();
        let mut changed = lease.take().unwrap_or_else(|| json!({}));
        change(&mut changed);
        let version = changed["metadata"]["resourceVersion"].as_str().unwrap_or("1");
        let version: u64 = version.parse().unwrap();
        let kept = json!({
            "metadata": {
                "name": "acs-operator", "namespace": "ours", "uid": "u", "resourceVersion": (version + 1).to_string(),
            },
            "spec": changed["spec"],
        });
        *lease = Some(kept.clone());
        kept
    }

    async fn answer(self, request: Request<Body>) -> (u16, Value) {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let is_object = request.uri().path().ends_with("/acs-operator");
        let method = request.method().clone();
        let body = request.into_body().collect_bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        match method {
            Method::GET if query.contains("watch=") => pending().await,
            Method::GET if is_object && self.manner == Manner::RefusesAndThenFails => {
                let was_asked = self.was_asked.send_replace(true);
                let (code, message) = if was_asked {
                    (503, "overloaded")
                } else {
                    (403, "forbidden")
                };
                (code, json!({"code": code, "message": message, "status": "Failure"}))
            }
            Method::GET if is_object => match self.lease.lock().unwrap().clone() {
                Some(lease) => (200, lease),
                None => (
                    404,
                    json!({"code": 404, "reason": "NotFound", "message": "none", "status": "Failure"}),
                ),
            },
            Method::GET => {
                if self.manner == Manner::ListsWhileItIsCreated {
                    let _ = self.was_asked.subscribe().wait_for(|asked| *asked).await;
                }
                self.has_listed.send_replace(true);
                (200, json!({"metadata": {"resourceVersion": "1"}, "items": []}))
            }
            Method::POST => {
                let created = self.keep(|lease| *lease = body);
                self.was_asked.send_replace(true);
                match self.manner {
                    Manner::LosesTheAnswerToACreate => pending().await,
                    Manner::ListsWhileItIsCreated => {
                        let _ = self.has_listed.subscribe().wait_for(|listed| *listed).await;
                        // The list is taken in before this answer is.
                        sleep(Duration::from_millis(100)).await;
                    }
                    Manner::IsOvertaken => drop(self.keep(|lease| lease["spec"]["holderIdentity"] = json!("usurper"))),
                    Manner::RefusesAndThenFails => {}
                }
                (201, created)
            }
            _ => {
                let known = self.lease.lock().unwrap().as_ref().unwrap()["metadata"]["resourceVersion"].clone();
                if body["metadata"]["resourceVersion"] != known {
                    return (
                        409,
                        json!({"code": 409, "reason": "Conflict", "message": "changed", "status": "Failure"}),
                    );
                }
                (200, self.keep(|lease| lease["spec"] = body["spec"].clone()))
            }
        }
    }
}

impl Service<Request<Body>> for Stub {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let stub = self.clone();
        Box::pin(async move {
            let (code, body) = stub.answer(request).await;
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Ok(Response::builder().status(code).body(body).unwrap())
        })
    }
}

async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), event).await.expect("it happens")
}

fn candidate(stub: &Stub, duration: Duration) -> (Election, Hold) {
    candidate_with(stub, duration, Box::new(|_| {}))
}

fn candidate_with(stub: &Stub, duration: Duration, on_refusal: OnRefusal) -> (Election, Hold) {
    let settings = LeaseSettings {
        namespace: "ours".to_owned(),
        name: "acs-operator".to_owned(),
        identity: "me".to_owned(),
        duration,
    };
    let client = Client::new(stub.clone(), "ours");
    Election::new(client, settings, Clock::system(), on_refusal)
}

#[tokio::test]
async fn a_lease_that_was_created_while_the_first_list_came_in_is_given_back() {
    let stub = Stub::new(Manner::ListsWhileItIsCreated);
    let (election, hold) = candidate(&stub, Duration::from_mins(2));
    let resign = CancellationToken::new();
    let election = tokio::spawn(election.run(resign.clone()));
    soon(hold.begun()).await;
    assert_eq!(stub.holder(), "me");
    resign.cancel();
    soon(election).await.unwrap().unwrap();
    assert_eq!(stub.holder(), Value::Null);
}

#[tokio::test]
async fn who_resigns_before_it_knows_that_it_has_won_gives_the_lease_back_too() {
    let stub = Stub::new(Manner::LosesTheAnswerToACreate);
    let (election, hold) = candidate(&stub, Duration::from_secs(5));
    let resign = CancellationToken::new();
    let election = tokio::spawn(election.run(resign.clone()));
    soon(stub.was_asked.subscribe().wait_for(|asked| *asked)).await.unwrap();
    resign.cancel();
    soon(election).await.unwrap().unwrap();
    assert!(!hold.is_held());
    assert_eq!(stub.holder(), Value::Null);
}

#[tokio::test]
async fn who_learns_from_a_renewal_that_another_has_it_ends_at_once() {
    let stub = Stub::new(Manner::IsOvertaken);
    let duration = Duration::from_secs(15);
    let (election, hold) = candidate(&stub, duration);
    let election = tokio::spawn(election.run(CancellationToken::new()));
    soon(hold.begun()).await;
    let begun = Instant::now();
    let lost = soon(election).await.unwrap().unwrap_err();
    assert!(matches!(lost, LeaseLost::Taken { .. }), "{lost}");
    let pace = Pace::of(duration);
    assert!(begun.elapsed() < pace.renew + pace.retry, "{:?}", begun.elapsed());
    assert_eq!(stub.holder(), "usurper", "it is left alone");
}

#[tokio::test]
async fn after_a_refusal_readiness_tells_what_there_is_by_now() {
    let stub = Stub::new(Manner::RefusesAndThenFails);
    let told = watch::Sender::new(Vec::new());
    let telling = told.clone();
    let on_refusal = Box::new(move |refusal: Option<&str>| {
        telling.send_modify(|told| told.push(refusal.map(str::to_owned)));
    });
    let (election, _) = candidate_with(&stub, Duration::from_secs(3), on_refusal);
    let resign = CancellationToken::new();
    let election = tokio::spawn(election.run(resign.clone()));
    let told = soon(told.subscribe().wait_for(|told| told.len() == 2))
        .await
        .unwrap()
        .clone();
    resign.cancel();
    soon(election).await.unwrap().unwrap();
    let told: Vec<_> = told.into_iter().map(Option::unwrap).collect();
    assert!(told[0].starts_with("lease ours/acs-operator: forbidden"), "{told:?}");
    assert_eq!(told[1], "lease ours/acs-operator: overloaded");
}
