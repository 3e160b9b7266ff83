//! How far a watch has come with its first list.

/// Whether a cache knows what there is in one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstList {
    /// It does not know it yet.
    Awaited,
    /// It has not known it for so long, and the list has failed so often, that nobody should wait for it.
    Failing,
    /// The API server refuses the list: the operator has no right to it, or there is no such kind.
    Refused,
    /// It knows. So it stays: from here on the watch keeps up, or catches up.
    Complete,
}

impl FirstList {
    /// What follows when `next` is heard: a failure says nothing new of a list that was refused, and nothing at all of a
    /// complete one.
    pub(super) fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::Complete, _) => Self::Complete,
            (Self::Refused, Self::Failing) => Self::Refused,
            _ => next,
        }
    }
}
