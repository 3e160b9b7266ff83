//! How many calls a connection may make.

use std::num::NonZeroU32;

use acs_identity::limiter::{BudgetShare, RateLimits};

use crate::api::ConnectionSettings;

/// The limits of a resource, and the share of them that is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// What Azure grants.
    pub limits: RateLimits,
    /// How much of that is used.
    pub share: BudgetShare,
}

impl Budget {
    /// What the spec says, with what Microsoft documents where it says nothing.
    pub fn of(settings: &ConnectionSettings) -> Self {
        let documented = RateLimits::default();
        let declared = settings.rate_limits.clone().unwrap_or_default();
        let or = |declared: Option<i32>, documented: NonZeroU32| {
            let declared = declared.and_then(|limit| u32::try_from(limit).ok());
            declared.and_then(NonZeroU32::new).unwrap_or(documented)
        };
        let percent = u8::try_from(settings.request_budget_percent).ok();
        Self {
            limits: RateLimits {
                create: or(declared.create, documented.create),
                issue: or(declared.issue, documented.issue),
                revoke: or(declared.revoke, documented.revoke),
                delete: or(declared.delete, documented.delete),
            },
            // What no schema let through is the least: too slow is better than too much.
            share: percent
                .and_then(BudgetShare::percent)
                .or_else(|| BudgetShare::percent(1))
                .unwrap_or(BudgetShare::ALL),
        }
    }
}
