//! Metrics in the OpenMetrics text format, prefix `acs_operator_`.
//!
//! Labels come from closed sets: no series is ever named after an object, so that a hundred thousand users cost as many
//! series as one. What can be counted in the caches is counted when it is asked for, and so cannot drift.

use std::{fmt, sync::Arc};

use prometheus_client::{encoding::text, metrics::info::Info, registry::Registry};

use crate::clock::Clock;

mod acs;
mod api_server;
mod asked;
mod connections;
mod identities;
mod labels;
mod leader;
mod limiter;
mod queue;
mod reconciles;
mod users;
mod watches;

pub use acs::AcsMetrics;
pub use api_server::{CountedService, KubeMetrics};
pub use connections::{ConnectionMetrics, ConnectionSample};
pub use identities::IdentityMetrics;
pub use labels::{LimiterLane, ReconcileOutcome, RevocationCause, TokenCause};
pub use leader::LeaderMetric;
pub use limiter::LimiterMetrics;
pub use queue::QueueMetrics;
pub use reconciles::ReconcileMetrics;
pub use users::{UserMetrics, UserSample};
pub use watches::WatchMetrics;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the process. Cheap to clone; clones count into the same series.
#[derive(Clone)]
pub struct Metrics {
    /// Calls to ACS.
    pub acs: AcsMetrics,
    /// The connections as they are now.
    pub connections: ConnectionMetrics,
    /// What was created, issued and deleted.
    pub identities: IdentityMetrics,
    /// Waits for permits.
    pub limiter: LimiterMetrics,
    /// Calls to the API server.
    pub kube: KubeMetrics,
    /// Whether this replica leads.
    pub leader: LeaderMetric,
    /// What waits for a worker.
    pub queue: QueueMetrics,
    /// Reconciles and their errors.
    pub reconciles: ReconcileMetrics,
    /// The CommunicationUsers as they are now.
    pub users: UserMetrics,
    /// The watches on the API server.
    pub watches: WatchMetrics,
    registry: Arc<Registry>,
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new(clock: Clock) -> Self {
        let mut registry = Registry::with_prefix("acs_operator");
        registry.register(
            "build",
            "The running version",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        Self {
            acs: AcsMetrics::register(&mut registry),
            connections: ConnectionMetrics::register(&mut registry),
            identities: IdentityMetrics::register(&mut registry),
            limiter: LimiterMetrics::register(&mut registry),
            kube: KubeMetrics::register(&mut registry),
            leader: LeaderMetric::register(&mut registry),
            queue: QueueMetrics::register(&mut registry),
            reconciles: ReconcileMetrics::register(&mut registry),
            users: UserMetrics::register(&mut registry, clock),
            watches: WatchMetrics::register(&mut registry),
            registry: Arc::new(registry),
        }
    }

    /// The current values, as [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// None in practice: writing to a string does not fail.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
