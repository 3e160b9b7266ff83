//! A gate in the way of the operator's requests: it counts the mutating ones, and can stop one before it is forwarded or
//! after it was carried out, answer some itself, lose answers, and hold a request up while a test acts.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    body::{self, Body, Bytes},
    http::{Method, Request, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, TryStreamExt, stream};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::Client;
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

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
    requests: usize,
    page: Option<usize>,
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

    /// How many requests of any kind came since the last [`reset`](Self::reset), leases and probes of connections left out.
    pub fn requests(&self) -> usize {
        self.lock().requests
    }

    /// Replies to the next `times` mutating requests that match.
    pub fn intercept(&self, matcher: impl Fn(&Passed) -> bool + Send + 'static, times: usize, reply: Reply) {
        self.lock().intercepts.reply(matcher, false, times, reply);
    }

    /// Replies to the next `times` requests of any kind that match: reads, events and leases too. The path of a read has its query.
    pub fn disturb(&self, matcher: impl Fn(&Passed) -> bool + Send + 'static, times: usize, reply: Reply) {
        self.lock().intercepts.reply(matcher, true, times, reply);
    }

    /// How many requests were replied to in these two ways, since the last [`reset`](Self::reset).
    pub fn intercepted(&self) -> usize {
        self.lock().intercepts.replied()
    }

    /// Replies to no request any more. The count of those that were replied to stays.
    pub fn let_pass(&self) {
        self.lock().intercepts.let_pass();
    }

    /// Lists come in pages of so many objects, until the next [`reset`](Self::reset).
    pub fn pages_of(&self, objects: usize) {
        self.lock().page = Some(objects);
    }

    /// The same address, with the size of a page that is chosen.
    fn paged(&self, uri: Uri) -> Uri {
        let Some(objects) = self.lock().page else { return uri };
        let address = uri.to_string();
        let Some((before, rest)) = address.split_once("limit=") else {
            return uri;
        };
        let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        format!("{before}limit={objects}{rest}").parse().unwrap_or(uri)
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

    /// Takes note of a request, and counts one that `matters`; returns what is to be done with it.
    fn meet(&self, request: Passed, matters: bool) -> Treatment {
        let mut counted = self.lock();
        counted.requests += usize::from(!is_by_the_way(&request));
        let interception = counted.intercepts.meet(&request, matters);
        if !matters {
            return Treatment {
                stop: None,
                interception,
            };
        }
        let stop = counted.stop.take_if(|stop| (stop.is_it)(&request));
        counted.passed.push(request);
        Treatment {
            stop: stop.map(|stop| stop.moment),
            interception,
        }
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
    watches_ended: watch::Sender<()>,
    way: Way,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Way {
    upstream: &'static str,
    client: Client,
    traffic: Traffic,
    cut: watch::Receiver<bool>,
    events_held: watch::Receiver<bool>,
    watches_ended: watch::Receiver<()>,
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
        let watches_ended = watch::Sender::new(());
        let way = Way {
            upstream,
            client,
            traffic,
            cut: cut.subscribe(),
            events_held: events_held.subscribe(),
            watches_ended: watches_ended.subscribe(),
        };
        let server = tokio::spawn(serve(listener, way.clone()));
        Ok(Self {
            address,
            cut,
            events_held,
            watches_ended,
            way,
            server,
        })
    }

    /// No request that comes from now on is forwarded or answered, as when the network is cut.
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Forwards what was not forwarded, and all that follows.
    pub fn mend(&self) {
        self.cut.send_replace(false);
    }

    /// Closes every connection and refuses new ones, as when the upstream has died.
    pub async fn close(&mut self) {
        self.server.abort();
        // It is over when this returns, which is an error because it was aborted.
        let _ = (&mut self.server).await;
    }

    /// Accepts connections again after [`close`](Self::close).
    ///
    /// # Errors
    /// When somebody else has the port by now.
    pub async fn reopen(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.server = tokio::spawn(serve(listener, self.way.clone()));
        Ok(())
    }

    /// Holds back what watches would tell from now on, as a slow API server does.
    pub fn hold_events(&self) {
        self.events_held.send_replace(true);
    }

    /// Lets watches tell what was held back, and all that follows.
    pub fn release_events(&self) {
        self.events_held.send_replace(false);
    }

    /// Ends all watches in order, as the API server does now and then.
    pub fn end_watches(&self) {
        self.watches_ended.send_replace(());
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

/// Ends the connection that a request came on.
#[derive(Debug)]
struct Cut;

impl std::error::Error for Cut {}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut by a test")
    }
}

/// Serves until it is dropped, and with it every connection.
async fn serve(listener: TcpListener, way: Way) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let way = way.clone();
                let service = service_fn(move |request: Request<Incoming>| pass(way.clone(), request.map(Body::new)));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
            // How a connection ends is between its two ends.
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Whether a call to ACS is about the identity of nobody, by which a connection proves itself.
pub(crate) fn is_probe(path: &str) -> bool {
    path.contains("acs%3A00000000-0000-0000-0000-000000000000_")
}

/// Whether it happens at its own times, whatever there is to do.
fn is_by_the_way(request: &Passed) -> bool {
    request.path.contains("/leases") || is_probe(&request.path)
}

/// Whether it is counted: it changes something, and follows from what there is to do.
fn matters(request: &Passed) -> bool {
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    let aside = ["/events", "authorization.k8s.io"];
    !reads && !is_by_the_way(request) && !aside.iter().any(|part| request.path.contains(part))
}

async fn pass(mut way: Way, request: Request<Body>) -> Result<Response, Cut> {
    if way.cut.wait_for(|cut| !cut).await.is_err() {
        return Err(Cut);
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = if reads {
        request.uri().to_string()
    } else {
        request.uri().path().to_owned()
    };
    let passed = Passed {
        upstream: way.upstream,
        method: request.method().clone(),
        path,
    };
    let matters = matters(&passed);
    let treatment = way.traffic.meet(passed, matters);
    match &treatment {
        Treatment {
            stop: Some(Moment::Before),
            ..
        } => return Ok(way.traffic.stop().await),
        Treatment {
            interception: Some(Interception::Reply(reply)),
            ..
        } if !reply.forwards() => return instead(*reply).await,
        Treatment {
            interception: Some(Interception::Hold(hold)),
            ..
        } => hold.pass(Moment::Before).await,
        _ => {}
    }
    let answer = forward(&way, request).await;
    match treatment {
        Treatment {
            stop: Some(Moment::After),
            ..
        } => return Ok(way.traffic.stop().await),
        Treatment {
            interception: Some(Interception::Reply(reply)),
            ..
        } => return Ok(spoiled(reply, answer)),
        Treatment {
            interception: Some(Interception::Hold(hold)),
            ..
        } => hold.pass(Moment::After).await,
        _ => {}
    }
    Ok(answer)
}

/// The reply to a request that is not forwarded.
async fn instead(reply: Reply) -> Result<Response, Cut> {
    match reply {
        Reply::Status(code) => Ok(refusal(code)),
        Reply::Throttled(seconds) => {
            let mut refusal = refusal(429);
            refusal.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            Ok(refusal)
        }
        Reply::Silence => std::future::pending().await,
        _ => Err(Cut),
    }
}

/// What is made of the upstream's answer.
fn spoiled(reply: Reply, answer: Response) -> Response {
    match reply {
        Reply::CutAnswer => answer.map(|body| {
            let beginning = body
                .into_data_stream()
                .take(1)
                .map_ok(|data| data.slice(..data.len() / 2));
            Body::from_stream(
                beginning
                    .map_err(io::Error::other)
                    .chain(stream::once(async { Err(io::Error::other(Cut)) })),
            )
        }),
        Reply::Rewritten(rewrite) => {
            let (mut head, body) = answer.into_parts();
            head.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(head, lines_rewritten(body, rewrite))
        }
        _ => (StatusCode::BAD_GATEWAY, "the answer is lost").into_response(),
    }
}

/// An answer is one line, and so is an event of a watch; a piece of a stream may end anywhere.
fn lines_rewritten(body: Body, rewrite: fn(&str) -> String) -> Body {
    let end = stream::once(async { Ok(Bytes::new()) });
    let pieces = body
        .into_data_stream()
        .chain(end)
        .scan(Vec::new(), move |begun, piece| {
            let piece = piece.map(|piece| {
                let is_end = piece.is_empty();
                begun.extend_from_slice(&piece);
                let whole = match begun.iter().rposition(|byte| *byte == b'\n') {
                    _ if is_end => begun.len(),
                    Some(at) => at + 1,
                    None => 0,
                };
                let whole: Vec<u8> = begun.drain(..whole).collect();
                Bytes::from(rewrite(&String::from_utf8_lossy(&whole)))
            });
            std::future::ready(Some(piece))
        });
    Body::from_stream(pieces)
}

async fn forward(way: &Way, request: Request<Body>) -> Response {
    let (mut head, body) = request.into_parts();
    head.uri = way.traffic.paged(head.uri);
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
        Ok(answer) if is_watch => answer.map(|body| watched(Body::new(body), way)),
        Ok(answer) => answer.map(Body::new),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// The same stream, of which nothing comes as long as it is held, until all watches are ended.
fn watched(body: Body, way: &Way) -> Body {
    let (held, mut ended) = (way.events_held.clone(), way.watches_ended.clone());
    // One that was ended before this began does not count.
    ended.mark_unchanged();
    let events = body.into_data_stream().then(move |data| {
        let mut held = held.clone();
        async move {
            // Once the gate is gone nobody reads it either.
            let _ = held.wait_for(|held| !held).await;
            data
        }
    });
    Body::from_stream(events.take_until(async move { ended.changed().await.ok() }))
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
