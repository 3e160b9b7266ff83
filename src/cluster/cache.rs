//! A local copy of the objects of one kind that never goes back in time.
//!
//! It is fed by watches, one per [`Scope`], and by what this process itself wrote: so a reconcile always sees at least
//! its predecessor's work, whatever the delay of the watch.
//!
//! # Guarantees
//! - An object is never shown in an older version than it was shown before, and not again after its deletion was shown.
//! - A list (at the start, and whenever a watch lost its place) shows when it is complete and never half. Only what it
//!   really changed is reported: a list of unchanged objects reports nothing.
//! - Once a watch has caught up with the API server, the cache equals what the watch selects.
//!
//! # Assumptions
//! - Lists are consistent (the default of [`mod@kube::runtime::watcher`]: not `any_semantic`).
//! - The API server's history only grows. After etcd was restored from a backup without raising the revision, versions
//!   start again at lower numbers, and held objects look newer than they are until the process restarts.
//!
//! # Caveats
//! A version that is no number can't be ordered. What comes in then always counts as newer.

mod change;
mod contents;
mod first_list;
mod store;
mod stream;
#[cfg(test)]
mod tests;
mod version;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::{Resource, core::ObjectMeta, runtime::watcher};
use tokio::sync::watch;

use self::contents::Contents;
use super::{ObjectKey, Scope};

pub use change::Change;
pub use first_list::FirstList;
pub use store::Index;

/// See the module's page.
#[derive(Debug)]
pub struct Cache<K> {
    contents: RwLock<Contents<K>>,
    /// One for each scope.
    first_lists: watch::Sender<Vec<FirstList>>,
}

/// A moment in the life of a cache, to be taken before a write is sent; see [`Cache::apply_own_write`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(u64);

/// What feeds a cache with one watch. There is one for each scope, and only it can change what is in that scope.
#[derive(Debug)]
pub struct Feed<K> {
    cache: Arc<Cache<K>>,
    scope: Scope,
    stream: usize,
}

impl<K: Resource> Cache<K> {
    /// An empty cache of the objects in `scopes`, which must not overlap, with a feed for each.
    pub fn new(
        scopes: impl IntoIterator<Item = Scope>,
        indexes: impl IntoIterator<Item = Index<K>>,
    ) -> (Arc<Self>, Vec<Feed<K>>) {
        let scopes: Vec<_> = scopes.into_iter().collect();
        let contents = Contents::new(scopes.clone(), indexes.into_iter().collect());
        let cache = Arc::new(Self {
            first_lists: watch::Sender::new(vec![FirstList::Awaited; scopes.len()]),
            contents: RwLock::new(contents),
        });
        let feed = |(stream, scope)| Feed {
            cache: Arc::clone(&cache),
            scope,
            stream,
        };
        let feeds = scopes.into_iter().enumerate().map(feed).collect();
        (cache, feeds)
    }

