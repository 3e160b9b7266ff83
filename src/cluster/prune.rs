//! Keeping only what is read.

use kube::Resource;

/// `kubectl apply` keeps a copy of the whole manifest here.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Drops what nobody here reads and what makes up most of an object's size: the managed fields, and kubectl's copy of
/// the manifest.
pub(super) fn prune(object: &mut impl Resource) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
}
