//! What the service grants, and how much of it to use.

use std::num::NonZeroU32;

/// Requests that the service grants a resource in 30 seconds.
///
/// The default is what Microsoft documents ("Service limits"); support can raise it. It is not said there what the
/// counters belong to; taken here as one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimits {
    /// Creating identities, with or without a first token. Documented: 1000.
    pub create: NonZeroU32,
    /// Issuing tokens. Documented: 1000.
    pub issue: NonZeroU32,
    /// Revoking tokens. Documented: 500.
    pub revoke: NonZeroU32,
    /// Deleting identities. Documented: 500.
    pub delete: NonZeroU32,
}

const fn requests(count: u32) -> NonZeroU32 {
    match NonZeroU32::new(count) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            create: requests(1000),
            issue: requests(1000),
            revoke: requests(500),
            delete: requests(500),
        }
    }
}

/// The part of the limits to use, in percent. What is left is for other users of the same resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BudgetShare(u8);

impl BudgetShare {
    /// All of it.
    pub const ALL: Self = Self(100);

    /// 1 to 100 percent; `None` otherwise.
    pub const fn percent(percent: u8) -> Option<Self> {
        if percent >= 1 && percent <= 100 {
            Some(Self(percent))
        } else {
            None
        }
    }

    /// Rounded down, but at least one request.
    pub(super) fn of(self, limit: NonZeroU32) -> NonZeroU32 {
        let share = u64::from(limit.get()) * u64::from(self.0) / 100;
        u32::try_from(share)
            .ok()
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_to_at_least_one_request() {
        let of = |percent, limit| BudgetShare::percent(percent).unwrap().of(requests(limit)).get();
        assert_eq!(
            (of(100, 1000), of(50, 1000), of(33, 100), of(50, 3), of(1, 10)),
            (1000, 500, 33, 1, 1)
        );
        assert_eq!(of(100, u32::MAX), u32::MAX);
        assert_eq!((BudgetShare::percent(0), BudgetShare::percent(101)), (None, None));
    }
}
