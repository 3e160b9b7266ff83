//! Whether a watch works.

use std::time::Duration;

use kube::runtime::watcher;
use tokio::{sync::watch as latest, time::Instant};

use super::{
    super::{Scope, log_interval::LogInterval},
    Subject,
    backoff::Backoff,
    fault::explain,
};

/// How often a watch that keeps failing says so.
const REMIND: Duration = Duration::from_mins(1);

/// A watch that was taken up and has not failed for so long works.
const LASTS: Duration = Duration::from_secs(2);

/// A list that takes longer has left behind what is held, though each of its pages comes in time.
const LONGEST_LIST: Duration = Duration::from_secs(35);

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
    /// When silence says something; see [`LASTS`] and [`LONGEST_LIST`].
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

    /// When [`was_silent`](Self::was_silent) is to be told, if nothing is heard before.
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
                let fault = format!("a list has not been complete for {} s", LONGEST_LIST.as_secs());
                state.fault = Some(fault);
            }
            was_up
        });
    }

    /// A list begins.
    pub(super) fn lists(&mut self) {
        self.lists = true;
        self.silent_until = Some(Instant::now() + LONGEST_LIST);
    }

    /// The API server has taken up the watch. It may still say at once that it can't go on.
    pub(super) fn taken_up(&mut self) {
        if !self.lists {
            self.silent_until = Some(Instant::now() + LASTS);
        }
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
        self.silent_until = None;
        let pause = self.backoff.failed();
        let fault = explain(error, &self.subject, &self.scope);
        let before = self.state.borrow().fault.clone();
        self.state.send_modify(|state| {
            state.restarts += 1;
            let Some(fault) = &fault else { return };
            state.fault = Some(fault.to_string());
            if state.up {
                (state.up, state.since) = (false, Instant::now());
            }
        });
        let Some(fault) = fault else { return pause };
        if before.is_some_and(|before| before != fault.to_string()) {
            self.reminder = LogInterval::new(REMIND);
        }
        if self.reminder.is_due() {
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
