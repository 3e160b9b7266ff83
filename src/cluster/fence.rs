//! The way to the API server that only the leader may write through.

use http::{Method, Request};
use kube::{Client, client::Body};
use tower::{BoxError, service_fn};

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
    let fence = service_fn(move |request: Request<Body>| {
        let (client, hold) = (client.clone(), hold.clone());
        async move {
            let reads = matches!(*request.method(), Method::GET | Method::HEAD);
            let exempt = request.extensions().get::<FinishesCreate>().is_some();
            if reads || exempt || hold.is_held() {
                Ok::<_, BoxError>(client.send(request).await?)
            } else {
                Err(NotLeading.into())
            }
        }
    });
    Client::new(fence, namespace)
}
