//! From a request to what is put on the connection: fault, delay, service, journal.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::answer::Answer;
use crate::control::Shared;
use crate::effect::Effect;
use crate::faults::Hit;
use crate::http_date;
use crate::journal::Call;
use crate::request::Request;
use crate::route::{self, Operation, Route};
use crate::service::Outcome;

/// What happens on the connection.
#[derive(Debug)]
pub(crate) enum Delivery {
    Whole(Answer),
    /// The headers and the first half of the body, then the connection is cut.
    Half(Answer),
    Cut,
}

/// The longest text from a client that the journal and the log repeat.
const QUOTED_CHARS: usize = 256;
const REASON_CHARS: usize = 1024;

/// Processes one request.
pub(crate) async fn exchange(shared: &Shared, request: &Request) -> Delivery {
    let started = Instant::now();
    let hit = find_hit(shared, request);
    wait(hit.as_ref(), |hit| hit.fault.delay).await;
    let delivery = process(shared, request, hit.as_ref(), started);
    wait(hit.as_ref(), |hit| hit.fault.answer_delay).await;
    delivery
}

/// The fault that this request hits.
pub(crate) fn find_hit(shared: &Shared, request: &Request) -> Option<Hit> {
    let route = route::of(request).ok();
    let operation = route.as_ref().map_or(Operation::Unknown, Route::operation);
    let identity = route.as_ref().and_then(Route::identity);
    shared.state().faults.hit(operation, identity)
}

/// A delay lasts until it is over or its fault is removed.
async fn wait(hit: Option<&Hit>, delay: impl Fn(&Hit) -> Option<Duration>) {
    if let Some((hit, delay)) = hit.and_then(|hit| Some((hit, delay(hit)?))) {
        let removed: &CancellationToken = &hit.removed;
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = removed.cancelled() => {}
        }
    }
}

/// Carries the request out as far as the fault lets it, and records it.
pub(crate) fn process(shared: &Shared, request: &Request, hit: Option<&Hit>, started: Instant) -> Delivery {
    let effect = hit.map_or(&Effect::None, |hit| &hit.fault.effect);
    let mut state = shared.state();
    let now = shared.clock.now();
    let outcome = effect.is_processed().then(|| state.service.handle(request, now));

    let substitute = effect.answer();
    let answer = substitute.map(|answer| dated(answer, shared)).or_else(|| {
        outcome
            .as_ref()
            .map(|outcome| service_headers(outcome.answer.clone(), request, shared, started))
    });
    let delivery = match (effect, answer) {
        (Effect::Cut { .. }, _) | (_, None) => Delivery::Cut,
        (Effect::Truncate, Some(answer)) => Delivery::Half(answer),
        (_, Some(answer)) => Delivery::Whole(answer),
    };

    let call = describe(request, hit, outcome, &delivery, now.wall);
    let call = state.journal.record(call);
    log(call);
    // Waiters look at the journal themselves, so the lock must be free first.
    let seq = call.seq;
    drop(state);
    shared.newest.send_replace(seq);
    delivery
}

fn describe(
    request: &Request,
    hit: Option<&Hit>,
    outcome: Option<Outcome>,
    delivery: &Delivery,
    at: jiff::Timestamp,
) -> Call {
    let route = route::of(request).ok();
    let identity = route
        .as_ref()
        .and_then(Route::identity)
        .map(|id| quoted(id, QUOTED_CHARS));
    let mut call = Call {
        seq: 0,
        at,
        operation: route.as_ref().map_or(Operation::Unknown, Route::operation),
        method: quoted(request.method.as_str(), QUOTED_CHARS),
        path: quoted(request.path(), QUOTED_CHARS),
        identity,
        api_version: None,
        request_id: request.client_request_id().map(str::to_owned),
        signed_by: None,
        carried_out: false,
        status: match delivery {
            Delivery::Whole(answer) | Delivery::Half(answer) => Some(answer.status.as_u16()),
            Delivery::Cut => None,
        },
        error_code: None,
        reason: None,
        token_sha256: None,
        fault: hit.map(|hit| hit.id),
    };
    if let Some(outcome) = outcome {
        call.carried_out = outcome.error_code.is_none();
        call.identity = outcome.identity.map(|id| quoted(&id, QUOTED_CHARS));
        call.api_version = outcome.api_version;
        call.signed_by = outcome.signer.map(|signer| signer.slot);
        call.error_code = outcome.error_code.map(std::borrow::Cow::into_owned);
        call.reason = outcome.reason.map(|reason| quoted(&reason, REASON_CHARS));
        call.token_sha256 = outcome.token_sha256;
    }
    call
}

fn quoted(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

fn log(call: &Call) {
    tracing::info!(
        seq = call.seq,
        operation = %call.operation,
        identity = call.identity,
        status = call.status,
        error = call.error_code,
        reason = call.reason,
        request_id = call.request_id,
        fault = call.fault.map(|fault| fault.0),
        "call"
    );
}

/// The headers that recorded answers carry.
fn service_headers(answer: Answer, request: &Request, shared: &Shared, started: Instant) -> Answer {
    let reference = Uuid::new_v4().simple().to_string();
    let mut answer = dated(answer, shared)
        .with_text("ms-cv", &format!("{}.0", &reference[..22]))
        .with_text("x-azure-ref", &reference)
        .with_text("x-processing-time", &format!("{}ms", started.elapsed().as_millis()))
        .with_text("request-context", "appId=")
        .with_text("strict-transport-security", "max-age=2592000")
        .with_text("x-cache", "CONFIG_NOCACHE");
    if let Some(id) = request
        .client_request_id()
        .and_then(|id| HeaderValue::from_str(id).ok())
    {
        answer = answer.with(http::HeaderName::from_static("x-ms-client-request-id"), id);
    }
    answer
}

/// `Date` by the service's clock, so that a client can see how far its own is off.
fn dated(answer: Answer, shared: &Shared) -> Answer {
    let date = http_date::format(shared.clock.now().wall);
    date.iter().fold(answer, |answer, date| answer.with_text("date", date))
}
