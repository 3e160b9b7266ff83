//! What the process remembers of objects between two looks: failures, and create attempts under way. No token.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::decide::{Memory, OwnAttempt};

/// Memories by object uid.
#[derive(Default)]
pub struct Memories(Mutex<HashMap<String, Box<Memory>>>);

impl Memories {
    /// What is remembered of an object.
    pub fn recall(&self, uid: &str) -> Memory {
        self.lock()
            .get(uid)
            .map_or_else(Memory::default, |memory| Memory::clone(memory))
    }

    /// Remembers what is worth it.
    pub fn store(&self, uid: &str, memory: Memory) {
        let mut all = self.lock();
        match memory.kept(all.get(uid).map(Box::as_ref)) {
            Some(memory) => all.insert(uid.to_owned(), Box::new(memory)),
            None => all.remove(uid),
        };
    }

    /// Notes how far a create attempt came, even when nobody waits for it any more.
    pub fn note_attempt(&self, uid: &str, attempt: OwnAttempt) {
        self.lock().entry(uid.to_owned()).or_default().attempt = Some(attempt);
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Box<Memory>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::decide::Fate;

    fn own(uuid: Uuid, fate: Fate) -> OwnAttempt {
        OwnAttempt {
            uuid,
            custom_id: false,
            fate,
            follows_doubt: false,
        }
    }

    fn attempt_of(memories: &Memories) -> Option<Fate> {
        memories.recall("u").attempt.map(|attempt| attempt.fate)
    }

    #[test]
    fn what_a_create_came_to_is_not_overwritten_by_a_look_from_before() {
        let (memories, attempt) = (Memories::default(), Uuid::new_v4());
        memories.note_attempt("u", own(attempt, Fate::UnderWay));
        let earlier = memories.recall("u");
        memories.note_attempt("u", own(attempt, Fate::InDoubt));
        memories.store("u", earlier);
        assert_eq!(attempt_of(&memories), Some(Fate::InDoubt));
    }

    #[test]
    fn an_attempt_that_is_settled_is_forgotten() {
        let memories = Memories::default();
        memories.note_attempt("u", own(Uuid::new_v4(), Fate::UnderWay));
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
        memories.note_attempt("u", own(Uuid::new_v4(), Fate::InDoubt));
        memories.forget("u");
        assert!(memories.lock().is_empty());
    }
}
