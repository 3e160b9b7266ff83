//! CommunicationUsers.

use kube::{
    ResourceExt,
    api::{Api, Patch, PatchParams},
};
use serde_json::{Map, Value, json};

use super::{WriteError, Writes, within};
use crate::{
    api::{CommunicationUser, CommunicationUserStatus, names},
    cluster::merge_diff::merge_diff,
};

/// Which version of a CommunicationUser a write is conditional on.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// Its resourceVersion.
    pub resource_version: &'a str,
}

impl Writes {
    /// Replaces the list of finalizers, and sets annotations.
    ///
    /// A merge patch replaces a list whole, so `finalizers` is the full list; the resourceVersion in it makes sure that
    /// it was built from the stored one.
    ///
    /// # Errors
    /// [`WriteError`]; `Conflict` when the object changed.
    pub async fn patch_metadata(
        &self,
        target: &Target<'_>,
        finalizers: &[String],
        annotations: &[(&str, String)],
    ) -> Result<CommunicationUser, WriteError> {
        let mut metadata = precondition(target);
        metadata.insert("finalizers".into(), json!(finalizers));
        if !annotations.is_empty() {
            let set: Map<_, _> = annotations
                .iter()
                .map(|(key, value)| ((*key).to_owned(), json!(value)))
                .collect();
            metadata.insert("annotations".into(), Value::Object(set));
        }
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let users = self.users(target.namespace);
        within(target.name, users.patch(target.name, &params(), &patch)).await
    }

    /// Writes what differs between two statuses.
    ///
    /// # Errors
    /// [`WriteError`]; `Conflict` when the object changed.
    pub async fn patch_status(
        &self,
        target: &Target<'_>,
        before: &CommunicationUserStatus,
        after: &CommunicationUserStatus,
    ) -> Result<CommunicationUser, WriteError> {
        let change = merge_diff(&members(before), &members(after)).unwrap_or_default();
        let patch = Patch::Merge(json!({"metadata": precondition(target), "status": change}));
        let users = self.users(target.namespace);
        within(target.name, users.patch_status(target.name, &params(), &patch)).await
    }

    /// The object as it is now.
    ///
    /// # Errors
    /// [`WriteError`]; `Gone` when there is none, or another one of that name.
    pub async fn read_user(&self, namespace: &str, name: &str, uid: &str) -> Result<CommunicationUser, WriteError> {
        let user = within(name, self.users(namespace).get(name)).await?;
        if user.uid().as_deref() == Some(uid) {
            Ok(user)
        } else {
            Err(WriteError::Gone)
        }
    }

    fn users(&self, namespace: &str) -> Api<CommunicationUser> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// Without a name for it, a write would belong to whatever the client calls itself.
fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(names::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

fn precondition(target: &Target<'_>) -> Map<String, Value> {
    let pairs = [("uid", target.uid), ("resourceVersion", target.resource_version)];
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect()
}

fn members(status: &CommunicationUserStatus) -> Map<String, Value> {
    match serde_json::to_value(status) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}
