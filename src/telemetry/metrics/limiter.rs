//! The rate limits: how long calls wait for them.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::labels::LimiterLane;

/// From no wait to that of ten thousand new objects.
const BUCKETS: [f64; 11] = [0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];

/// `limiter_wait_seconds{lane}`.
#[derive(Clone)]
pub struct LimiterMetrics(Family<Lane, Histogram, fn() -> Histogram>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lane {
    lane: LimiterLane,
}

impl LimiterMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let waits = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        let help = "Time that calls to ACS waited for permits under the rate limits, by how urgent they were";
        registry.register_with_unit("limiter_wait", help, Unit::Seconds, waits.clone());
        for lane in LimiterLane::ALL {
            let _ = waits.get_or_create(&Lane { lane: *lane });
        }
        Self(waits)
    }

    /// Permits were there after so long.
    pub fn waited(&self, lane: LimiterLane, wait: Duration) {
        self.0.get_or_create(&Lane { lane }).observe(wait.as_secs_f64());
    }
}

/// Metrics that nobody asks for.
#[cfg(test)]
impl Default for LimiterMetrics {
    fn default() -> Self {
        Self::register(&mut Registry::default())
    }
}
