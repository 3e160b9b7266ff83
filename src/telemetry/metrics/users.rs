//! The CommunicationUsers as they stand in the cache, counted at every scrape.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder},
    metrics::{MetricType, gauge::ConstGauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::asked::Asked;
use crate::{api::Reason, clock::Clock};

/// Remaining life of a token in seconds: expired, the 15 minutes that a renewal must not enter, and the hours of a day.
const BUCKETS: [f64; 9] = [
    0.0, 300.0, 900.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 57_600.0, 86_400.0,
];

/// One CommunicationUser as the metrics see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserSample {
    /// Reason of its `Ready` condition; [`Reason::Progressing`] while it has none.
    pub reason: Reason,
    /// When its token expires; `None` without a token.
    pub expires: Option<Timestamp>,
    /// When its next renewal is due; `None` when none is (no token, suspended, being deleted).
    pub renewal_due: Option<Timestamp>,
}

type Visit = dyn Fn(&mut dyn FnMut(UserSample)) + Send + Sync;

/// `users{reason}`, `token_remaining_seconds`, `oldest_overdue_renewal_seconds` and `deletions_blocked`.
#[derive(Clone, Debug)]
pub struct UserMetrics {
    users: Asked<Visit>,
    clock: Clock,
}

impl UserMetrics {
    pub(super) fn register(registry: &mut Registry, clock: Clock) -> Self {
        let metrics = Self {
            users: Asked::default(),
            clock,
        };
        registry.register_collector(Box::new(metrics.clone()));
        metrics
    }

    /// Tells where to find the users: `visit` hands a sample of each to its argument. It runs at every scrape, on the
    /// task of the admin port. The first source stays.
    pub fn ask(&self, visit: impl Fn(&mut dyn FnMut(UserSample)) + Send + Sync + 'static) {
        self.users.tell(Box::new(visit));
    }

    fn count(&self) -> Population {
        let now = self.clock.now();
        let mut population = Population::default();
        if let Some(visit) = self.users.source() {
            visit(&mut |sample| population.add(&sample, now));
        }
        population
    }
}

/// What one walk over all users found.
struct Population {
    by_reason: BTreeMap<Reason, u64>,
    remaining: Histogram,
    oldest_overdue: f64,
}

impl Default for Population {
    fn default() -> Self {
        Self {
            by_reason: Reason::ALL.iter().map(|reason| (*reason, 0)).collect(),
            remaining: Histogram::new(BUCKETS),
            oldest_overdue: 0.0,
        }
    }
}

impl Population {
    fn add(&mut self, sample: &UserSample, now: Timestamp) {
        *self.by_reason.entry(sample.reason).or_default() += 1;
        if let Some(expires) = sample.expires {
            // Expired is expired: a negative value would spoil the histogram's sum.
            self.remaining
                .observe(expires.duration_since(now).as_secs_f64().max(0.0));
        }
        if let Some(due) = sample.renewal_due {
            self.oldest_overdue = self.oldest_overdue.max(now.duration_since(due).as_secs_f64());
        }
    }
}

impl Collector for UserMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let population = self.count();

        let help = "CommunicationUsers by the reason of their Ready condition.";
        let mut users = encoder.encode_descriptor("users", help, None, MetricType::Gauge)?;
        for (reason, count) in &population.by_reason {
            let labels = [("reason", reason.as_str())];
            ConstGauge::new(*count).encode(users.encode_family(&labels)?)?;
        }

        let help = "Remaining life of the tokens of all users at this moment; le=\"0\" counts expired ones.";
        let seconds = Some(&Unit::Seconds);
        let remaining = encoder.encode_descriptor("token_remaining", help, seconds, MetricType::Histogram)?;
        population.remaining.encode(remaining)?;

        let help = "By how much the most overdue renewal is late; 0 when none is.";
        let overdue = encoder.encode_descriptor("oldest_overdue_renewal", help, seconds, MetricType::Gauge)?;
        gauge(population.oldest_overdue, overdue)?;

        let help = "CommunicationUsers that cannot be deleted because their identity cannot.";
        let blocked = encoder.encode_descriptor("deletions_blocked", help, None, MetricType::Gauge)?;
        gauge(
            population
                .by_reason
                .get(&Reason::DeletionBlocked)
                .copied()
                .unwrap_or_default(),
            blocked,
        )
    }
}

fn gauge<N>(value: N, encoder: MetricEncoder) -> fmt::Result
where
    ConstGauge<N>: EncodeMetric,
{
    ConstGauge::new(value).encode(encoder)
}
