//! Which part of the cluster a watch sees.

use std::{fmt, sync::Arc};

use super::ObjectKey;

/// The objects that one watch sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every object of the kind.
    Cluster,
    /// Those in one namespace.
    Namespace(Arc<str>),
}

impl Scope {
    /// Does a watch of this scope see the object `key`?
    pub fn contains(&self, key: &ObjectKey) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespace(namespace) => key.namespace() == Some(namespace),
        }
    }
}

/// For messages: `the cluster` or `namespace contact-center`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("the cluster"),
            Self::Namespace(namespace) => write!(f, "namespace {namespace}"),
        }
    }
}
