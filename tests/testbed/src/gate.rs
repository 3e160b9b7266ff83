//! A gate in the way of the operator's requests: it counts the mutating ones, and can stop one before it is forwarded or
//! after it was carried out, with the answer withheld.

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
use kube::Client;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};

/// More than any object here is.
const LARGEST_BODY: usize = 4 << 20;

/// Where the gate stops a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The request with this number (from 0) is not forwarded.
    Before(usize),
    /// The request with this number is carried out; its answer is withheld.
    After(usize),
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
    stopped: watch::Sender<bool>,
}

#[derive(Default)]
struct Counted {
    passed: Vec<Passed>,
    stop: Option<Stop>,
}

impl Traffic {
    /// Nothing counted, nothing stopped.
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            stopped: watch::Sender::new(false),
        }))
    }

    /// The mutating requests since the last [`reset`](Self::reset), those about events left out.
    pub fn passed(&self) -> Vec<Passed> {
        self.lock().passed.clone()
    }

    /// Counts anew, and stops the request that `stop` names.
    pub fn reset(&self, stop: Option<Stop>) {
        *self.lock() = Counted {
            passed: Vec::new(),
            stop,
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request; returns where it has to be stopped.
    fn count(&self, request: Passed) -> Option<Stop> {
        let mut counted = self.lock();
        let number = counted.passed.len();
        counted.passed.push(request);
        counted
            .stop
            .take_if(|stop| matches!(*stop, Stop::Before(n) | Stop::After(n) if n == number))
    }

    /// Tells the test, and holds the request until its sender is gone.
    async fn hold(&self) -> Response {
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
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Way {
    upstream: &'static str,
    client: Client,
    traffic: Traffic,
}

impl Gate {
    /// Opens a gate on a free loopback port. `client` forwards, with its own credentials if it has any.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn open(upstream: &'static str, client: Client, traffic: Traffic) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let way = Way {
            upstream,
            client,
            traffic,
        };
        let routes = Router::new().fallback(pass).with_state(way);
        let server = tokio::spawn(async move {
            // It is aborted, never asked to end.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, server })
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

async fn pass(State(way): State<Way>, request: Request<Body>) -> Response {
    let mutating = !matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path().to_owned();
    let about_reviews_or_events = path.contains("/events") || path.contains("authorization.k8s.io");
    let stop = if mutating && !about_reviews_or_events {
        way.traffic.count(Passed {
            upstream: way.upstream,
            method: request.method().clone(),
            path,
        })
    } else {
        None
    };
    if matches!(stop, Some(Stop::Before(_))) {
        return way.traffic.hold().await;
    }
    let (head, body) = request.into_parts();
    let body = match body::to_bytes(body, LARGEST_BODY).await {
        Ok(body) => kube::client::Body::from(body.to_vec()),
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let answer = way.client.send(Request::from_parts(head, body)).await;
    if matches!(stop, Some(Stop::After(_))) {
        return way.traffic.hold().await;
    }
    match answer {
        Ok(answer) => answer.map(Body::new),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
