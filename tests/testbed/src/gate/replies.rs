//! What is replied in place of the upstream, or made of its answer.

use std::{fmt, io};

use axum::{
    body::{Body, Bytes},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use crate::intercept::Reply;

/// Ends the connection that a request came on.
#[derive(Debug)]
pub(super) struct Cut;

impl std::error::Error for Cut {}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut by a test")
    }
}

/// The reply to a request that is not forwarded.
pub(super) async fn instead(reply: Reply) -> Result<Response, Cut> {
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
pub(super) fn spoiled(reply: Reply, answer: Response) -> Response {
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
        Reply::Late(_) => answer,
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
