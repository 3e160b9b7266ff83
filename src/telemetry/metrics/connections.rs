//! The connections as they stand, looked at in every scrape.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

/// One connection as the metrics see it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionSample {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace; empty for a cluster connection.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether ACS accepts its credential.
    pub ready: bool,
    /// Whether ACS serves its API version, as far as is known.
    pub api_version_supported: bool,
    /// Its users.
    pub users: i32,
    /// The renewals that its users will need, over what its budget allows for: above 1 tokens will expire.
    pub capacity_ratio: f64,
}

type Visit = Box<dyn Fn(&mut dyn FnMut(ConnectionSample)) + Send + Sync>;

/// Name, help, and what it shows of a connection.
type Gauge = (&'static str, &'static str, fn(&ConnectionSample) -> f64);

/// `connection_ready`, `connection_users`, `connection_capacity_ratio` and `connection_api_version_supported`, by kind,
/// namespace and name.
#[derive(Clone, Default)]
pub struct ConnectionMetrics {
    connections: Arc<OnceLock<Visit>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Which {
    kind: &'static str,
    namespace: String,
    name: String,
}

impl ConnectionMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register_collector(Box::new(metrics.clone()));
        metrics
    }

    /// Tells where to find the connections: `visit` hands a sample of each to its argument. It runs at every scrape, on the
    /// task of the admin port. The first source stays.
    pub fn ask(&self, visit: impl Fn(&mut dyn FnMut(ConnectionSample)) + Send + Sync + 'static) {
        let _ = self.connections.set(Box::new(visit));
    }

    fn samples(&self) -> Vec<ConnectionSample> {
        let mut samples = Vec::new();
        if let Some(visit) = self.connections.get() {
            visit(&mut |sample| samples.push(sample));
        }
        samples
    }
}

impl fmt::Debug for ConnectionMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionMetrics").finish_non_exhaustive()
    }
}

impl Collector for ConnectionMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let samples = self.samples();
        let gauges: [Gauge; 4] = [
            (
                "connection_ready",
                "Whether ACS accepts the credential of the connection.",
                |sample| f64::from(u8::from(sample.ready)),
            ),
            (
                "connection_users",
                "CommunicationUsers that use the connection.",
                |sample| f64::from(sample.users),
            ),
            (
                "connection_capacity_ratio",
                "Predicted renewals over what the connection's budget allows for; above 1 tokens will expire.",
                |sample| sample.capacity_ratio,
            ),
            (
                "connection_api_version_supported",
                "Whether ACS serves the API version of the connection, as far as is known.",
                |sample| f64::from(u8::from(sample.api_version_supported)),
            ),
        ];
        for (name, help, value) in gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for sample in &samples {
                let which = Which {
                    kind: sample.kind,
                    namespace: sample.namespace.clone(),
                    name: sample.name.clone(),
                };
                ConstGauge::new(value(sample)).encode(family.encode_family(&which)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, telemetry::Metrics};

    #[test]
    fn each_connection_has_a_series_of_each_gauge() {
        let metrics = Metrics::new(Clock::system());
        metrics.connections.ask(|visit| {
            visit(ConnectionSample {
                kind: "CommunicationConnection",
                namespace: "team".into(),
                name: "contoso".into(),
                ready: true,
                api_version_supported: true,
                users: 3,
                capacity_ratio: 0.25,
            });
        });
        let text = metrics.render().unwrap();
        let labels = r#"{kind="CommunicationConnection",namespace="team",name="contoso"}"#;
        for (name, value) in [
            ("ready", "1.0"),
            ("users", "3.0"),
            ("capacity_ratio", "0.25"),
            ("api_version_supported", "1.0"),
        ] {
            let line = format!("acs_operator_connection_{name}{labels} {value}");
            assert!(text.contains(&line), "{line}\n{text}");
        }
    }
}
