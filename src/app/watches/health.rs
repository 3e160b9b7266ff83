//! How the watches are, for readiness and metrics.

use std::time::Duration;

use futures::future::select_all;
use tokio::{
    sync::watch as latest,
    time::{Instant, sleep_until},
};

use super::Watching;
use crate::cluster::watch::WatchState;

/// A watch that is down for as long as this makes the operator unready. The API server itself restarts faster.
const PATIENCE: Duration = Duration::from_mins(1);

/// One watch, of many perhaps, on a kind.
pub(super) struct Watched {
    kind: &'static str,
    state: latest::Receiver<WatchState>,
    restarts: u64,
    /// It was up once: then it may be down for a while.
    was_up: bool,
}

impl Watched {
    pub(super) fn new(kind: &'static str, state: latest::Receiver<WatchState>) -> Self {
        Self {
            kind,
            state,
            restarts: 0,
            was_up: false,
        }
    }

    /// When this watch makes the operator unready if it stays as it is; `None` while it works.
    fn tolerated_until(&self) -> Option<Instant> {
        let state = self.state.borrow();
        let patience = if self.was_up { PATIENCE } else { Duration::ZERO };
        (!state.up).then(|| state.since + patience)
    }

    fn complaint(&self) -> String {
        let state = self.state.borrow();
        let fault = state.fault.as_deref().unwrap_or("the first list is not complete yet");
        format!("watch of {}: {fault}", self.kind)
    }
}

/// Tells readiness and metrics, now and at every change. Returns when a watch has ended.
pub(super) async fn tell(mut watched: Vec<Watched>, to: Watching) {
    loop {
        let now = Instant::now();
        count(&mut watched, &to);
        let impatient = |watch: &&Watched| watch.tolerated_until().is_some_and(|until| until <= now);
        match watched.iter().find(impatient) {
            Some(watch) => to.gate.close(watch.complaint()),
            None => to.gate.open(),
        }
        let later = watched
            .iter()
            .filter_map(Watched::tolerated_until)
            .filter(|until| *until > now)
            .min();
        let changed = select_all(watched.iter_mut().map(|watch| Box::pin(watch.state.changed())));
        tokio::select! {
            (changed, ..) = changed => {
                if changed.is_err() {
                    return;
                }
            }
            () = sleep_until(later.unwrap_or(now)), if later.is_some() => {}
        }
    }
}

fn count(watched: &mut [Watched], to: &Watching) {
    for watch in watched.iter_mut() {
        let state = watch.state.borrow_and_update();
        for _ in watch.restarts..state.restarts {
            to.metrics.restarted(watch.kind);
        }
        watch.restarts = state.restarts;
        watch.was_up |= state.up;
    }
    for kind in watched.iter().map(|watch| watch.kind) {
        let mut same = watched.iter().filter(|watch| watch.kind == kind);
        to.metrics.up(kind, same.all(|watch| watch.state.borrow().up));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{admin::Readiness, clock::Clock, telemetry::Metrics};

    const MOMENT: Duration = Duration::from_millis(1);

    struct Rig {
        readiness: Readiness,
        metrics: Metrics,
        watches: Vec<latest::Sender<WatchState>>,
    }

    fn down() -> WatchState {
        WatchState {
            up: false,
            since: Instant::now(),
            restarts: 0,
            fault: None,
            unreadable: 0,
        }
    }

    impl Rig {
        /// Two watches on users, one on Secrets.
        fn start() -> Self {
            let readiness = Readiness::default();
            let metrics = Metrics::new(Clock::system());
            let watches: Vec<_> = (0..3).map(|_| latest::Sender::new(down())).collect();
            let kinds = ["CommunicationUser", "CommunicationUser", "Secret"].into_iter();
            let receivers = kinds
                .zip(&watches)
                .map(|(kind, state)| Watched::new(kind, state.subscribe()))
                .collect();
            let watching = Watching {
                gate: readiness.gate("caches", "not yet"),
                metrics: metrics.watches.clone(),
            };
            tokio::spawn(tell(receivers, watching));
            Self {
                readiness,
                metrics,
                watches,
            }
        }

        async fn becomes(&self, watch: usize, change: impl FnOnce(&mut WatchState)) {
            self.watches[watch].send_modify(|state| {
                state.since = Instant::now();
                change(state);
            });
            tokio::time::sleep(MOMENT).await;
        }

        async fn all_up(&self) {
            for watch in 0..3 {
                self.becomes(watch, |state| state.up = true).await;
            }
        }

        fn complaint(&self) -> Option<String> {
            self.readiness.closed().pop().map(|(_, reason)| reason)
        }

        fn metric(&self, name: &str) -> String {
            let text = self.metrics.render().unwrap();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.rsplit(' ').next().unwrap_or_default().to_owned()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_operator_is_ready_once_every_watch_has_listed_everything() {
        let rig = Rig::start();
        rig.becomes(0, |state| state.up = true).await;
        rig.becomes(1, |state| state.up = true).await;
        assert_eq!(
            rig.complaint().as_deref(),
            Some("watch of Secret: the first list is not complete yet")
        );
        rig.becomes(2, |state| state.fault = Some("forbidden: allow it".into()))
            .await;
        assert_eq!(rig.complaint().as_deref(), Some("watch of Secret: forbidden: allow it"));
        rig.becomes(2, |state| state.up = true).await;
        assert_eq!(rig.complaint(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_worked_may_be_down_for_a_while() {
        let rig = Rig::start();
        rig.all_up().await;
        rig.becomes(0, |state| state.up = false).await;
        tokio::time::sleep(PATIENCE / 2).await;
        assert_eq!(rig.complaint(), None);
        tokio::time::sleep(PATIENCE).await;
        assert!(rig.complaint().is_some());
        rig.becomes(0, |state| state.up = true).await;
        assert_eq!(rig.complaint(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_is_up_when_all_its_watches_are() {
        let rig = Rig::start();
        let (users, secrets) = (
            r#"acs_operator_watch_up{kind="CommunicationUser"}"#,
            r#"acs_operator_watch_up{kind="Secret"}"#,
        );
        rig.becomes(1, |state| state.up = true).await;
        assert_eq!((rig.metric(users), rig.metric(secrets)), ("0".into(), "0".into()));
        rig.all_up().await;
        assert_eq!((rig.metric(users), rig.metric(secrets)), ("1".into(), "1".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn restarts_are_counted_over_all_watches_of_a_kind() {
        let rig = Rig::start();
        rig.becomes(0, |state| state.restarts = 2).await;
        rig.becomes(1, |state| state.restarts = 1).await;
        rig.becomes(0, |state| state.restarts = 3).await;
        assert_eq!(
            rig.metric(r#"acs_operator_watch_restarts_total{kind="CommunicationUser"}"#),
            "4"
        );
    }
}
