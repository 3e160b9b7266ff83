//! The connections as they stand, looked at in every scrape.

use std::fmt;

use jiff::SignedDuration;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use super::asked::Asked;

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
    /// How far the clock of ACS was ahead of ours in its last answer; `None`: there was none yet.
    pub clock_skew: Option<SignedDuration>,
}

type Visit = dyn Fn(&mut dyn FnMut(ConnectionSample)) + Send + Sync;

/// Name, help, unit, and what it shows of a connection; `None`: that is not known, and there is no series.
type Gauge = (
    &'static str,
    &'static str,
    Option<Unit>,
    fn(&ConnectionSample) -> Option<f64>,
);

/// `connection_ready`, `connection_users`, `connection_capacity_ratio`, `connection_api_version_supported` and
/// `connection_clock_skew_seconds`, by kind, namespace and name.
#[derive(Clone, Debug, Default)]
pub struct ConnectionMetrics {
    connections: Asked<Visit>,
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
        self.connections.tell(Box::new(visit));
    }

    fn samples(&self) -> Vec<ConnectionSample> {
        let mut samples = Vec::new();
        if let Some(visit) = self.connections.source() {
            visit(&mut |sample| samples.push(sample));
        }
        samples
    }
}

impl Collector for ConnectionMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let samples = self.samples();
        let gauges: [Gauge; 5] = [
            (
                "connection_ready",
                "Whether ACS accepts the credential of the connection.",
                None,
                |sample| Some(f64::from(u8::from(sample.ready))),
            ),
            (
                "connection_users",
                "CommunicationUsers that use the connection.",
                None,
                |sample| Some(f64::from(sample.users)),
            ),
            (
                "connection_capacity_ratio",
                "Predicted renewals over what the connection's budget allows for; above 1 tokens will expire.",
                None,
                |sample| Some(sample.capacity_ratio),
            ),
            (
                "connection_api_version_supported",
                "Whether ACS serves the API version of the connection, as far as is known.",
                None,
                |sample| Some(f64::from(u8::from(sample.api_version_supported))),
            ),
            (
                "connection_clock_skew",
                "How far the clock of ACS was ahead of the operator's in its last answer, good to a second or so.",
                Some(Unit::Seconds),
                |sample| sample.clock_skew.map(|skew| skew.as_secs_f64()),
            ),
        ];
        for (name, help, unit, value) in gauges {
            let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
            for (sample, value) in samples.iter().filter_map(|sample| Some((sample, value(sample)?))) {
                let which = Which {
                    kind: sample.kind,
                    namespace: sample.namespace.clone(),
                    name: sample.name.clone(),
                };
                ConstGauge::new(value).encode(family.encode_family(&which)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, telemetry::Metrics};

    const LABELS: &str = r#"{kind="CommunicationConnection",namespace="team",name="contoso"}"#;

    fn scraped(clock_skew: Option<SignedDuration>) -> String {
        let metrics = Metrics::new(Clock::system());
        metrics.connections.ask(move |visit| {
            visit(ConnectionSample {
                kind: "CommunicationConnection",
                namespace: "team".into(),
                name: "contoso".into(),
                ready: true,
                api_version_supported: true,
                users: 3,
                capacity_ratio: 0.25,
                clock_skew,
            });
        });
        metrics.render().unwrap()
    }

    #[test]
    fn each_connection_has_a_series_of_each_gauge() {
        let text = scraped(Some(SignedDuration::from_millis(-1500)));
        for (name, value) in [
            ("ready", "1.0"),
            ("users", "3.0"),
            ("capacity_ratio", "0.25"),
            ("api_version_supported", "1.0"),
            ("clock_skew_seconds", "-1.5"),
        ] {
            let line = format!("acs_operator_connection_{name}{LABELS} {value}");
            assert!(text.contains(&line), "{line}\n{text}");
        }
    }

    #[test]
    fn before_acs_has_answered_no_skew_is_made_up() {
        let text = scraped(None);
        assert!(
            text.contains("# TYPE acs_operator_connection_clock_skew_seconds gauge"),
            "{text}"
        );
        assert!(!text.contains("connection_clock_skew_seconds{"), "{text}");
    }
}
