//! What an injected fault does to a call.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::refusal::Refusal;

/// What happens to a call besides delays. In JSON `{"kind": "cut", "processed": true}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Effect {
    /// The call goes on as usual.
    #[default]
    None,
    /// A status with an error envelope.
    Status {
        /// The HTTP status.
        status: u16,
        /// `error.code`; absent: the status's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// `error.message`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Whether the call is carried out before.
        #[serde(default)]
        processed: bool,
    },
    /// 429 with an error envelope; the call is not carried out.
    Throttle {
        /// `Retry-After` as it is sent: seconds, an HTTP date, or nonsense. Absent: no such header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<String>,
    },
    /// The HTML error page of a gateway.
    Html {
        /// The HTTP status.
        #[serde(default = "bad_gateway")]
        status: u16,
        /// Whether the call is carried out before.
        #[serde(default)]
        processed: bool,
    },
    /// Exactly this answer, whatever it means.
    Respond {
        /// The HTTP status.
        status: u16,
        /// Its headers, besides `Date`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Its body.
        #[serde(default)]
        body: String,
        /// Whether the call is carried out before.
        #[serde(default)]
        processed: bool,
    },
    /// The connection is cut without an answer.
    Cut {
        /// Whether the call is carried out before.
        processed: bool,
    },
    /// The call is carried out and the connection cut in the middle of the answer's body.
    Truncate,
}

fn bad_gateway() -> u16 {
    502
}

impl Effect {
    /// Whether the call is carried out.
    pub(crate) fn is_processed(&self) -> bool {
        match self {
            Self::None | Self::Truncate => true,
            Self::Throttle { .. } => false,
            Self::Status { processed, .. }
            | Self::Html { processed, .. }
            | Self::Respond { processed, .. }
            | Self::Cut { processed } => *processed,
        }
    }

    pub(crate) fn processed(mut self) -> Self {
        match &mut self {
            Self::Status { processed, .. }
            | Self::Html { processed, .. }
            | Self::Respond { processed, .. }
            | Self::Cut { processed } => *processed = true,
            Self::None | Self::Truncate | Self::Throttle { .. } => {}
        }
        self
    }

    /// The answer that takes the place of the real one, if any.
    pub(crate) fn answer(&self) -> Option<Answer> {
        match self {
            Self::None | Self::Cut { .. } | Self::Truncate => None,
            Self::Status {
                status, code, message, ..
            } => Some(envelope(*status, code.as_deref(), message.as_deref())),
            Self::Throttle { retry_after } => {
                let answer = envelope(429, Some("TooManyRequests"), None);
                Some(
                    retry_after
                        .iter()
                        .fold(answer, |answer, value| answer.with_text("retry-after", value)),
                )
            }
            Self::Html { status, .. } => Some(gateway_page(*status)),
            Self::Respond {
                status, headers, body, ..
            } => Some(verbatim(*status, headers, body)),
        }
    }
}

fn envelope(status: u16, code: Option<&str>, message: Option<&str>) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let name: String = status
        .canonical_reason()
        .unwrap_or("Error")
        .split_whitespace()
        .collect();
    let code = code.map_or(name, str::to_owned);
    Refusal::new(status, code, message.unwrap_or("An injected fault.").to_owned()).answer()
}

/// What a gateway in front of the service would answer.
pub(crate) fn gateway_page(status: u16) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let title = status.to_string();
    let page =
        format!("<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>\r\n");
    Answer::text(status, "text/html", page)
}

/// Headers that HTTP cannot carry are left out.
fn verbatim(status: u16, headers: &BTreeMap<String, String>, body: &str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = Answer::empty(status);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer = answer.with(name, value);
        }
    }
    Answer {
        body: body.to_owned().into(),
        ..answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_reads_from_short_json() {
        for (text, effect) in [
            (r#"{"kind":"none"}"#, Effect::None),
            (r#"{"kind":"cut","processed":true}"#, Effect::Cut { processed: true }),
            (
                r#"{"kind":"html"}"#,
                Effect::Html {
                    status: 502,
                    processed: false,
                },
            ),
            (
                r#"{"kind":"throttle","retryAfter":"7"}"#,
                Effect::Throttle {
                    retry_after: Some("7".into()),
                },
            ),
            (r#"{"kind":"truncate"}"#, Effect::Truncate),
        ] {
            assert_eq!(serde_json::from_str::<Effect>(text).unwrap(), effect);
        }
    }

    #[test]
    fn a_status_fault_has_the_statuss_name_as_its_code() {
        let answer = Effect::Status {
            status: 503,
            code: None,
            message: None,
            processed: false,
        }
        .answer()
        .unwrap();
        assert_eq!(answer.status, 503);
        assert!(
            std::str::from_utf8(&answer.body)
                .unwrap()
                .contains(r#""code":"ServiceUnavailable""#)
        );
    }

    #[test]
    fn an_impossible_header_is_left_out() {
        let headers = BTreeMap::from([
            ("good".to_owned(), "a".to_owned()),
            ("b ad".to_owned(), "x\ny".to_owned()),
        ]);
        let answer = verbatim(200, &headers, "");
        assert_eq!(answer.headers.len(), 1);
    }
}
