//! What a cache holds, as a function of what it was told. No lock and no waiting.

use std::sync::Arc;

use kube::{Resource, core::ObjectMeta};

use super::{
    super::{ObjectKey, Scope},
    Change, Epoch, Index,
    store::Store,
    stream::{Listed, Relist, Stream},
    version::Version,
};

#[derive(Debug)]
pub(super) struct Contents<K> {
    pub(super) store: Store<K>,
    streams: Vec<Stream<K>>,
    lists_done: u64,
}

impl<K: Resource> Contents<K> {
    pub(super) fn new(scopes: Vec<Scope>, indexes: Vec<Index<K>>) -> Self {
        Self {
            store: Store::new(indexes),
            streams: scopes.into_iter().map(Stream::new).collect(),
            lists_done: 0,
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.lists_done)
    }

    /// The watch begins to list everything.
    pub(super) fn list_begins(&mut self, stream: usize) {
        self.streams[stream].relist = Some(Relist::new());
    }

    /// An object of the list.
    pub(super) fn list_has(&mut self, stream: usize, object: K) {
        let key = ObjectKey::of(&object);
        // The object that is held anyway is held twice, not copied: a list of unchanged objects costs hardly any memory.
        let held = self.store.get(&key).filter(|held| same(held.meta(), object.meta()));
        let object = held.map_or_else(|| Arc::new(object), Arc::clone);
        if let Some(relist) = &mut self.streams[stream].relist {
            relist.seen_to = relist.seen_to.later(version(object.meta()));
            relist.listed.insert(key, Listed::Object(object));
        }
    }

    /// The list is complete: what it does not have is gone.
    pub(super) fn list_is_done(&mut self, stream: usize) -> Vec<Change<K>> {
        let Some(relist) = self.streams[stream].relist.take() else {
            return Vec::new();
        };
        let scope = &self.streams[stream].scope;
        let unlisted = self.store.iter().filter(|(key, _)| {
            scope.contains(key) && !relist.listed.contains_key(key) && !relist.may_be_too_early_for(key)
        });
        let gone: Vec<_> = unlisted.map(|(key, _)| key.clone()).collect();
        let mut changes: Vec<_> = gone.into_iter().filter_map(|key| self.remove(key)).collect();
        self.streams[stream].list_is_done(&relist);
        for (key, listed) in relist.listed {
            let Listed::Object(object) = listed else { continue };
            self.streams[stream].saw(&key, version(object.meta()));
            if !self.is_deleted(stream, &key, object.meta()) {
                changes.extend(self.offer(key, object));
            }
        }
        self.lists_done += 1;
        changes
    }

    /// The watch saw an object that can't be read: what is held of it stays.
    pub(super) fn unreadable(&mut self, stream: usize, key: ObjectKey) {
        let stream = &mut self.streams[stream];
        match &mut stream.relist {
            Some(relist) => drop(relist.listed.insert(key, Listed::Unreadable)),
            None => drop(stream.unreadable.insert(key)),
        }
    }

    /// Whether there is an object of which nothing is held, because it can't be read.
    pub(super) fn is_hidden(&self, key: &ObjectKey) -> bool {
        let is_unreadable = self.streams.iter().any(|stream| stream.unreadable.contains(key));
        is_unreadable && self.store.get(key).is_none()
    }

    /// Whether there is any such object.
    pub(super) fn hides(&self) -> bool {
        let mut unreadable = self.streams.iter().flat_map(|stream| &stream.unreadable);
        unreadable.any(|key| self.store.get(key).is_none())
    }

    /// The watch saw an object come or change.
    pub(super) fn applied(&mut self, stream: usize, object: K) -> Vec<Change<K>> {
        let (key, version) = (ObjectKey::of(&object), version(object.meta()));
        let seen_before = self.streams[stream].has_seen(version);
        self.streams[stream].unreadable.remove(&key);
        let mut changes = self.watch_reached(stream, &key, version);
        let deleted = self.is_deleted(stream, &key, object.meta());
        let deleted_since = seen_before && self.store.get(&key).is_none();
        if !deleted && !deleted_since {
            changes.extend(self.offer(key, Arc::new(object)));
        }
        changes
    }

