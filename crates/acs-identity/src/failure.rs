//! What a failure means for what to do next.

use std::time::Duration;

use crate::Operation;

/// What a failure means for the caller.
///
/// | what happened | class |
/// |---|---|
/// | refused connection, DNS or TLS failure: the request was never sent | [`NotSent`](Self::NotSent) |
/// | the program's own [`Guard`](crate::Guard) did not let it pass | [`Withheld`](Self::Withheld) |
/// | 429, with or without the service's error envelope | [`Throttled`](Self::Throttled) |
/// | 5xx, redirect, timeout, cut or unreadable answer | [`Transient`](Self::Transient); for a create [`InDoubt`](Self::InDoubt) |
/// | 401 `IdentityNotOwned` | [`NotOwned`](Self::NotOwned) |
/// | any other 401, or 403 | [`CredentialRejected`](Self::CredentialRejected) |
/// | 404 or 410, other than an HTML page, which only a gateway writes | [`Gone`](Self::Gone) |
/// | 400, or another 4xx, with the service's error envelope | [`Rejected`](Self::Rejected) |
///
/// # Create
/// A create without a custom id cannot be repeated without the risk of a second identity, so it is `InDoubt` unless the
/// service has definitely refused it: 429; 400, 401 or 403 **with** the error envelope; or never sent. With a custom id a
/// repeat returns the same identity, so what would be `InDoubt` is `Transient`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The request never left: nothing has happened.
    NotSent,
    /// The program's own [`Guard`](crate::Guard) did not let the request pass: nothing has happened.
    Withheld,
    /// Too many requests: nothing has happened.
    Throttled {
        /// How long the service asks to wait, if it says so; at most an hour.
        retry_after: Option<Duration>,
    },
    /// Worth trying again later.
    Transient {
        /// How long the service asks to wait, if it says so; at most an hour.
        retry_after: Option<Duration>,
    },
    /// A create whose outcome is unknown: an identity that nobody knows the id of may exist.
    InDoubt,
    /// The credential is not accepted: wrong or rotated key, missing role, or a clock that is off.
    CredentialRejected,
    /// The identity belongs to another resource.
    NotOwned,
    /// The service does not know the identity (any more).
    Gone,
    /// The request itself is at fault; the same one will be refused again.
    Rejected,
}

/// The `code` of an answer about an identity of another resource.
pub(crate) const IDENTITY_NOT_OWNED: &str = "IdentityNotOwned";

/// Whether sending a request twice can do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    Safe,
    Unsafe,
}

/// How an exchange with the service ended, other than well.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending<'a> {
    NotSent,
    /// No answer, or one that broke off or makes no sense; the status, if that much was seen.
    Lost {
        status: Option<u16>,
    },
    /// A whole answer.
    Answer {
        status: u16,
        code: Option<&'a str>,
        is_html: bool,
    },
}

pub(crate) fn classify(
    operation: Operation,
    repeat: Repeat,
    ending: Ending<'_>,
    retry_after: Option<Duration>,
) -> FailureClass {
    let lost = match repeat {
        Repeat::Safe => FailureClass::Transient { retry_after },
        Repeat::Unsafe => FailureClass::InDoubt,
    };
    let (status, code, is_html) = match ending {
        Ending::NotSent => return FailureClass::NotSent,
        Ending::Answer { status: 429, .. } | Ending::Lost { status: Some(429) } => {
            return FailureClass::Throttled { retry_after };
        }
        Ending::Lost { .. } => return lost,
        Ending::Answer { status, code, is_html } => (status, code, is_html),
    };
    // A box on the way can make up a status; only ACS writes the envelope. Where a repeat is safe a bare one will do.
    let is_definite = code.is_some() || repeat == Repeat::Safe;
    match status {
        401 if code == Some(IDENTITY_NOT_OWNED) && operation.is_about_an_identity() => FailureClass::NotOwned,
        401 | 403 if is_definite => FailureClass::CredentialRejected,
        404 | 410 if operation.is_about_an_identity() && !is_html => FailureClass::Gone,
        400 if code.is_some() => FailureClass::Rejected,
        // Timing, not the request, is at fault with these; and no other status is known to refuse a create for good.
        404 | 408 | 409 | 410 | 425 => lost,
        402..=499 if code.is_some() && repeat == Repeat::Safe => FailureClass::Rejected,
        _ => lost,
    }
}
