//! Taking part in an election, from the outside.

use kube::Client;
use tokio_util::sync::CancellationToken;

use super::{Hold, LeaseSettings, candidate::Candidate};
use crate::clock::Clock;

/// Told what stands in the way of any candidate until somebody sees to it, and `None` when nothing does.
pub type OnRefusal = Box<dyn Fn(Option<&str>) + Send>;

/// A candidate for the lease. See the [module](super) for what it guarantees.
pub struct Election {
    client: Client,
    settings: LeaseSettings,
    clock: Clock,
    hold: Hold,
    on_refusal: OnRefusal,
}

/// Why the lease is lost.
#[derive(Debug, thiserror::Error)]
pub enum LeaseLost {
    /// No renewal succeeded in time; another replica may have it soon.
    #[error("lease {lease} was not renewed soon enough: {why}")]
    NotRenewed {
        /// Namespace and name.
        lease: String,
        /// What went wrong last.
        why: String,
    },
    /// Somebody else has it.
    #[error("lease {lease} is held by {holder} now")]
    Taken {
        /// Namespace and name.
        lease: String,
        /// Who has it.
        holder: String,
    },
    /// Somebody else has cleared it.
    #[error("lease {lease} was released by someone else")]
    Cleared {
        /// Namespace and name.
        lease: String,
    },
}

impl Election {
    /// A candidate, and what tells whether it holds the lease. Nothing is sent before it [runs](Self::run).
    pub fn new(client: Client, settings: LeaseSettings, clock: Clock, on_refusal: OnRefusal) -> (Self, Hold) {
        let hold = Hold::new();
        let election = Self {
            client,
            settings,
            clock,
            hold: hold.clone(),
            on_refusal,
        };
        (election, hold)
    }

    /// Competes for the lease, and holds it until `resign`; then it is given back.
    ///
    /// # Errors
    /// When it is lost.
    pub async fn run(self, resign: CancellationToken) -> Result<(), LeaseLost> {
        let Self {
            client,
            settings,
            clock,
            hold,
            on_refusal,
        } = self;
        let mut candidate = Candidate::new(&client, settings, clock, hold.clone(), on_refusal);
        let reign = if candidate.win(&resign).await {
            candidate.reign(&resign).await
        } else {
            Ok(())
        };
        // However it ended, nothing is done from now on: only then others may begin.
        hold.end();
        if reign.is_ok() {
            candidate.give_back().await;
        }
        reign
    }
}
