//! A client that waits only so long for an answer.

use std::time::Duration;

use http::{Request, Response};
use kube::{Client, client::Body};
use tokio::{sync::watch as latest, time::timeout};
use tower::{BoxError, service_fn};

/// The longest wait for a page of a list, or for the first word about a watch. kube waits for ever, and a connection
/// that died without a word would hold up the watch until the operating system gives it up, a quarter of an hour later. With the
/// pause after it this is less than half a minute, in which work is to go on after an outage.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Changes whenever the API server takes up a watch, of which kube says nothing before there is news.
pub(super) type TakenUp = latest::Receiver<()>;

/// `client`, whose requests fail when they are not answered in time, and what it hears of its watches. A watch is answered when
/// it begins.
pub(super) fn impatient(client: Client) -> (Client, TakenUp) {
    let namespace = client.default_namespace().to_owned();
    let (takes_up, taken_up) = latest::channel(());
    let impatient = service_fn(move |request: Request<Body>| {
        let answer = answer(client.clone(), takes_up.clone(), request);
        async {
            match timeout(PATIENCE, answer).await {
                Ok(answer) => Ok::<_, BoxError>(answer?),
                Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs()).into()),
            }
        }
    });
    (Client::new(impatient, namespace), taken_up)
}

async fn answer(
    client: Client,
    takes_up: latest::Sender<()>,
    request: Request<Body>,
) -> Result<Response<Body>, kube::Error> {
    let query = request.uri().query().unwrap_or_default();
    let is_watch = query.split('&').any(|parameter| parameter == "watch=true");
    let answer = client.send(request).await?;
    if is_watch {
        if answer.status().is_success() {
            takes_up.send_replace(());
        }
        return Ok(answer);
    }
    let (head, body) = answer.into_parts();
    Ok(Response::from_parts(head, Body::from(body.collect_bytes().await?)))
}
