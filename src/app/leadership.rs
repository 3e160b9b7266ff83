//! How this replica comes to lead, and what it is called while it does.

use kube::Client;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    admin::Gate,
    cli::ElectionSettings,
    clock::Clock,
    cluster::lease::{Election, Hold, LeaseLost, LeaseSettings},
};

/// See the module's page.
pub(super) struct Leadership {
    /// Whether this replica leads.
    pub(super) hold: Hold,
    election: Option<Election>,
}

impl Leadership {
    /// `gate` is closed while no replica can lead for a reason that somebody has to see to.
    pub(super) fn new(
        settings: Option<&ElectionSettings>,
        namespace: &str,
        client: Client,
        clock: Clock,
        gate: Gate,
    ) -> Self {
        let Some(settings) = settings else {
            gate.open();
            return Self {
                hold: Hold::without_election(),
                election: None,
            };
        };
        let settings = LeaseSettings {
            namespace: namespace.to_owned(),
            name: settings.lease_name.clone(),
            identity: format!("{}_{}", instance(), Uuid::new_v4()),
            duration: settings.lease_duration,
        };
        let on_refusal = move |refusal: Option<&str>| match refusal {
            Some(refusal) => gate.close(refusal),
            None => gate.open(),
        };
        let (election, hold) = Election::new(client, settings, clock, Box::new(on_refusal));
        Self {
            hold,
            election: Some(election),
        }
    }

    /// Competes once `ready`, so that who leads works at once, until `resign`.
    pub(super) fn compete(
        self,
        ready: impl Future<Output = ()> + Send + 'static,
        resign: CancellationToken,
    ) -> JoinHandle<Result<(), LeaseLost>> {
        tokio::spawn(async move {
            let Some(election) = self.election else {
                resign.cancelled().await;
                return Ok(());
            };
            if resign.run_until_cancelled(ready).await.is_none() {
                return Ok(());
            }
            election.run(resign).await
        })
    }
}

/// The name of this replica. In a pod the host name is the pod's name.
pub(super) fn instance() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "acs-operator".to_owned()
    } else {
        name.to_owned()
    }
}
