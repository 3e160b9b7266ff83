//! The watches that the operator's view of the cluster comes from.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// `watch_up{kind}` and `watch_restarts_total{kind}`.
#[derive(Clone, Default)]
pub struct WatchMetrics {
    up: Family<Kind, Gauge>,
    restarts: Family<Kind, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

impl WatchMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "watch_up",
            "1 while the watch of this kind delivers, else 0",
            metrics.up.clone(),
        );
        let help = "Times that the watch of this kind failed and was begun anew";
        registry.register("watch_restarts", help, metrics.restarts.clone());
        metrics
    }

    /// The watch of `kind` delivers, or does not (yet).
    pub fn up(&self, kind: &'static str, up: bool) {
        let _ = self.restarts.get_or_create(&Kind { kind });
        self.up.get_or_create(&Kind { kind }).set(up.into());
    }

    /// The watch of `kind` failed and is begun anew.
    pub fn restarted(&self, kind: &'static str) {
        self.restarts.get_or_create(&Kind { kind }).inc();
    }
}
