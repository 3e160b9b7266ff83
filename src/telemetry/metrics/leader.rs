//! Whether this replica leads.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

use super::asked::Asked;

type Leads = dyn Fn() -> bool + Send + Sync;

/// `leader`, asked at every scrape: 1 or 0.
#[derive(Clone, Debug, Default)]
pub struct LeaderMetric(Asked<Leads>);

impl LeaderMetric {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metric = Self::default();
        registry.register_collector(Box::new(metric.clone()));
        metric
    }

    /// Tells where to ask. The first source stays.
    pub fn ask(&self, leads: impl Fn() -> bool + Send + Sync + 'static) {
        self.0.tell(Box::new(leads));
    }
}

impl Collector for LeaderMetric {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Whether this replica leads, and so does all the work: the sum over all replicas should be 1.";
        let leads = self.0.source().is_some_and(|leads| leads());
        let gauge = ConstGauge::new(u32::from(leads));
        gauge.encode(encoder.encode_descriptor("leader", help, None, MetricType::Gauge)?)
    }
}
