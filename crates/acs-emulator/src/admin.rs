//! The admin API: JSON over HTTP, without authentication, on loopback unless told otherwise.
//!
//! | request | does |
//! |---|---|
//! | `GET /readyz` | 200 once the service is served |
//! | `GET /state` | everything that is alive and in force |
//! | `GET /calls?since=N` | the journal after call N |
//! | `POST /tokens/validate` `{"token": "…"}` | whether a token is accepted now, and if not, why |
//! | `GET /faults`, `POST /faults` (one or a list), `DELETE /faults`, `DELETE /faults/{id}` | faults |
//! | `PUT /keys/primary`, `PUT /keys/secondary` `{"key": "<base64>"}` | replaces an access key |
//! | `PUT /clock` `{"offset": "-10m"}` | moves the service's clock |
//! | `PUT /limits` | rate limits; what is left out gets its documented value |
//! | `PUT /choices` `{"deletedIdentity": "not-owned"}` | answers where Microsoft documents nothing; what is left out gets its default |
//! | `PUT /token-ttl` `{"ttl": "45s"}` or `{"ttl": null}` | lifetime of tokens from now on |

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::access_keys::{AccessKey, KeySlot};
use crate::choices::Choices;
use crate::control::Control;
use crate::fault::Fault;
use crate::faults::{FaultId, InjectedFault};
use crate::journal::Call;
use crate::ledger::{IssuedToken, TokenState};
use crate::rate_limits::Limits;
use crate::snapshot::Snapshot;

/// Serves until it is dropped. Without a listener it never ends and does nothing.
pub(crate) async fn serve(listener: Option<TcpListener>, control: Control) {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    if let Err(error) = axum::serve(listener, routes(control)).await {
        tracing::error!(%error, "the admin API ended");
    }
}

/// The admin API.
pub(crate) fn routes(control: Control) -> Router {
    Router::new()
        .route("/readyz", get(async || "ok\n"))
        .route(
            "/state",
            get(async |State(control): State<Control>| Json(Snapshot::of(&control))),
        )
        .route("/calls", get(calls))
        .route("/tokens/validate", post(validate))
        .route("/faults", get(list_faults).post(inject).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/keys/{slot}", put(replace_key))
        .route("/clock", put(set_clock))
        .route("/limits", put(set_limits))
        .route("/choices", put(set_choices))
        .route("/token-ttl", put(set_token_ttl))
        .with_state(control)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    #[serde(default)]
    since: u64,
}

#[derive(Serialize)]
struct Calls {
    last: u64,
    calls: Vec<Call>,
}

async fn calls(State(control): State<Control>, Query(Since { since }): Query<Since>) -> Json<Calls> {
    let calls = control.calls_since(since);
    Json(Calls {
        last: calls.last().map_or(since, |call| call.seq),
        calls,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenText {
    token: String,
}

#[derive(Serialize)]
struct Verdict {
    state: TokenState,
    explanation: &'static str,
    token: Option<IssuedToken>,
}

async fn validate(State(control): State<Control>, Json(body): Json<TokenText>) -> Json<Verdict> {
    let token = control.token(&body.token);
    let state = token.as_ref().map_or(TokenState::Unknown, |token| token.state);
    Json(Verdict {
        state,
        explanation: state.explanation(),
        token,
    })
}

async fn list_faults(State(control): State<Control>) -> Json<Vec<InjectedFault>> {
    Json(control.faults())
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Faults(#[serde(deserialize_with = "one_or_many")] Vec<Fault>);

/// Decided by the bracket, so that an error speaks of the fault's fields and not of alternatives.
fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Fault>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let faults = if value.is_array() {
        serde_json::from_value(value)
    } else {
        serde_json::from_value(value).map(|fault| vec![fault])
    };
    faults.map_err(serde::de::Error::custom)
}

async fn inject(State(control): State<Control>, Json(Faults(faults)): Json<Faults>) -> Json<Vec<FaultId>> {
    Json(faults.into_iter().map(|fault| control.inject(fault)).collect())
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.clear_faults();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(control): State<Control>, Path(id): Path<u64>) -> Response {
    if control.remove_fault(FaultId(id)) {
        StatusCode::NO_CONTENT.into_response()
    } else {
        (
            StatusCode::NOT_FOUND,
            format!("There is no fault {id}; GET /faults lists them.\n"),
        )
            .into_response()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyText {
    key: String,
}

#[derive(Serialize)]
struct Replaced {
    fingerprint: String,
}

async fn replace_key(
    State(control): State<Control>,
    Path(slot): Path<KeySlot>,
    Json(body): Json<KeyText>,
) -> Result<Json<Replaced>, (StatusCode, String)> {
    let key = AccessKey::parse(&body.key).map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")))?;
    let fingerprint = key.fingerprint().to_owned();
    control.replace_key(slot, key);
    Ok(Json(Replaced { fingerprint }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockOffset {
    offset: SignedDuration,
}

async fn set_clock(State(control): State<Control>, Json(body): Json<ClockOffset>) -> StatusCode {
    control.set_clock_offset(body.offset);
    StatusCode::NO_CONTENT
}

async fn set_limits(State(control): State<Control>, Json(limits): Json<Limits>) -> StatusCode {
    control.set_limits(limits);
    StatusCode::NO_CONTENT
}

async fn set_choices(State(control): State<Control>, Json(choices): Json<Choices>) -> StatusCode {
    control.set_choices(choices);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenTtl {
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional")]
    ttl: Option<std::time::Duration>,
}

async fn set_token_ttl(State(control): State<Control>, Json(body): Json<TokenTtl>) -> StatusCode {
    control.set_token_ttl(body.ttl);
    StatusCode::NO_CONTENT
}
