//! Events: what happened to an object, for `kubectl describe` and `kubectl get events`.
//!
//! # Guarantees
//! Telling an event never waits and never fails, so that it cannot delay or fail a reconcile. Events are written by one
//! task at a pace that the API server does not notice; what does not fit is dropped and counted. Warnings wait in a queue of
//! their own and go first: no herd of good news keeps bad news from being told.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use tokio::sync::mpsc;

use crate::clock::Clock;

mod delivery;
mod pace;
mod record;
mod repeats;
mod waiting;

pub use delivery::EventTask;
use record::Occurrence;
use repeats::Repeats;
use waiting::Waiting;

/// Most warnings, and most other events, that wait to be written.
const QUEUE: usize = 1000;

/// How long the last event of an object is remembered, so that the same one is not told again.
const MEMORY: Duration = Duration::from_mins(10);

/// What kind of news an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Something worked.
    Normal,
    /// Something did not work, or needs a look.
    Warning,
}

impl EventType {
    /// As the API server spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Takes events at any rate, from any number of tasks.
pub struct EventRecorder {
    warnings: mpsc::Sender<Occurrence>,
    others: mpsc::Sender<Occurrence>,
    clock: Clock,
    repeats: Mutex<Repeats>,
    dropped: Arc<AtomicU64>,
}

impl EventRecorder {
    /// A recorder, and the task that writes what it takes. `instance` is who reports: the name of the pod.
    pub fn new(client: Client, clock: Clock, instance: String) -> (Arc<Self>, EventTask) {
        let (warnings, waiting_warnings) = mpsc::channel(QUEUE);
        let (others, waiting_others) = mpsc::channel(QUEUE);
        let waiting = Waiting {
            warnings: waiting_warnings,
            others: waiting_others,
        };
        let dropped = Arc::new(AtomicU64::new(0));
        let recorder = Self {
            warnings,
            others,
            clock,
            repeats: Mutex::new(Repeats::new(MEMORY)),
            dropped: Arc::clone(&dropped),
        };
        (Arc::new(recorder), EventTask::new(client, instance, waiting, dropped))
    }

    /// Tells that something happened to `regarding`. What was told last of the object (reason and note), within
    /// 10 minutes, is not told again; a note longer than 1024 bytes is cut. `action` says what was done or tried, as one word.
    pub fn publish(
        &self,
        regarding: ObjectReference,
        kind: EventType,
        reason: &'static str,
        action: &'static str,
        note: String,
    ) {
        let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
        let fingerprint = repeats.fingerprint(&regarding, reason, &note);
        if repeats.knows(fingerprint) {
            return;
        }
        let occurrence = Occurrence {
            regarding,
            kind,
            reason,
            action,
            note,
            time: self.clock.now(),
        };
        let queue = match kind {
            EventType::Warning => &self.warnings,
            EventType::Normal => &self.others,
        };
        if queue.try_send(occurrence).is_ok() {
            repeats.remember(fingerprint);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many events were never sent to the API server, because too many came at once or the operator was stopping.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
