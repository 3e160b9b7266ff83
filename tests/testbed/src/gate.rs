//! A gate in the way of the operator's requests: it counts the mutating ones, and can stop one before it is forwarded or
//! after it was carried out, answer some itself, lose answers, and hold a request up while a test acts.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::{self, Body},
    extract::State,
    http::{Method, Request, StatusCode},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use kube::Client;
use serde_json::json;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};

use crate::intercept::{Hold, Interception, Intercepts, Matcher, Moment, Reply};

/// More than any object here is.
const LARGEST_BODY: usize = 4 << 20;

/// The upstream that is the API server.
pub(crate) const KUBERNETES: &str = "Kubernetes";

/// A request that is stopped for good: it never gets an answer.
pub struct Stop {
    moment: Moment,
    is_it: Box<dyn FnMut(&Passed) -> bool + Send>,
}

impl Stop {
    /// The first request that `is_it` recognises is not forwarded, or is carried out and its answer withheld.
    pub fn at(moment: Moment, is_it: impl FnMut(&Passed) -> bool + Send + 'static) -> Self {
        let is_it = Box::new(is_it);
        Self { moment, is_it }
    }
}

/// A mutating request that went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// `ACS` or `Kubernetes`.
    pub upstream: &'static str,
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
}

/// What the gates of one world share: one numbering over all upstreams.
#[derive(Clone)]
pub struct Traffic(Arc<Shared>);

struct Shared {
    state: Mutex<Counted>,
    /// All that was written to the API server but Secrets: statuses, annotations, events.
    told: Mutex<String>,
    stopped: watch::Sender<bool>,
}

#[derive(Default)]
struct Counted {
    passed: Vec<Passed>,
    stop: Option<Stop>,
    intercepts: Intercepts,
    refused_reads: Option<(Matcher, u16)>,
}

/// What is done with one request, besides counting it.
#[derive(Default)]
struct Treatment {
    stop: Option<Moment>,
    interception: Option<Interception>,
}

impl Traffic {
    /// Nothing counted, nothing stopped.
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            told: Mutex::default(),
            stopped: watch::Sender::new(false),
        }))
    }

    /// The mutating requests since the last [`reset`](Self::reset), events, leases and probes of connections left out.
    pub fn passed(&self) -> Vec<Passed> {
        self.lock().passed.clone()
    }

    /// Counts anew, stops the request that `stop` names, and lets all others pass.
    pub fn reset(&self, stop: Option<Stop>) {
        *self.lock() = Counted {
            stop,
            ..Counted::default()
        };
        self.0.stopped.send_replace(false);
    }

    /// Waits until the request is stopped.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn stopped(&self, within: Duration) -> Result<()> {
        let mut stopped = self.0.stopped.subscribe();
        timeout(within, stopped.wait_for(|stopped| *stopped))
            .await
            .with_context(|| {
                format!(
                    "the request to stop did not come within {within:?}: {:?}",
                    self.passed()
                )
            })??;
        Ok(())
    }

    /// Replies to the next `times` mutating requests that match.
    pub fn intercept(&self, matcher: Matcher, times: usize, reply: Reply) {
        self.lock().intercepts.reply(matcher, times, reply);
    }

    /// How many requests were replied to by [`intercept`](Self::intercept), since the last [`reset`](Self::reset).
    pub fn intercepted(&self) -> usize {
        self.lock().intercepts.replied()
    }

    /// Replies to no request any more. The count of those that were replied to stays.
    pub fn let_pass(&self) {
        self.lock().intercepts.let_pass();
    }

    /// Refuses every read that matches with this status; its path has the query too.
    pub fn refuse_reads(&self, matcher: Matcher, status: u16) {
        self.lock().refused_reads = Some((matcher, status));
    }

    /// Refuses no read any more.
    pub fn let_read(&self) {
        self.lock().refused_reads = None;
    }

    /// Holds up the next mutating request that matches, before it is forwarded or before its answer is.
    pub fn hold(&self, moment: Moment, matcher: Matcher) -> Hold {
        self.lock().intercepts.hold(moment, matcher)
    }

    /// All that the operator wrote to the API server but Secrets, since the beginning: statuses, annotations, events.
    pub fn told(&self) -> String {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, body: &[u8]) {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.push_str(&String::from_utf8_lossy(body));
        told.push('\n');
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request; returns what is to be done with it.
    fn count(&self, request: Passed) -> Treatment {
        let mut counted = self.lock();
        let interception = counted.intercepts.meet(&request);
        let stop = counted.stop.take_if(|stop| (stop.is_it)(&request));
        counted.passed.push(request);
        Treatment {
            stop: stop.map(|stop| stop.moment),
            interception,
        }
    }

    /// With which status a read is refused, if it is.
    fn refusal_of(&self, read: &Passed) -> Option<u16> {
        let refused = self.lock().refused_reads;
        refused.filter(|(matcher, _)| matcher(read)).map(|(_, status)| status)
    }

    /// Tells the test, and holds the request until its sender is gone.
    async fn stop(&self) -> Response {
        self.0.stopped.send_replace(true);
        std::future::pending().await
    }
}

