//! What waits for a worker.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

use super::asked::Asked;

type Depths = dyn Fn() -> Vec<(&'static str, usize)> + Send + Sync;

/// `queue_depth{lane}`, asked from the queue at every scrape.
#[derive(Clone, Debug, Default)]
pub struct QueueMetrics(Asked<Depths>);

impl QueueMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register_collector(Box::new(metrics.clone()));
        metrics
    }

    /// Tells where to ask: lanes by name, each with the number of objects that are due and wait for a worker.
    /// The first source stays.
    pub fn ask(&self, depths: impl Fn() -> Vec<(&'static str, usize)> + Send + Sync + 'static) {
        self.0.tell(Box::new(depths));
    }
}

impl Collector for QueueMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Objects that are due and wait for a worker, by lane.";
        let mut family = encoder.encode_descriptor("queue_depth", help, None, MetricType::Gauge)?;
        let lanes = self.0.source().map(|depths| depths()).unwrap_or_default();
        for (lane, depth) in lanes {
            let labels = [("lane", lane)];
            ConstGauge::new(depth).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
