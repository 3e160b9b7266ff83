//! The injected faults, and which of them hits a call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::fault::Fault;
use crate::route::Operation;

/// Names an injected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

/// An injected fault and what it has done so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InjectedFault {
    /// Its name.
    pub id: FaultId,
    /// The rule.
    pub fault: Fault,
    /// How many calls it has matched, those skipped included.
    pub matched: u32,
    /// How many calls it has hit. Counted when the call arrives, before any delay.
    pub hits: u32,
}

/// A fault that hits one call.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub id: FaultId,
    pub fault: Fault,
    /// Cancelled when the fault is removed.
    pub removed: CancellationToken,
}

struct Rule {
    fault: Fault,
    matched: u32,
    hits: u32,
    removed: CancellationToken,
}

/// The injected faults, in the order of injection.
#[derive(Default)]
pub(crate) struct Faults {
    rules: BTreeMap<FaultId, Rule>,
    last: u64,
}

impl Faults {
    pub(crate) fn inject(&mut self, fault: Fault) -> FaultId {
        self.last += 1;
        let id = FaultId(self.last);
        self.rules.insert(
            id,
            Rule {
                fault,
                matched: 0,
                hits: 0,
                removed: CancellationToken::new(),
            },
        );
        id
    }

    /// Whether there was one to remove.
    pub(crate) fn remove(&mut self, id: FaultId) -> bool {
        self.rules.remove(&id).map(|rule| rule.removed.cancel()).is_some()
    }

    pub(crate) fn clear(&mut self) {
        for rule in std::mem::take(&mut self.rules).into_values() {
            rule.removed.cancel();
        }
    }

    pub(crate) fn list(&self) -> Vec<InjectedFault> {
        self.rules
            .iter()
            .map(|(id, rule)| InjectedFault {
                id: *id,
                fault: rule.fault.clone(),
                matched: rule.matched,
                hits: rule.hits,
            })
            .collect()
    }

    /// The first rule that matches and is not used up decides; a call that it lets through is hit by none.
    pub(crate) fn hit(&mut self, operation: Operation, identity: Option<&str>) -> Option<Hit> {
        let (id, rule) = self.rules.iter_mut().find(|(_, rule)| {
            rule.fault.matches(operation, identity) && rule.fault.times.is_none_or(|times| rule.hits < times)
        })?;
        rule.matched = rule.matched.saturating_add(1);
        if rule.matched <= rule.fault.skip {
            return None;
        }
        rule.hits = rule.hits.saturating_add(1);
        Some(Hit {
            id: *id,
            fault: rule.fault.clone(),
            removed: rule.removed.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn hits(faults: &mut Faults, operation: Operation, calls: usize) -> Vec<bool> {
        (0..calls).map(|_| faults.hit(operation, None).is_some()).collect()
    }

    #[test]
    fn a_fault_hits_the_nth_call_of_its_operation() {
        let mut faults = Faults::default();
        faults.inject(Fault::status(503).on(Operation::Issue).after(1).times(2));
        assert_eq!(hits(&mut faults, Operation::Create, 2), [false, false]);
        assert_eq!(
            hits(&mut faults, Operation::Issue, 5),
            [false, true, true, false, false]
        );
    }

    #[test]
    fn a_fault_for_one_identity_leaves_the_others_alone() {
        let mut faults = Faults::default();
        faults.inject(Fault::status(503).for_identity("8:acs:a"));
        assert!(faults.hit(Operation::Issue, Some("8:acs:b")).is_none());
        assert!(faults.hit(Operation::Issue, Some("8:acs:a")).is_some());
    }

    #[test]
    fn a_used_up_fault_makes_way_for_the_next() {
        let mut faults = Faults::default();
        let first = faults.inject(Fault::status(503).once());
        let second = faults.inject(Fault::status(500));
        let seen: Vec<_> = (0..3).map(|_| faults.hit(Operation::Get, None).unwrap().id).collect();
        assert_eq!(seen, [first, second, second]);
    }

    #[test]
    fn removing_a_fault_ends_its_delays() {
        let mut faults = Faults::default();
        let id = faults.inject(Fault::delay(Duration::from_hours(1)));
        let hit = faults.hit(Operation::Create, None).unwrap();
        assert!(!hit.removed.is_cancelled());
        assert!(faults.remove(id) && !faults.remove(id));
        assert!(hit.removed.is_cancelled());
    }
}
