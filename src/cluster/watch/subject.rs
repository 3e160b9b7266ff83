//! What a watch is on, for people.

use kube::Resource;

/// A kind as `kubectl` and RBAC name it.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// `communicationusers`
    pub(super) plural: String,
    /// Empty for Kubernetes' own core kinds.
    pub(super) group: String,
}

impl Subject {
    pub(super) fn of<K: Resource<DynamicType = ()>>() -> Self {
        Self {
            plural: K::plural(&()).into_owned(),
            group: K::group(&()).into_owned(),
        }
    }

    /// `communicationusers.acs-operator.dev`, `secrets`
    pub(super) fn full_name(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Is the kind served only once its definition is installed?
    pub(super) fn is_custom(&self) -> bool {
        self.group.contains('.') && !self.group.ends_with(".k8s.io")
    }
}