    /// The object, as far as this process knows.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.read().store.get(key).cloned()
    }

    /// How many objects are held.
    pub fn len(&self) -> usize {
        self.read().store.len()
    }

    /// Is nothing held?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `visit` with every object, in no order. The cache can't change meanwhile: keep it short, and don't ask the
    /// cache from within.
    pub fn for_each(&self, mut visit: impl FnMut(&ObjectKey, &Arc<K>)) {
        for (key, object) in self.read().store.iter() {
            visit(key, object);
        }
    }

    /// The objects that the index called `index` has under `value`, in the order of their keys. None when the cache has
    /// no such index.
    pub fn find(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        self.read().store.find(index, value)
    }

    /// Whether there is an object with this key of which nothing is known, because it can't be decoded.
    pub fn is_hidden(&self, key: &ObjectKey) -> bool {
        self.read().is_hidden(key)
    }

    /// Whether there is any such object.
    pub fn hides(&self) -> bool {
        self.read().hides()
    }

    /// Has every watch completed its first list?
    pub fn is_synced(&self) -> bool {
        are_complete(&self.first_lists.borrow())
    }

    /// Waits until every watch has completed its first list.
    pub async fn wait_synced(&self) {
        self.first_lists_are(are_complete).await;
    }

    /// The same for the watch of one scope.
    pub async fn wait_synced_in(&self, scope: &Scope) {
        let stream = self.read().stream_in(scope);
        if let Some(stream) = stream {
            self.first_lists_are(move |lists| lists[stream] == FirstList::Complete)
                .await;
        }
    }

    /// Waits until no first list is awaited any more: each is complete, or cannot be had for now.
    pub async fn wait_attempted(&self) {
        self.first_lists_are(|lists| !lists.contains(&FirstList::Awaited)).await;
    }

    /// Whether it is known if there is an object with this key. There is none where no watch would see it.
    pub fn first_list(&self, key: &ObjectKey) -> FirstList {
        let stream = self.read().stream_of(key);
        stream.map_or(FirstList::Complete, |stream| self.first_lists.borrow()[stream])
    }

    /// Waits until that is as wanted.
    pub async fn first_list_is(&self, key: &ObjectKey, wanted: impl Fn(FirstList) -> bool + Send) {
        let stream = self.read().stream_of(key);
        if let Some(stream) = stream {
            self.first_lists_are(move |lists| wanted(lists[stream])).await;
        }
    }

    async fn first_lists_are(&self, wanted: impl Fn(&[FirstList]) -> bool + Send) {
        // An error means that the sender is gone, and the sender is ours.
        let _ = self.first_lists.subscribe().wait_for(|lists| wanted(lists)).await;
    }

    /// The present moment, for [`Self::apply_own_write`].
    pub fn epoch(&self) -> Epoch {
        self.read().epoch()
    }

    /// Shows what this process wrote, from the answer to the write, before the watch delivers it. An answer that came
    /// late, when something newer is held or the object is known to be gone, changes nothing.
    ///
    /// `since` is an epoch from before the write was sent, such as the one at which the reconcile began: after a list
    /// that was completed meanwhile, an object that is not held may be gone, and is left for the watch to deliver.
    ///
    /// The write has to carry the `resourceVersion` that it was based on. Otherwise it may lie on top of someone else's
    /// change that the watch has yet to deliver; that would then be shown, but not reported.
    ///
    /// An object in deletion whose last finalizer was taken off is gone with the answer, and so it is taken.
    ///
    /// Returns the written object as the cache would hold it, and what is different now, which the watch will not tell.
    pub fn apply_own_write(&self, since: Epoch, object: K) -> (Arc<K>, Option<Change<K>>) {
        let object = Arc::new(object);
        let change = self.write().own_write(since, Arc::clone(&object));
        (object, change)
    }

    /// Stops showing the object of this uid: this process deleted it, or was told by the API server that it is gone.
    /// Returns what is different now, which the watch will not tell.
    pub fn apply_own_delete(&self, key: &ObjectKey, uid: &str) -> Option<Change<K>> {
        self.write().own_delete(key, uid)
    }

    fn read(&self) -> RwLockReadGuard<'_, Contents<K>> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Contents<K>> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn are_complete(lists: &[FirstList]) -> bool {
    lists.iter().all(|list| *list == FirstList::Complete)
}

impl<K: Resource> Feed<K> {
    /// What this feed's watch has to see.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Takes in what the watch delivered and returns what is different now. Own writes are not among it: they were
    /// shown before.
    pub fn apply(&self, event: watcher::Event<K>) -> Vec<Change<K>> {
        let mut contents = self.cache.write();
        match event {
            watcher::Event::Init => contents.list_begins(self.stream),
            watcher::Event::InitApply(object) => contents.list_has(self.stream, object),
            watcher::Event::Apply(object) => return contents.applied(self.stream, object),
            watcher::Event::Delete(object) => {
                return contents.deleted(self.stream, ObjectKey::of(&object), object.meta());
            }
            watcher::Event::InitDone => {
                let changes = contents.list_is_done(self.stream);
                drop(contents);
                self.first_list(FirstList::Complete);
                return changes;
            }
        }
        Vec::new()
    }

    /// Takes note of how it stands with the list, which matters for the first one only.
    pub fn first_list(&self, heard: FirstList) {
        self.cache.first_lists.send_if_modified(|lists| {
            let next = lists[self.stream].then(heard);
            std::mem::replace(&mut lists[self.stream], next) != next
        });
    }

    /// Takes note that the watch listed, or saw change, an object that could not be decoded: what is held of it stays.
    pub fn unreadable(&self, key: ObjectKey) {
        self.cache.write().unreadable(self.stream, key);
    }

    /// Takes note that the watch saw an object go whose last version could not be decoded.
    pub fn unreadable_deleted(&self, key: ObjectKey, meta: &ObjectMeta) -> Vec<Change<K>> {
        self.cache.write().deleted(self.stream, key, meta)
    }
}
