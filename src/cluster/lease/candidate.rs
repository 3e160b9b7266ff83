//! Competes for the Lease, renews it, gives it back.

#[cfg(test)]
mod tests;

use std::time::Duration;

use k8s_openapi::{api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime};
use kube::Client;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Hold, LeaseLost, LeaseSettings, Pace,
    election::OnRefusal,
    object::LeaseObject,
    record::{Standing, View},
    trouble::Trouble,
};
use crate::clock::{BootTime, Clock};

/// How long a lease that is given back is held by nobody: as client-go writes it.
const RELEASED_SECONDS: i32 = 1;

/// Somebody may change it meanwhile, and an answer may get lost; but a process that ends must not take long.
const GIVE_BACK_TRIES: u32 = 3;

/// See the module's page.
pub(super) struct Candidate {
    settings: LeaseSettings,
    pace: Pace,
    object: LeaseObject,
    view: View,
    hold: Hold,
    clock: Clock,
    /// When it was won.
    acquired: Option<MicroTime>,
    /// What was told last.
    trouble: Option<Trouble>,
    on_refusal: OnRefusal,
    /// Nobody can lead, as far as `on_refusal` was told.
    is_refused: bool,
    /// What was sent last may have been done, or not.
    is_unsure: bool,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// It is held.
    Held,
    /// Somebody else has changed it, and what there is now is known.
    Changed,
    /// Nothing came of it, as far as is known.
    Failed,
}

impl Candidate {
    pub(super) fn new(
        client: &Client,
        settings: LeaseSettings,
        clock: Clock,
        hold: Hold,
        on_refusal: OnRefusal,
    ) -> Self {
        Self {
            pace: Pace::of(settings.duration),
            object: LeaseObject::watch(client, &settings),
            view: View::new(BootTime::now()),
            hold,
            clock,
            acquired: None,
            trouble: None,
            settings,
            on_refusal,
            is_refused: false,
            is_unsure: false,
        }
    }

