//! What waits for a worker.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

type Depths = Box<dyn Fn() -> Vec<(&'static str, usize)> + Send + Sync>;

/// `queue_depth{lane}`, asked from the queue at every scrape.
#[derive(Clone, Default)]
pub struct QueueMetrics(Arc<OnceLock<Depths>>);

impl QueueMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register_collector(Box::new(metrics.clone()));
        metrics
    }

    /// Tells where to ask: lanes by name, each with the number of objects that are due and wait for a worker.
    /// The first source stays.
    pub fn ask(&self, depths: impl Fn() -> Vec<(&'static str, usize)> + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(depths));
    }
}

impl fmt::Debug for QueueMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueMetrics")
    }
}

impl Collector for QueueMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Objects that are due and wait for a worker, by lane.";
        let mut family = encoder.encode_descriptor("queue_depth", help, None, MetricType::Gauge)?;
        let lanes = self.0.get().map(|depths| depths()).unwrap_or_default();
        for (lane, depth) in lanes {
            let labels = [("lane", lane)];
            ConstGauge::new(depth).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
