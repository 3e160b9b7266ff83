//! Being told of every exchange with the service.

use std::time::Duration;

use jiff::SignedDuration;
use uuid::Uuid;

use crate::{ApiVersion, FailureClass, Operation};

/// One request and what came of it. Retries are exchanges of their own.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Exchange<'a> {
    /// What was asked.
    pub operation: Operation,
    /// What was sent as `x-ms-client-request-id`; the same over retries.
    pub request_id: Uuid,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// The service's error code, if it gave one.
    pub code: Option<&'a str>,
    /// What kind of failure this was; `None`: a success.
    pub failure: Option<FailureClass>,
    /// From before signing until the answer was read or given up.
    pub duration: Duration,
    /// How far the service's clock is ahead of ours, from the `Date` header; good to a second or so.
    pub clock_skew: Option<SignedDuration>,
    /// `api-supported-versions`: what the service says it can speak. Empty when it does not say.
    pub api_versions: &'a [ApiVersion],
}

/// Is told of every exchange, for metrics and for watching the clock skew and the API versions on offer.
///
/// Called on the task of the request: be quick and do not block.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use acs_identity::{Exchange, FailureClass, Observer};
///
/// #[derive(Default)]
/// struct Throttles(AtomicU64);
///
/// impl Observer for Throttles {
///     fn on_exchange(&self, exchange: &Exchange<'_>) {
///         if let Some(FailureClass::Throttled { .. }) = exchange.failure {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// ```
pub trait Observer: Send + Sync {
    /// An exchange has ended.
    fn on_exchange(&self, exchange: &Exchange<'_>);
}