    /// Waits for the lease and takes it; `false`: asked to leave before. A request that was sent is waited for, but its answer may be
    /// lost: so [`Self::give_back`] is for both.
    pub(super) async fn win(&mut self, resign: &CancellationToken) -> bool {
        let mut known_holder = None;
        let mut looked = false;
        loop {
            if resign.is_cancelled() {
                return false;
            }
            if !looked {
                looked = self.look(self.pace.patience).await;
            }
            let pause = match self.standing() {
                _ if !looked => self.pace.retry,
                Standing::Free | Standing::Ours => match self.write(self.pace.patience).await {
                    Written::Held => return true,
                    Written::Changed => Duration::ZERO,
                    Written::Failed => self.pace.retry,
                },
                Standing::Theirs { holder, until } => {
                    if known_holder.as_ref() != Some(&holder) {
                        tracing::info!(lease = self.name(), holder, "another replica leads, this one stands by");
                        known_holder = Some(holder);
                    }
                    until.left(BootTime::now())
                }
            };
            tokio::select! {
                () = resign.cancelled() => {}
                () = self.object.changed() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Keeps it until `resign`.
    pub(super) async fn reign(&mut self, resign: &CancellationToken) -> Result<(), LeaseLost> {
        // From before it was sent, as the hold is.
        let after = self.pace.rely.saturating_sub(self.pace.renew);
        let mut due = Instant::now() + self.hold.left().saturating_sub(after);
        loop {
            let hold = self.hold.clone();
            tokio::select! {
                biased;
                () = resign.cancelled() => return Ok(()),
                () = hold.lapsed() => {}
                () = self.object.changed() => {
                    // Our own renewals are seen too: the next one comes when it is due. One that somebody deleted is put back.
                    if self.standing() == Standing::Ours && self.view.version().is_some() {
                        continue;
                    }
                }
                () = sleep_until(due) => {}
            }
            let lease = self.name();
            match self.standing() {
                Standing::Theirs { holder, .. } => return Err(LeaseLost::Taken { lease, holder }),
                Standing::Free => return Err(LeaseLost::Cleared { lease }),
                Standing::Ours => {}
            }
            let begun = Instant::now();
            let written = if self.hold.is_held() {
                let within = self.pace.renewal_within(self.hold.left());
                tokio::select! {
                    biased;
                    written = self.write(within) => written,
                    () = resign.cancelled() => {
                        self.is_unsure = true;
                        return Ok(());
                    }
                }
            } else {
                Written::Failed
            };
            if !self.hold.is_held() {
                let why = self.trouble.take();
                let why = why.map_or_else(|| "the process stood still".to_owned(), |trouble| trouble.to_string());
                return Err(LeaseLost::NotRenewed { lease, why });
            }
            let now = Instant::now();
            due = match written {
                Written::Held => (begun + self.pace.renew).max(now),
                // Another may have it. This is no faster than somebody else writes.
                Written::Changed => now,
                Written::Failed => now + self.pace.retry,
            };
        }
    }

    /// Lets the next one begin at once, where the lease is ours. Should that fail, it begins when the time is over.
    pub(super) async fn give_back(&mut self) {
        let limit = self.pace.request * 2;
        if timeout(limit, self.release()).await != Ok(true) {
            tracing::warn!(
                lease = self.name(),
                "the lease could not be given back: another replica has to wait for its end"
            );
        }
    }

    /// Whether it is not ours any more.
    async fn release(&mut self) -> bool {
        let now = MicroTime(self.clock.now());
        let spec = json!({
            "holderIdentity": null, "leaseDurationSeconds": RELEASED_SECONDS, "acquireTime": now, "renewTime": now,
        });
        for _ in 0..GIVE_BACK_TRIES {
            self.standing();
            // A list that was completed while the answer to the first write was on its way says that there is none, and the watch
            // has yet to deliver it.
            let is_unseen = self.acquired.is_some() && self.view.version().is_none();
            if (self.is_unsure || is_unseen) && !self.look(self.pace.request).await {
                continue;
            }
            let version = match self.standing() {
                Standing::Ours => self.view.version().map(str::to_owned),
                Standing::Free | Standing::Theirs { .. } => None,
            };
            let Some(version) = version else { return true };
            match self.object.patch(&version, spec.clone(), self.pace.request).await {
                Ok(_) => {
                    tracing::info!(lease = self.name(), "the lease is given back");
                    return true;
                }
                Err(trouble) => {
                    self.is_unsure = true;
                    if trouble != Trouble::Changed {
                        self.fails(trouble);
                    }
                }
            }
        }
        false
    }

    /// Takes or renews it. It is held from before the request was sent, because the others may have seen it any time since.
    async fn write(&mut self, within: Duration) -> Written {
        let (sent, now) = (BootTime::now(), MicroTime(self.clock.now()));
        let acquired = self.acquired.clone().unwrap_or_else(|| now.clone());
        let spec = LeaseSpec {
            holder_identity: Some(self.settings.identity.clone()),
            lease_duration_seconds: i32::try_from(self.settings.duration.as_secs()).ok(),
            acquire_time: Some(acquired.clone()),
            renew_time: Some(now),
            lease_transitions: Some(self.view.transitions_for(&self.settings.identity)),
            ..LeaseSpec::default()
        };
        let written = match self.view.version() {
            Some(version) => self.object.patch(version, json!(spec), within).await,
            None => self.object.create(spec, within).await,
        };
        match written {
            Ok(lease) => {
                self.works();
                self.is_unsure = false;
                // Seen at once: the watch tells of no own write, and who deletes it next does not end its holder.
                self.view.update(Some(&lease), BootTime::now());
                if self.acquired.replace(acquired).is_none() {
                    // Told before anything comes of it, so that the log is in order.
                    tracing::info!(
                        lease = self.name(),
                        holder = self.settings.identity,
                        "this replica leads"
                    );
                }
                if self.hold.hold_until(sent.after(self.pace.rely)) {
                    Written::Held
                } else {
                    Written::Failed
                }
            }
            Err(Trouble::Changed) => {
                if self.look(within).await {
                    Written::Changed
                } else {
                    Written::Failed
                }
            }
            Err(trouble) => {
                self.is_unsure = true;
                self.fails(trouble);
                Written::Failed
            }
        }
    }

    /// Asks what there is. Whether there was an answer.
    async fn look(&mut self, within: Duration) -> bool {
        match self.object.look(within).await {
            Ok(()) => {
                self.works();
                self.is_unsure = false;
                true
            }
            Err(trouble) => {
                self.fails(trouble);
                false
            }
        }
    }

    fn standing(&mut self) -> Standing {
        let now = BootTime::now();
        self.view.update(self.object.known().as_deref(), now);
        self.view.standing(&self.settings.identity, self.settings.duration, now)
    }

    fn works(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!(lease = self.name(), "the lease can be reached again");
        }
        self.is_refused = false;
        (self.on_refusal)(None);
    }

    /// Told once, until it changes.
    fn fails(&mut self, trouble: Trouble) {
        if self.trouble.as_ref() != Some(&trouble) {
            let (lease, error) = (self.name(), trouble.to_string());
            tracing::warn!(lease, error, "the lease cannot be reached, which is tried again");
            // After a refusal nobody knows what would be said now: it stays told, with what there is instead.
            self.is_refused |= matches!(trouble, Trouble::Refused { .. });
            if self.is_refused {
                (self.on_refusal)(Some(&format!("lease {lease}: {error}")));
            }
        }
        self.trouble = Some(trouble);
    }

    fn name(&self) -> String {
        format!("{}/{}", self.settings.namespace, self.settings.name)
    }
}
