//! Whether this process may act: asked before every write and every call.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};

use crate::clock::BootTime;

/// Whether this process holds the lease. Cheap to clone; clones tell the same.
///
/// # Guarantees
/// - It is not held any more from the moment at which it should have been renewed, whether or not anything of this process
///   ran since: the clock decides, and that goes on while the process is stopped or the machine suspended.
/// - Once it was held and is not, it never is again: a process that was without the lease may know things that are not so any more.
#[derive(Clone, Debug)]
pub struct Hold(std::sync::Arc<watch::Sender<Tenure>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tenure {
    /// Not held yet.
    Before,
    /// Held until then, unless it is renewed.
    Until(BootTime),
    /// There is nobody to lose it to.
    ForEver,
    /// Lost or given back.
    Over,
}

impl Tenure {
    /// What it is at this time.
    fn at(self, now: BootTime) -> Self {
        match self {
            Self::Until(end) if end <= now => Self::Over,
            other => other,
        }
    }

    fn is_held(self) -> bool {
        matches!(self, Self::Until(_) | Self::ForEver)
    }
}

impl Hold {
    /// Not held yet.
    pub(super) fn new() -> Self {
        Self::of(Tenure::Before)
    }

    /// Held by the only process there is, without a Lease.
    pub fn without_election() -> Self {
        Self::of(Tenure::ForEver)
    }

    fn of(tenure: Tenure) -> Self {
        Self(std::sync::Arc::new(watch::Sender::new(tenure)))
    }

    /// Whether it is held now.
    pub fn is_held(&self) -> bool {
        self.change(|tenure, _| tenure).is_held()
    }

    /// Waits until it is held. Never ends where that is over already.
    pub async fn begun(&self) {
        // An error means that the sender is gone, and the sender is ours.
        let _ = self.0.subscribe().wait_for(|tenure| tenure.is_held()).await;
    }

    /// Held until `end`; `false`: too late.
    pub(super) fn hold_until(&self, end: BootTime) -> bool {
        let tenure = self.change(|tenure, now| match tenure {
            // One that was never held can be tried for again.
            Tenure::Before if end <= now => Tenure::Before,
            Tenure::Before | Tenure::Until(_) => Tenure::Until(end).at(now),
            other => other,
        });
        tenure.is_held()
    }

    /// Not held from now on.
    pub(super) fn end(&self) {
        self.change(|_, _| Tenure::Over);
    }

    /// The time until it ends, if it is held and not renewed.
    pub(super) fn left(&self) -> Duration {
        match self.change(|tenure, _| tenure) {
            Tenure::Until(end) => end.left(BootTime::now()),
            _ => Duration::ZERO,
        }
    }

    /// What there is now comes first, so that what is over stays over.
    fn change(&self, change: impl FnOnce(Tenure, BootTime) -> Tenure) -> Tenure {
        let mut after = Tenure::Over;
        self.0.send_if_modified(|tenure| {
            // Under the lock: a time from before it may be of before a pause.
            let now = BootTime::now();
            after = change(tenure.at(now), now);
            std::mem::replace(tenure, after) != after
        });
        after
    }

    /// Waits until it is over, at most a moment longer.
    pub(super) async fn lapsed(&self) {
        while self.is_held() {
            sleep(self.left()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn soon(time: Duration) -> BootTime {
        BootTime::now().after(time)
    }

    #[test]
    fn it_is_held_from_the_first_renewal_until_the_last_one_runs_out() {
        let hold = Hold::new();
        assert!(!hold.is_held(), "not yet");
        assert!(hold.hold_until(soon(HOUR)) && hold.is_held() && hold.clone().is_held());
        assert!(hold.hold_until(soon(Duration::from_millis(20))) && hold.is_held());
        std::thread::sleep(Duration::from_millis(25));
        assert!(!hold.is_held());
    }

    #[test]
    fn a_renewal_that_comes_too_late_revives_nothing_even_if_nobody_has_noticed() {
        let hold = Hold::new();
        assert!(hold.hold_until(soon(Duration::from_millis(5))));
        std::thread::sleep(Duration::from_millis(10));
        assert!(!hold.hold_until(soon(HOUR)) && !hold.is_held());
    }

    #[test]
    fn a_first_answer_that_comes_too_late_spoils_nothing() {
        let hold = Hold::new();
        assert!(!hold.hold_until(BootTime::now()) && !hold.is_held());
        assert!(hold.hold_until(soon(HOUR)) && hold.is_held());
    }

    #[test]
    fn what_was_given_back_stays_so() {
        let hold = Hold::new();
        assert!(hold.hold_until(soon(HOUR)));
        hold.end();
        assert!(!hold.is_held() && !hold.hold_until(soon(HOUR)) && !hold.is_held());
    }

    #[tokio::test]
    async fn who_waits_for_it_is_told() {
        let hold = Hold::new();
        let (waiting, renewing) = (hold.clone(), hold.clone());
        let waiter = tokio::spawn(async move { waiting.begun().await });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        renewing.hold_until(soon(HOUR));
        waiter.await.unwrap();
    }

    #[test]
    fn without_an_election_it_is_always_held() {
        assert!(Hold::without_election().is_held());
    }
}
