//! Whether a watch works.

use std::time::Duration;

use kube::runtime::watcher;
use tokio::{sync::watch as latest, time::Instant};

use super::{
    super::{Scope, log_interval::LogInterval},
    Subject,
    backoff::Backoff,
    fault::explain,
    impatient::PATIENCE,
};

/// How often a watch that keeps failing says so.
const REMIND: Duration = Duration::from_mins(1);

/// After a failure the watch is taken up again without a word from kube. No further failure within this time means that
/// it works: requests that are not answered fail earlier. A list that takes longer has left what is held behind.
const SILENCE: Duration = PATIENCE.saturating_add(Duration::from_secs(5));

/// How a watch is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchState {
    /// It has listed everything, and follows what changes.
    pub up: bool,
    /// Since when it is up, or down.
    pub since: Instant,
    /// How often it failed and began again.
    pub restarts: u64,
    /// While it is down after a failure: what happened and what to check.
    pub fault: Option<String>,
    /// Objects that are there but can't be decoded.
    pub unreadable: usize,
}

#[derive(Debug)]
pub(super) struct Health {
    subject: Subject,
    scope: Scope,
    state: latest::Sender<WatchState>,
    backoff: Backoff,
    reminder: LogInterval,
    /// A list is under way: only its end says that the watch works.
    lists: bool,
    /// When silence says something; see [`SILENCE`].
    silent_until: Option<Instant>,
}

impl Health {
    pub(super) fn new(subject: Subject, scope: Scope) -> Self {
        let state = WatchState {
            up: false,
            since: Instant::now(),
            restarts: 0,
            fault: None,
            unreadable: 0,
        };
        Self {
            subject,
            scope,
            state: latest::Sender::new(state),
            backoff: Backoff::new(),
            reminder: LogInterval::new(REMIND),
            lists: true,
            silent_until: None,
        }
    }

    pub(super) fn resource(&self) -> &str {
        &self.subject.plural
    }

    pub(super) fn state(&self) -> latest::Receiver<WatchState> {
        self.state.subscribe()
    }

    /// See [`SILENCE`].
    pub(super) fn silent_until(&self) -> Option<Instant> {
        self.silent_until
    }

    /// Neither a failure nor the end of a list was heard until then.
    pub(super) fn was_silent(&mut self) {
        if !self.lists {
            return self.works();
        }
        self.silent_until = None;
        self.state.send_if_modified(|state| {
            let was_up = state.up;
            if was_up {
                (state.up, state.since) = (false, Instant::now());
                state.fault = Some(format!("a list has not been complete for {} s", SILENCE.as_secs()));
            }
            was_up
        });
    }

    /// A list begins.
    pub(super) fn lists(&mut self) {
        self.lists = true;
        self.silent_until = Some(Instant::now() + SILENCE);
    }

    /// A list is complete, or something else shows that the watch works.
    pub(super) fn works(&mut self) {
        self.lists = false;
        self.silent_until = None;
        let state = self.state.borrow();
        let (up, failed, down_for) = (state.up, state.restarts > 0, state.since.elapsed());
        drop(state);
        if up {
            return;
        }
        if failed {
            let resource = self.subject.full_name();
            tracing::info!(%resource, scope = %self.scope, ?down_for, "the watch works again");
            self.reminder = LogInterval::new(REMIND);
        }
        self.state
            .send_modify(|state| (state.up, state.since, state.fault) = (true, Instant::now(), None));
    }

    /// The watch failed. Returns how long to wait before it is tried again.
    pub(super) fn failed(&mut self, error: &watcher::Error) -> Duration {
        let pause = self.backoff.failed();
        let fault = explain(error, &self.subject, &self.scope);
        self.state.send_modify(|state| {
            state.restarts += 1;
            let Some(fault) = &fault else { return };
            state.fault = Some(format!("{}: {}", fault.words, fault.remedy));
            if state.up {
                (state.up, state.since) = (false, Instant::now());
            }
        });
        self.silent_until = (!self.lists).then(|| Instant::now() + pause + SILENCE);
        if let Some(fault) = fault.filter(|_| self.reminder.is_due()) {
            let resource = self.subject.full_name();
            tracing::warn!(%resource, scope = %self.scope, error = fault.words, remedy = fault.remedy, "the watch fails and is tried again");
        }
        pause
    }

    /// For how long the watch has not worked.
    pub(super) fn down_for(&self) -> Duration {
        let state = self.state.borrow();
        if state.up {
            Duration::ZERO
        } else {
            state.since.elapsed()
        }
    }

    pub(super) fn unreadable(&self, count: usize) {
        self.state
            .send_if_modified(|state| std::mem::replace(&mut state.unreadable, count) != count);
    }
}
