//! What has to be there before the operator is ready.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The gates between start and readiness. Cheap to clone; clones share the gates.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<String, String>>>);

/// One thing that readiness waits for. It may open and close any number of times; dropping it changes nothing.
pub struct Gate {
    name: String,
    readiness: Readiness,
}

impl Readiness {
    /// Adds a gate, closed for `reason`. Create all gates before the port is served: without gates the operator is ready.
    pub fn gate(&self, name: impl Into<String>, reason: impl Into<String>) -> Gate {
        let gate = Gate {
            name: name.into(),
            readiness: self.clone(),
        };
        gate.close(reason);
        gate
    }

    /// The closed gates: name and reason, by name.
    pub fn closed(&self) -> Vec<(String, String)> {
        self.gates()
            .iter()
            .map(|(name, reason)| (name.clone(), reason.clone()))
            .collect()
    }

    fn gates(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    /// What this gate waited for is there.
    pub fn open(&self) {
        self.readiness.gates().remove(&self.name);
    }

    /// What this gate waits for is missing. The reason is for people: what is missing, and what to do.
    pub fn close(&self, reason: impl Into<String>) {
        self.readiness.gates().insert(self.name.clone(), reason.into());
    }
}
