//! What the process remembers of objects between two looks: failures, and create attempts under way. No token.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::decide::{Fate, Memory, OwnAttempt};

/// Memories by object uid.
#[derive(Default)]
pub struct Memories(Mutex<HashMap<String, Memory>>);

impl Memories {
    /// What is remembered of an object, with a new uuid for the attempt that may be needed.
    pub fn recall(&self, uid: &str) -> Memory {
        let mut memory = self.lock().get(uid).cloned().unwrap_or_else(blank);
        memory.next_attempt = Uuid::new_v4();
        memory
    }

    /// Remembers. A fresh token's record is left out: the token itself is not kept.
    pub fn store(&self, uid: &str, memory: Memory) {
        let mut memory = Memory {
            fresh: None,
            acceptable: false,
            ..memory
        };
        let worth_it = memory.attempt.is_some()
            || memory.trouble.is_some()
            || memory.identity_gone
            || memory.revoked.is_some()
            || memory.inspected.is_some()
            || memory.repaired.is_some()
            || memory.in_line.is_some();
        let mut all = self.lock();
        if let Some(noted) = all.get(uid).and_then(|held| held.attempt.as_ref())
            && memory
                .attempt
                .as_ref()
                .is_some_and(|own| own.uuid == noted.uuid && own.fate == Fate::UnderWay)
        {
            // Its task has come further since this was recalled.
            memory.attempt = Some(noted.clone());
        }
        if worth_it {
            all.insert(uid.to_owned(), memory);
        } else {
            all.remove(uid);
        }
    }

    /// Notes how far a create attempt came, even when nobody waits for it any more.
    pub fn note_attempt(&self, uid: &str, attempt: Uuid, fate: Fate) {
        self.lock().entry(uid.to_owned()).or_insert_with(blank).attempt = Some(OwnAttempt { uuid: attempt, fate });
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn blank() -> Memory {
    Memory {
        next_attempt: Uuid::nil(),
        attempt: None,
        fresh: None,
        trouble: None,
        identity_gone: false,
        revoked: None,
        inspected: None,
        repaired: None,
        in_line: None,
        acceptable: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt_of(memories: &Memories) -> Option<Fate> {
        memories.recall("u").attempt.map(|attempt| attempt.fate)
    }

    #[test]
    fn what_a_create_came_to_is_not_overwritten_by_a_look_from_before() {
        let (memories, attempt) = (Memories::default(), Uuid::new_v4());
        memories.note_attempt("u", attempt, Fate::UnderWay);
        let earlier = memories.recall("u");
        memories.note_attempt("u", attempt, Fate::InDoubt);
        memories.store("u", earlier);
        assert_eq!(attempt_of(&memories), Some(Fate::InDoubt));
    }

    #[test]
    fn an_attempt_that_is_settled_is_forgotten() {
        let memories = Memories::default();
        memories.note_attempt("u", Uuid::new_v4(), Fate::UnderWay);
        let settled = Memory {
            attempt: None,
            ..memories.recall("u")
        };
        memories.store("u", settled);
        assert_eq!(attempt_of(&memories), None);
        assert!(memories.lock().is_empty(), "nothing is kept of an object in good order");
    }

    #[test]
    fn an_object_that_is_gone_is_forgotten() {
        let memories = Memories::default();
        memories.note_attempt("u", Uuid::new_v4(), Fate::InDoubt);
        memories.forget("u");
        assert!(memories.lock().is_empty());
    }
}
