//! How far one watch has come, and what this process did that the watch has not delivered yet.
//!
//! A watch delivers the changes of its kind in the order of their versions, and after a list those that come after it.
//! So whatever stands at or before the last version delivered has been delivered.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    super::{ObjectKey, Scope},
    version::Version,
};

#[derive(Debug)]
pub(super) struct Stream<K> {
    pub(super) scope: Scope,
    pub(super) relist: Option<Relist<K>>,
    /// What is there in a version that could not be decoded.
    pub(super) unreadable: HashSet<ObjectKey>,
    /// The latest version delivered.
    seen_to: Version,
    /// What was written while the last list was made and was not in it: either it came after the list, and the watch
    /// will deliver it, or it was deleted again before.
    pub(super) unproven: HashSet<ObjectKey>,
    /// What this process deleted while the watch has not delivered that.
    own_deletions: HashMap<ObjectKey, Deleted>,
}

#[derive(Debug)]
struct Deleted {
    uid: String,
    /// The last version that was shown of it.
    version: Version,
}

/// A list under way. Nothing of it shows before it is complete.
#[derive(Debug)]
pub(super) struct Relist<K> {
    pub(super) listed: HashMap<ObjectKey, Listed<K>>,
    pub(super) seen_to: Version,
    /// What this process wrote, or deleted, since the list began: the list may be from before or after that.
    written: HashMap<ObjectKey, Version>,
    deleted: HashSet<ObjectKey>,
}

#[derive(Debug)]
pub(super) enum Listed<K> {
    Object(Arc<K>),
    /// It is there, but could not be decoded.
    Unreadable,
}

impl<K> Relist<K> {
    pub(super) fn new() -> Self {
        Self {
            listed: HashMap::new(),
            seen_to: Version::Unordered,
            written: HashMap::new(),
            deleted: HashSet::new(),
        }
    }

    /// May the list be from before `key` was written? Not if it has something that was written later.
    pub(super) fn may_be_too_early_for(&self, key: &ObjectKey) -> bool {
        self.written
            .get(key)
            .is_some_and(|written| !written.is_before(self.seen_to))
    }
}

impl<K> Stream<K> {
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            scope,
            relist: None,
            unreadable: HashSet::new(),
            seen_to: Version::Unordered,
            unproven: HashSet::new(),
            own_deletions: HashMap::new(),
        }
    }

    /// Has the watch delivered what happened up to `version`?
    pub(super) fn has_seen(&self, version: Version) -> bool {
        match (version, self.seen_to) {
            (Version::Number(version), Version::Number(seen_to)) => version <= seen_to,
            _ => false,
        }
    }

    /// The watch delivered `version` of `key`.
    pub(super) fn saw(&mut self, key: &ObjectKey, version: Version) {
        self.seen_to = self.seen_to.later(version);
        self.unproven.remove(key);
    }

    pub(super) fn written(&mut self, key: ObjectKey, version: Version) {
        if let Some(relist) = &mut self.relist {
            relist.written.insert(key, version);
        }
    }

    pub(super) fn own_deletion(&mut self, key: ObjectKey, uid: String, version: Version) {
        if let Some(relist) = &mut self.relist {
            relist.written.remove(&key);
            relist.deleted.insert(key.clone());
        }
        self.own_deletions.insert(key, Deleted { uid, version });
    }

    /// Is this an object that this process deleted, or an earlier one of the same name?
    pub(super) fn is_deleted(&self, key: &ObjectKey, uid: Option<&str>, version: Version) -> bool {
        self.own_deletions
            .get(key)
            .is_some_and(|deleted| uid == Some(&deleted.uid) || version.is_before(deleted.version))
    }

    /// The watch delivered the deletion too: it will not show that object again.
    pub(super) fn deletion_seen(&mut self, key: &ObjectKey, uid: Option<&str>) {
        if self
            .own_deletions
            .get(key)
            .is_some_and(|deleted| uid == Some(&deleted.uid))
        {
            self.own_deletions.remove(key);
        }
    }

    /// A list is complete: only what was done since it began may still be missing from the watch.
    pub(super) fn list_is_done(&mut self, relist: &Relist<K>) {
        self.seen_to = self.seen_to.later(relist.seen_to);
        let unreadable = relist
            .listed
            .iter()
            .filter(|(_, listed)| matches!(listed, Listed::Unreadable));
        self.unreadable = unreadable.map(|(key, _)| key.clone()).collect();
        self.own_deletions.retain(|key, _| relist.deleted.contains(key));
        let unlisted = relist.written.keys().filter(|key| !relist.listed.contains_key(*key));
        self.unproven = unlisted.cloned().collect();
    }
}