    /// The watch saw an object go.
    pub(super) fn deleted(&mut self, stream: usize, key: ObjectKey, meta: &ObjectMeta) -> Vec<Change<K>> {
        let gone = version(meta);
        self.streams[stream].unreadable.remove(&key);
        let mut changes = self.watch_reached(stream, &key, gone);
        self.streams[stream].deletion_seen(&key, uid(meta));
        let is_meant = |held: &Arc<K>| uid(held.meta()) == uid(meta) || version(held.meta()).is_before(gone);
        if self.store.get(&key).is_some_and(is_meant) {
            changes.extend(self.remove(key));
        }
        changes
    }

    /// This process wrote an object. `since` was taken before the write was sent.
    pub(super) fn own_write(&mut self, since: Epoch, object: Arc<K>) -> Option<Change<K>> {
        let (key, version) = (ObjectKey::of(&*object), version(object.meta()));
        if is_gone(object.meta()) {
            return self.own_delete(&key, uid(object.meta())?);
        }
        let stream = self.stream_of(&key)?;
        if self.is_deleted(stream, &key, object.meta()) {
            return None;
        }
        // Not held, though a list was completed or the watch has gone past this version: the object was deleted again,
        // or it will come through the watch. To show it now could show what is gone.
        let overtaken = since.0 != self.lists_done || self.streams[stream].has_seen(version);
        if overtaken && self.store.get(&key).is_none() {
            return None;
        }
        let change = self.offer(key.clone(), object)?;
        self.streams[stream].written(key, version);
        Some(change)
    }

    /// This process deleted an object, or was told that it is gone.
    pub(super) fn own_delete(&mut self, key: &ObjectKey, deleted: &str) -> Option<Change<K>> {
        let held = self.store.get(key).filter(|held| uid(held.meta()) == Some(deleted))?;
        let last_shown = version(held.meta());
        let stream = self.stream_of(key)?;
        self.streams[stream].own_deletion(key.clone(), deleted.to_owned(), last_shown);
        self.remove(key.clone())
    }

    /// Which watch is that of this scope.
    pub(super) fn stream_in(&self, scope: &Scope) -> Option<usize> {
        self.streams.iter().position(|stream| stream.scope == *scope)
    }

    /// Which watch sees this object.
    pub(super) fn stream_of(&self, key: &ObjectKey) -> Option<usize> {
        self.streams.iter().position(|stream| stream.scope.contains(key))
    }

    fn is_deleted(&self, stream: usize, key: &ObjectKey, meta: &ObjectMeta) -> bool {
        self.streams[stream].is_deleted(key, uid(meta), version(meta))
    }

    /// The watch has delivered everything up to the version `reached` of `key`. What was kept although the last list did
    /// not have it, and has not come since, was deleted before that list.
    fn watch_reached(&mut self, stream: usize, key: &ObjectKey, reached: Version) -> Vec<Change<K>> {
        self.streams[stream].saw(key, reached);
        let held = |key: &ObjectKey| self.store.get(key).map(|held| version(held.meta()));
        let unproven = &mut self.streams[stream].unproven;
        let gone = unproven.extract_if(|key| held(key).is_none_or(|held| held.is_before(reached)));
        let gone: Vec<_> = gone.collect();
        gone.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    /// Takes `object` unless a newer version is held.
    fn offer(&mut self, key: ObjectKey, object: Arc<K>) -> Option<Change<K>> {
        let held = self.store.get(&key);
        if held.is_some_and(|held| {
            same(held.meta(), object.meta()) || version(object.meta()).is_before(version(held.meta()))
        }) {
            return None;
        }
        let new = Arc::clone(&object);
        Some(match self.store.insert(key.clone(), object) {
            Some(old) => Change::Modified { key, old, new },
            None => Change::Added { key, new },
        })
    }

    fn remove(&mut self, key: ObjectKey) -> Option<Change<K>> {
        let old = self.store.remove(&key)?;
        Some(Change::Deleted { key, old })
    }
}

fn version(meta: &ObjectMeta) -> Version {
    Version::parse(meta.resource_version.as_deref())
}

fn uid(meta: &ObjectMeta) -> Option<&str> {
    meta.uid.as_deref()
}

/// Whether this is the last that a write saw of an object: with its last finalizer it went. None of what is cached here is deleted with a
/// grace period, as Pods are.
fn is_gone(meta: &ObjectMeta) -> bool {
    meta.deletion_timestamp.is_some() && meta.finalizers.as_ref().is_none_or(Vec::is_empty)
}

fn same(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    one.resource_version.is_some() && (&one.resource_version, &one.uid) == (&other.resource_version, &other.uid)
}
