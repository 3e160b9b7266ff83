//! The service on TCP: accepts connections and speaks HTTP/1.1 on them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::answer::Answer;
use crate::control::Shared;
use crate::delivery::{AnswerBody, Cut, deliver};
use crate::exchange::{Delivery, exchange};
use crate::refusal::Refusal;
use crate::request::Request;

/// No request of this service is nearly as long.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// For a handshake, the headers or the body of a request to arrive.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(30);
/// After a failed accept, for example for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until it is dropped, and with it every connection.
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, tls.clone(), Arc::clone(&shared)));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    match tls {
        None => speak(stream, shared).await,
        Some(tls) => match tokio::time::timeout(ARRIVAL_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => speak(stream, shared).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        },
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ARRIVAL_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Processes a request in a task of its own: a client that hangs up does not stop the service, as it would not stop Azure.
async fn answer(request: hyper::Request<Incoming>, shared: Arc<Shared>) -> Result<hyper::Response<AnswerBody>, Cut> {
    let request = match receive(request).await {
        Ok(request) => request,
        Err(delivery) => return deliver(delivery),
    };
    let task = tokio::spawn(async move { exchange(&shared, &request).await });
    deliver(task.await.unwrap_or(Delivery::Cut))
}

/// Reads the whole request.
async fn receive(request: hyper::Request<Incoming>) -> Result<Request, Delivery> {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(ARRIVAL_TIMEOUT, body_of(body))
        .await
        .map_err(|_| Delivery::Cut)??;
    let target = head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    Ok(Request {
        method: head.method,
        target,
        headers: head.headers,
        body,
    })
}

async fn body_of(body: Incoming) -> Result<Bytes, Delivery> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Delivery::Whole(too_large())),
        Err(_) => Err(Delivery::Cut),
    }
}

fn too_large() -> Answer {
    let message = format!("The body is longer than {MAX_BODY_BYTES} bytes.");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge", message).answer()
}
