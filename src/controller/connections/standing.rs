//! What a look at a connection came to, as far as its users go by it.

use jiff::Timestamp;

use crate::api::Verdict;
use crate::decide::connection::{Credential, ObservedConnection, verdict};

/// What a look at a connection came to, as far as its users go by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// What its conditions say.
    pub verdict: Verdict,
    /// Whether its credential was looked for and, if there is one that may be, shown to ACS.
    pub is_known: bool,
    /// For whom it is there.
    pub open_to: OpenTo,
    /// The GUID of its resource.
    pub resource_id: Option<String>,
    /// The generation of the spec that was looked at.
    pub generation: i64,
    /// Fingerprints whose tokens are good; `None`: not known now.
    pub good: Option<Vec<String>>,
    /// The credential in use.
    pub in_use: Option<String>,
    /// When its credential was last proven.
    pub proven: Option<Timestamp>,
    /// When that was after probes had failed, or after credentials were changed.
    pub repaired: Option<Timestamp>,
}

/// For whom a connection is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenTo {
    /// For everyone that it serves.
    All,
    /// For nobody yet: it is not guarded, so it could go while users need it.
    NobodyYet,
    /// For nobody new yet: the Secret with its credential is not guarded, so it could go before an identity that is made now.
    NobodyNewYet,
    /// For those who are there: it is being deleted.
    UsersOfOld,
    /// For deletions only: it is suspended.
    Deletions,
    /// For nobody: its credential leads to another resource than its users' identities are of.
    Nobody,
}

impl Standing {
    /// All that its users go by: not the words, and not the time of the last proof.
    pub fn for_users(&self) -> impl PartialEq + '_ {
        let Self {
            verdict,
            is_known,
            open_to,
            resource_id,
            generation,
            good,
            in_use,
            proven,
            repaired,
        } = self;
        let is_proven = proven.is_some();
        let verdict = (verdict.ready, verdict.reason);
        (
            verdict,
            is_known,
            open_to,
            resource_id,
            generation,
            good,
            in_use,
            is_proven,
            repaired,
        )
    }

    /// As it was looked at.
    pub fn of(o: &ObservedConnection) -> Self {
        let fingerprints = o.fingerprints();
        // What the spec does not ask for any more proves nothing for its users, though deletions may still go by it.
        let is_loaded = matches!(o.credential, Credential::Loaded { .. });
        let proven = o.health.proven().filter(|_| is_loaded);
        Self {
            verdict: verdict(o),
            is_known: match &o.credential {
                Credential::Pending => false,
                Credential::Loaded { .. } => o.health.is_known() || o.has_moved(),
                _ => true,
            },
            open_to: open_to(o),
            resource_id: o.resource_id().map(str::to_owned),
            generation: o.object.generation,
            good: proven.is_some().then(|| o.health.good(fingerprints)),
            in_use: o.in_use().cloned(),
            proven,
            repaired: o.health.repaired().filter(|_| is_loaded),
        }
    }
}

fn open_to(o: &ObservedConnection) -> OpenTo {
    if o.has_moved() {
        OpenTo::Nobody
    } else if o.object.suspend {
        OpenTo::Deletions
    } else if o.object.deleting {
        OpenTo::UsersOfOld
    } else if o.object.is_writable && !o.is_guarded() {
        OpenTo::NobodyYet
    } else if o.object.is_writable
        && o.secret
            .as_ref()
            .is_some_and(|secret| !secret.is_guarded() && !secret.deleting)
    {
        OpenTo::NobodyNewYet
    } else {
        OpenTo::All
    }
}
