//! The task that writes events.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::events::v1::Event;
use kube::{Api, Client, api::PostParams};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    super::{cause::cause, log_interval::LogInterval},
    pace::Pace,
    record::Occurrence,
    waiting::Waiting,
};

/// Average time between two events, in the whole cluster: five a second.
const INTERVAL: Duration = Duration::from_millis(200);

/// Events that may be written at once after a quiet time.
const BURST: u32 = 20;

/// Longest that the API server may take for one event.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest that events still waiting at the end are written for. Another replica waits for it, and in a herd there are always some.
const DRAIN: Duration = Duration::from_millis(500);

/// Average time between two log lines about events that got lost.
const COMPLAINTS: Duration = Duration::from_mins(1);

/// Writes the events that the recorder took. Run it as a task of its own.
pub struct EventTask {
    client: Client,
    instance: String,
    waiting: Waiting,
    dropped: Arc<AtomicU64>,
}

impl EventTask {
    pub(super) fn new(client: Client, instance: String, waiting: Waiting, dropped: Arc<AtomicU64>) -> Self {
        Self {
            client,
            instance,
            waiting,
            dropped,
        }
    }

    /// Writes events until `stop`, then for at most half a second those that wait. The rest, and all that come later, are
    /// dropped and counted.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            client,
            instance,
            mut waiting,
            dropped,
        } = self;
        let mut writer = Writer {
            client,
            instance,
            pace: Pace::new(INTERVAL, BURST),
            complaints: LogInterval::new(COMPLAINTS),
        };
        let patience = async {
            stop.cancelled().await;
            sleep(DRAIN).await;
        };
        tokio::select! {
            () = writer.write_all(&mut waiting, &stop) => {}
            () = patience => {}
        }
        dropped.fetch_add(waiting.abandon(), Ordering::Relaxed);
    }
}

struct Writer {
    client: Client,
    instance: String,
    pace: Pace,
    complaints: LogInterval,
}

impl Writer {
    /// Writes one event after the other, until `stop` has come and none waits any more.
    async fn write_all(&mut self, waiting: &mut Waiting, stop: &CancellationToken) {
        while let Some(occurrence) = waiting.next(stop).await {
            self.pace.turn().await;
            self.write(occurrence).await;
        }
    }

    async fn write(&mut self, occurrence: Occurrence) {
        let events: Api<Event> = Api::namespaced(self.client.clone(), occurrence.namespace());
        let (reason, namespace) = (occurrence.reason, occurrence.namespace().to_owned());
        let event = occurrence.into_event(&self.instance);
        let params = PostParams::default();
        match timeout(REQUEST_TIMEOUT, events.create(&params, &event)).await {
            Ok(Ok(_)) => {}
            // The namespace is terminating or gone, which is no fault. A right that is missing is told at the start.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 403 | 404) => {
                tracing::debug!(reason, namespace, answer = %status.message, "an event is not accepted");
            }
            Ok(Err(error)) => self.complain(reason, &namespace, &cause(&error)),
            Err(_) => self.complain(reason, &namespace, "no answer in time"),
        }
    }

    fn complain(&mut self, reason: &str, namespace: &str, error: &str) {
        if self.complaints.is_due() {
            tracing::warn!(
                reason,
                namespace,
                error,
                "an event could not be written; others may be lost as well"
            );
        }
    }
}
