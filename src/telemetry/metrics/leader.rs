//! Whether this replica leads.

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

type Leads = Box<dyn Fn() -> bool + Send + Sync>;

/// `leader`, asked at every scrape: 1 or 0.
#[derive(Clone, Default)]
pub struct LeaderMetric(Arc<OnceLock<Leads>>);

impl LeaderMetric {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metric = Self::default();
        registry.register_collector(Box::new(metric.clone()));
        metric
    }

    /// Tells where to ask. The first source stays.
    pub fn ask(&self, leads: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(leads));
    }
}

impl fmt::Debug for LeaderMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaderMetric")
    }
}

impl Collector for LeaderMetric {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Whether this replica leads, and so does all the work: the sum over all replicas should be 1.";
        let leads = self.0.get().is_some_and(|leads| leads());
        let gauge = ConstGauge::new(u32::from(leads));
        gauge.encode(encoder.encode_descriptor("leader", help, None, MetricType::Gauge)?)
    }
}
