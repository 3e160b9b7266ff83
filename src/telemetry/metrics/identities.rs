//! What the operator did in ACS: identities and tokens.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::labels::TokenCause;

/// `identities_created_total`, `identities_deleted_total`, `tokens_issued_total{cause}` and `suspected_orphans_total`.
#[derive(Clone, Default)]
pub struct IdentityMetrics {
    created: Counter,
    deleted: Counter,
    issued: Family<Cause, Counter>,
    suspected_orphans: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    cause: TokenCause,
}

impl IdentityMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "identities_created",
            "Identities that ACS confirmed as created",
            metrics.created.clone(),
        );
        registry.register(
            "identities_deleted",
            "Identities that ACS confirmed as gone",
            metrics.deleted.clone(),
        );
        registry.register(
            "tokens_issued",
            "Access tokens that ACS issued, by cause",
            metrics.issued.clone(),
        );
        registry.register(
            "suspected_orphans",
            "Creates whose outcome is not known: each may have left an identity in ACS that no object names",
            metrics.suspected_orphans.clone(),
        );
        for cause in TokenCause::ALL {
            let _ = metrics.issued.get_or_create(&Cause { cause: *cause });
        }
        metrics
    }

    /// ACS confirmed a new identity.
    pub fn created(&self) {
        self.created.inc();
    }

    /// ACS confirmed that an identity is gone.
    pub fn deleted(&self) {
        self.deleted.inc();
    }

    /// ACS issued a token.
    pub fn issued(&self, cause: TokenCause) {
        self.issued.get_or_create(&Cause { cause }).inc();
    }

    /// A create whose outcome will stay unknown was counted.
    pub fn suspected_orphan(&self) {
        self.suspected_orphans.inc();
    }
}
