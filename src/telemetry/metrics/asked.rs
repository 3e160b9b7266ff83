//! What is not counted but asked for at every scrape.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// Where to ask, once that is known. Clones know it too.
pub(super) struct Asked<F: ?Sized>(Arc<OnceLock<Box<F>>>);

impl<F: ?Sized> Asked<F> {
    /// Tells where to ask. The first source stays.
    pub(super) fn tell(&self, source: Box<F>) {
        let _ = self.0.set(source);
    }

    /// Where to ask; `None`: nobody told yet.
    pub(super) fn source(&self) -> Option<&F> {
        self.0.get().map(|source| &**source)
    }
}

impl<F: ?Sized> Clone for Asked<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F: ?Sized> Default for Asked<F> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<F: ?Sized> fmt::Debug for Asked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}
