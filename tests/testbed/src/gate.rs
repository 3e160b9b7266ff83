//! A gate in the way of the operator's requests to one upstream: what [`Traffic`] says of each is done with it, and the whole way
//! can be cut, closed or slowed down.

mod replies;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::{
    body::{self, Body},
    http::{Method, Request, StatusCode},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::Client;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use self::replies::{Cut, instead, spoiled};
use crate::{
    CEILING,
    intercept::{Interception, Moment, Reply},
    traffic::{Passed, Traffic, Treatment},
};

/// More than any object here is.
const LARGEST_BODY: usize = 4 << 20;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// The upstream that is the API server.
pub(crate) const KUBERNETES: &str = "Kubernetes";

/// A gate in front of one upstream. It ends when it is dropped.
pub struct Gate {
    address: SocketAddr,
    cut: watch::Sender<bool>,
    events_held: watch::Sender<bool>,
    watches_ended: watch::Sender<()>,
    way: Way,
    server: JoinHandle<()>,
    /// The port while nobody listens on it: whoever else got it would get the operator's requests as well.
    reserved: Option<TcpSocket>,
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
            reserved: None,
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
    ///
    /// # Errors
    /// When the port cannot be kept for [`reopen`](Self::reopen).
    pub async fn close(&mut self) -> Result<()> {
        self.server.abort();
        // It is over when this returns, which is an error because it was aborted.
        let _ = (&mut self.server).await;
        let begun = Instant::now();
        loop {
            let socket = TcpSocket::new_v4()?;
            // Its former connections may linger.
            socket.set_reuseaddr(true)?;
            match socket.bind(self.address) {
                // A process that is being started has what this one has open until it runs its own program, the port as well.
                Err(error) if error.kind() == ErrorKind::AddrInUse && begun.elapsed() < CEILING => {
                    sleep(Duration::from_millis(1)).await;
                }
                bound => {
                    bound?;
                    self.reserved = Some(socket);
                    return Ok(());
                }
            }
        }
    }

    /// Accepts connections again after [`close`](Self::close).
    ///
    /// # Errors
    /// When it was not closed, or cannot listen.
    pub fn reopen(&mut self) -> Result<()> {
        let socket = self.reserved.take().context("the gate is open")?;
        let listener = socket.listen(BACKLOG)?;
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
    let treatment = way.traffic.meet(passed);
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
            interception: Some(Interception::Reply(Reply::Late(wait))),
            ..
        } => sleep(*wait).await,
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
