//! The service's error answers.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::answer::Answer;

/// A request that is not carried out, as the client is told, and as the journal explains it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub status: StatusCode,
    pub code: Cow<'static, str>,
    pub message: Cow<'static, str>,
    pub target: Option<&'static str>,
    /// The cause, where the client is not told it.
    pub reason: Option<String>,
    /// For 429: when a request of this kind would be served again.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            target: None,
            reason: None,
            retry_after: None,
        }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 400 `ValidationError` with the field that is wrong. Recorded for expiry and scopes.
    pub(crate) fn invalid(target: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            target: Some(target),
            ..Self::bad_request("ValidationError", message)
        }
    }

    /// The one answer to every kind of bad credential, as users of the service quote it.
    pub(crate) fn denied(reason: impl Into<String>) -> Self {
        let denied = Self::new(StatusCode::UNAUTHORIZED, "Denied", "Denied by the resource provider.");
        Self {
            reason: Some(reason.into()),
            ..denied
        }
    }

    /// An id of another resource. Recorded for issue, revoke and delete.
    pub(crate) fn not_owned() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "IdentityNotOwned",
            "Provided identity doesn't belong to the resource.",
        )
    }

    /// An identity of this resource that does not exist. The status and code are not recorded anywhere.
    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "IdentityNotFound",
            "The identity does not exist.",
        )
    }

    pub(crate) fn throttled(retry_after: Duration) -> Self {
        let throttled = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequests",
            "The request rate of this resource is above its limit. Try again later.",
        );
        Self {
            retry_after: Some(retry_after),
            ..throttled
        }
    }

    /// The error envelope. Recorded error answers are chunked and carry no charset.
    pub(crate) fn answer(&self) -> Answer {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(target) = self.target {
            error["target"] = target.into();
        }
        Answer::chunked_json(self.status, &json!({"error": error}))
    }
}
