//! The objects of a cache by key, and by the values they are indexed under.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::super::ObjectKey;

/// A way to find objects other than by their key.
#[derive(Debug)]
pub struct Index<K> {
    /// What to ask for it by; unique within a cache.
    pub name: &'static str,
    /// The value that an object is found under; `None` leaves it out. Has to be a function of the object alone.
    pub value_of: fn(&K) -> Option<&str>,
}

impl<K> Clone for Index<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Index<K> {}

#[derive(Debug)]
pub(super) struct Store<K> {
    objects: HashMap<ObjectKey, Arc<K>>,
    indexes: Vec<Indexed<K>>,
}

#[derive(Debug)]
struct Indexed<K> {
    by: Index<K>,
    keys: HashMap<Box<str>, BTreeSet<ObjectKey>>,
}

impl<K> Store<K> {
    pub(super) fn new(indexes: Vec<Index<K>>) -> Self {
        let empty = |by| Indexed {
            by,
            keys: HashMap::new(),
        };
        Self {
            objects: HashMap::new(),
            indexes: indexes.into_iter().map(empty).collect(),
        }
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Arc<K>> {
        self.objects.get(key)
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Arc<K>)> {
        self.objects.iter()
    }

    /// The objects under `value` in the index `name`, in the order of their keys; none when there is no such index.
    pub(super) fn find(&self, name: &str, value: &str) -> Vec<Arc<K>> {
        let index = self.indexes.iter().find(|index| index.by.name == name);
        let keys = index.and_then(|index| index.keys.get(value));
        keys.into_iter()
            .flatten()
            .filter_map(|key| self.objects.get(key).cloned())
            .collect()
    }

    /// Puts `object` under `key` and returns what was there.
    pub(super) fn insert(&mut self, key: ObjectKey, object: Arc<K>) -> Option<Arc<K>> {
        let old = self.remove(&key);
        for index in &mut self.indexes {
            if let Some(value) = (index.by.value_of)(&object) {
                index.keys.entry(value.into()).or_default().insert(key.clone());
            }
        }
        self.objects.insert(key, object);
        old
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<Arc<K>> {
        let old = self.objects.remove(key)?;
        for index in &mut self.indexes {
            let Some(value) = (index.by.value_of)(&old) else {
                continue;
            };
            if let Some(keys) = index.keys.get_mut(value) {
                keys.remove(key);
                if keys.is_empty() {
                    index.keys.remove(value);
                }
            }
        }
        Some(old)
    }
}
