//! Calls to ACS, as the client saw them.

use std::time::Duration;

use acs_identity::{Exchange, Observer};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::labels::Code;

/// From a quick answer to the time-out of a create.
const BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// The client's observer: `acs_requests_total{operation,code}`, `acs_request_duration_seconds{operation}` and
/// `acs_throttled_total{operation}`.
#[derive(Clone)]
pub struct AcsMetrics {
    requests: Family<Answer, Counter>,
    durations: Family<Operation, Histogram, fn() -> Histogram>,
    throttled: Family<Operation, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    operation: &'static str,
    code: Code,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

impl AcsMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            throttled: Family::default(),
        };
        let help = "Requests to ACS, by operation and status (none: no answer came)";
        registry.register("acs_requests", help, metrics.requests.clone());
        let help = "Time from the request to the whole answer, by operation";
        registry.register_with_unit("acs_request_duration", help, Unit::Seconds, metrics.durations.clone());
        let help = "Requests that ACS answered with 429 Too Many Requests, by operation";
        registry.register("acs_throttled", help, metrics.throttled.clone());
        metrics
    }

    pub(super) fn count(&self, operation: &'static str, status: Option<u16>, took: Duration) {
        let code = Code::of(status);
        self.requests.get_or_create(&Answer { operation, code }).inc();
        let operation = Operation { operation };
        self.durations.get_or_create(&operation).observe(took.as_secs_f64());
        let throttled = self.throttled.get_or_create(&operation);
        if status == Some(429) {
            throttled.inc();
        }
    }
}

/// Every try counts, retries too.
impl Observer for AcsMetrics {
    fn on_exchange(&self, exchange: &Exchange<'_>) {
        self.count(exchange.operation.as_str(), exchange.status, exchange.duration);
    }
}