impl Default for Traffic {
    fn default() -> Self {
        Self::new()
    }
}

/// A gate in front of one upstream. It ends when it is dropped.
pub struct Gate {
    address: SocketAddr,
    cut: watch::Sender<bool>,
    events_held: watch::Sender<bool>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Way {
    upstream: &'static str,
    client: Client,
    traffic: Traffic,
    cut: watch::Receiver<bool>,
    events_held: watch::Receiver<bool>,
}

impl Gate {
    /// Opens a gate on a free loopback port. `client` forwards, with its own credentials if it has any.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn open(upstream: &'static str, client: Client, traffic: Traffic) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (cut, events_held) = (watch::Sender::new(false), watch::Sender::new(false));
        let way = Way {
            upstream,
            client,
            traffic,
            cut: cut.subscribe(),
            events_held: events_held.subscribe(),
        };
        let routes = Router::new().fallback(pass).with_state(way);
        let server = tokio::spawn(async move {
            // It is aborted, never asked to end.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self {
            address,
            cut,
            events_held,
            server,
        })
    }

    /// No request that comes from now on is forwarded or answered, as when the network is cut.
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Holds back what watches would tell from now on, as a slow API server does.
    pub fn hold_events(&self) {
        self.events_held.send_replace(true);
    }

    /// Lets watches tell what was held back, and all that follows.
    pub fn release_events(&self) {
        self.events_held.send_replace(false);
    }

    /// Where the gate listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Whether a call to ACS is about the identity of nobody, by which a connection proves itself.
pub(crate) fn is_probe(path: &str) -> bool {
    path.contains("acs%3A00000000-0000-0000-0000-000000000000_")
}

async fn pass(State(mut way): State<Way>, request: Request<Body>) -> Response {
    if way.cut.wait_for(|cut| !cut).await.is_err() {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let mutating = !matches!(*request.method(), Method::GET | Method::HEAD);
    if !mutating {
        let read = Passed {
            upstream: way.upstream,
            method: request.method().clone(),
            path: request.uri().to_string(),
        };
        if let Some(status) = way.traffic.refusal_of(&read) {
            return refusal(status);
        }
    }
    let path = request.uri().path().to_owned();
    let by_the_way = ["/events", "authorization.k8s.io", "/leases"]
        .iter()
        .any(|part| path.contains(part));
    let by_the_way = by_the_way || is_probe(&path);
    let treatment = if mutating && !by_the_way {
        way.traffic.count(Passed {
            upstream: way.upstream,
            method: request.method().clone(),
            path,
        })
    } else {
        Treatment::default()
    };
    match &treatment {
        Treatment {
            stop: Some(Moment::Before),
            ..
        } => return way.traffic.stop().await,
        Treatment {
            interception: Some(Interception::Reply(Reply::Status(code))),
            ..
        } => return refusal(*code),
        Treatment {
            interception: Some(Interception::Hold(hold)),
            ..
        } => hold.pass(Moment::Before).await,
        _ => {}
    }
    let answer = forward(&way, request).await;
    match &treatment {
        Treatment {
            stop: Some(Moment::After),
            ..
        } => return way.traffic.stop().await,
        Treatment {
            interception: Some(Interception::Reply(Reply::LoseAnswer)),
            ..
        } => return (StatusCode::BAD_GATEWAY, "the answer is lost").into_response(),
        Treatment {
            interception: Some(Interception::Hold(hold)),
            ..
        } => hold.pass(Moment::After).await,
        _ => {}
    }
    answer
}

async fn forward(way: &Way, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let body = match body::to_bytes(body, LARGEST_BODY).await {
        Ok(body) => {
            // Tokens are at home in Secrets, and connection strings only pass ours by as metadata.
            if way.upstream == KUBERNETES && !head.uri.path().contains("/secrets") {
                way.traffic.note(&body);
            }
            kube::client::Body::from(body.to_vec())
        }
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let is_watch = head.uri.query().is_some_and(|query| query.contains("watch=true"));
    match way.client.send(Request::from_parts(head, body)).await {
        Ok(answer) if is_watch => answer.map(|body| held_back(Body::new(body), way.events_held.clone())),
        Ok(answer) => answer.map(Body::new),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// The same stream, of which nothing comes as long as it is held.
fn held_back(body: Body, held: watch::Receiver<bool>) -> Body {
    Body::from_stream(body.into_data_stream().then(move |data| {
        let mut held = held.clone();
        async move {
            // Once the gate is gone nobody reads it either.
            let _ = held.wait_for(|held| !held).await;
            data
        }
    }))
}

/// A refusal as the API server words it.
fn refusal(code: u16) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reason = status.canonical_reason().unwrap_or_default().replace(' ', "");
    let words = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": "refused by the gate of a test",
    });
    (status, axum::Json(words)).into_response()
}
