//! What the operator did in ACS: identities and tokens.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::labels::{RevocationCause, TokenCause};

/// `identities_{created,adopted,deleted}_total`, `tokens_issued_total{cause}`, `tokens_revoked_total{cause}` and
/// `suspected_orphans_total`.
#[derive(Clone, Default)]
pub struct IdentityMetrics {
    created: Counter,
    adopted: Counter,
    deleted: Counter,
    issued: Family<Cause, Counter>,
    revoked: Family<Revoked, Counter>,
    suspected_orphans: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    cause: TokenCause,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Revoked {
    cause: RevocationCause,
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
            "identities_adopted",
            "Existing identities that objects were given by spec.identity.id",
            metrics.adopted.clone(),
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
            "tokens_revoked",
            "Revocations of all tokens of an identity that ACS confirmed, by cause",
            metrics.revoked.clone(),
        );
        registry.register(
            "suspected_orphans",
            "Creates whose outcome is not known: each may have left an identity in ACS that no object names",
            metrics.suspected_orphans.clone(),
        );
        for cause in TokenCause::ALL {
            let _ = metrics.issued.get_or_create(&Cause { cause: *cause });
        }
        for cause in RevocationCause::ALL {
            let _ = metrics.revoked.get_or_create(&Revoked { cause: *cause });
        }
        metrics
    }

    /// ACS confirmed a new identity.
    pub fn created(&self) {
        self.created.inc();
    }

    /// An object was given an identity that was there before.
    pub fn adopted(&self) {
        self.adopted.inc();
    }

    /// ACS confirmed that an identity is gone.
    pub fn deleted(&self) {
        self.deleted.inc();
    }

    /// ACS issued a token.
    pub fn issued(&self, cause: TokenCause) {
        self.issued.get_or_create(&Cause { cause }).inc();
    }

    /// ACS confirmed that all tokens of an identity are revoked.
    pub fn revoked(&self, cause: RevocationCause) {
        self.revoked.get_or_create(&Revoked { cause }).inc();
    }

    /// A create whose outcome will stay unknown was counted.
    pub fn suspected_orphan(&self) {
        self.suspected_orphans.inc();
    }
}
