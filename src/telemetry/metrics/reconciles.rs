//! Reconciles: how long they take, how they end.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::labels::{ReasonValue, ReconcileOutcome};
use crate::api::Reason;

/// From a reconcile that only looks (below a millisecond) to one that waits for slow servers.
const BUCKETS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];

/// `reconcile_duration_seconds{outcome}` and `reconcile_errors_total{reason}`.
#[derive(Clone)]
pub struct ReconcileMetrics {
    durations: Family<Outcome, Histogram, fn() -> Histogram>,
    errors: Family<Cause, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: ReconcileOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    reason: ReasonValue,
}

impl ReconcileMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            errors: Family::default(),
        };
        let (durations, errors) = (metrics.durations.clone(), metrics.errors.clone());
        let help = "Time that one reconcile of a CommunicationUser took, by how it ended";
        registry.register_with_unit("reconcile_duration", help, Unit::Seconds, durations);
        registry.register(
            "reconcile_errors",
            "Reconciles that failed, by the reason that the user reads",
            errors,
        );
        for outcome in ReconcileOutcome::ALL {
            let _ = metrics.durations.get_or_create(&Outcome { outcome: *outcome });
        }
        for reason in Reason::ALL {
            let _ = metrics.errors.get_or_create(&Cause {
                reason: ReasonValue(*reason),
            });
        }
        metrics
    }

    /// A reconcile ended.
    pub fn finished(&self, outcome: ReconcileOutcome, took: Duration) {
        self.durations
            .get_or_create(&Outcome { outcome })
            .observe(took.as_secs_f64());
    }

    /// A reconcile failed, for this reason.
    pub fn failed(&self, reason: Reason) {
        self.errors
            .get_or_create(&Cause {
                reason: ReasonValue(reason),
            })
            .inc();
    }
}
