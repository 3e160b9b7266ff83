//! What became different in a cache.

use std::sync::Arc;

use super::super::ObjectKey;

/// One object that a cache holds differently than before.
#[derive(Debug, PartialEq, Eq)]
pub enum Change<K> {
    /// It was not there before.
    Added {
        /// Its key.
        key: ObjectKey,
        /// The object.
        new: Arc<K>,
    },
    /// Another version, or another object of the same name (with another uid).
    Modified {
        /// Its key.
        key: ObjectKey,
        /// What was held before.
        old: Arc<K>,
        /// What is held now.
        new: Arc<K>,
    },
    /// It is gone, or no longer what the watch selects.
    Deleted {
        /// Its key.
        key: ObjectKey,
        /// What was held last.
        old: Arc<K>,
    },
}

impl<K> Change<K> {
    /// Which object.
    pub fn key(&self) -> &ObjectKey {
        match self {
            Self::Added { key, .. } | Self::Modified { key, .. } | Self::Deleted { key, .. } => key,
        }
    }

    /// What was held before; `None` when the object is new.
    pub fn old(&self) -> Option<&Arc<K>> {
        match self {
            Self::Added { .. } => None,
            Self::Modified { old, .. } | Self::Deleted { old, .. } => Some(old),
        }
    }

    /// What is held now; `None` when the object is gone.
    pub fn current(&self) -> Option<&Arc<K>> {
        match self {
            Self::Added { new, .. } | Self::Modified { new, .. } => Some(new),
            Self::Deleted { .. } => None,
        }
    }
}
