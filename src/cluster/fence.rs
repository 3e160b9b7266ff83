//! The way to the API server that only the leader may write through.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::{Client, client::Body};
use tower::{BoxError, Service};

use super::lease::Hold;

/// The request was not sent: this process does not hold the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this replica does not lead, so it writes nothing")]
pub struct NotLeading;

/// Marks a request that finishes a create which was sent while the lease was held: its identity is recorded. That may be done
/// without it, for otherwise nobody would ever know the id.
#[derive(Debug, Clone, Copy)]
pub(super) struct FinishesCreate;

/// `client`, which sends a request that changes anything only while `hold` is held, or if it
/// finishes a create that was sent before (see [`FinishingCreate`](super::writes::FinishingCreate)).
/// It is asked at the last moment, so whoever got a client from here cannot forget to ask.
///
/// Refused requests fail with [`NotLeading`] as the cause.
pub fn fenced(client: Client, hold: Hold) -> Client {
    let namespace = client.default_namespace().to_owned();
    Client::new(Fenced { client, hold }, namespace)
}

struct Fenced {
    client: Client,
    hold: Hold,
}

impl Service<Request<Body>> for Fenced {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (client, hold) = (self.client.clone(), self.hold.clone());
        Box::pin(async move {
            let reads = matches!(*request.method(), Method::GET | Method::HEAD);
            let exempt = request.extensions().get::<FinishesCreate>().is_some();
            if reads || exempt || hold.is_held() {
                Ok(client.send(request).await?)
            } else {
                Err(NotLeading.into())
            }
        })
    }
}
