//! Objects of our own kinds. They are declared by people; the operator writes their status, finalizers and annotations.

use std::fmt::Debug;

use kube::{
    Resource,
    api::{GetParams, Patch, PatchParams},
    core::{object::HasStatus, request::Request},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{WriteError, Writes, within};
use crate::{
    api::names,
    cluster::{fence::FinishesCreate, merge_diff::merge_diff, received::Received},
};

/// Which version of an object a write is conditional on.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// Its namespace; `None` for a cluster-scoped object.
    pub namespace: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// Its resourceVersion.
    pub resource_version: &'a str,
}

/// The one write that needs no lease: what finishes a create that was sent while it was held. The id of an identity that was made
/// is recorded, or else nobody would ever know it.
pub struct FinishingCreate<'a>(&'a Writes);

impl FinishingCreate<'_> {
    /// As [`Writes::patch_status`].
    ///
    /// # Errors
    /// As there, but never for want of the lease.
    pub async fn patch_status<K>(
        &self,
        target: &Target<'_>,
        before: &K::Status,
        after: &K::Status,
    ) -> Result<K, WriteError>
    where
        K: Resource<DynamicType = ()> + HasStatus<Status: Serialize> + Clone + Debug + DeserializeOwned,
    {
        let request = status_patch::<K>(target, before, after).map(|mut request| {
            request.extensions_mut().insert(FinishesCreate);
            request
        });
        self.0.send(target.name, request).await
    }
}

impl Writes {
    /// For the record of an identity that was just made, and for nothing else.
    pub fn finishing_create(&self) -> FinishingCreate<'_> {
        FinishingCreate(self)
    }

    /// Replaces the list of finalizers, and sets annotations.
    ///
    /// A merge patch replaces a list whole, so `finalizers` is the full list; the resourceVersion in it makes sure that
    /// it was built from the stored one.
    ///
    /// # Errors
    /// [`WriteError`]; `Conflict` when the object changed.
    pub async fn patch_metadata<K>(
        &self,
        target: &Target<'_>,
        finalizers: &[String],
        annotations: &[(&str, String)],
    ) -> Result<K, WriteError>
    where
        K: Resource<DynamicType = ()> + HasStatus + Clone + Debug + DeserializeOwned,
    {
        let mut metadata = precondition(target.uid, target.resource_version);
        metadata.insert("finalizers".into(), json!(finalizers));
        if !annotations.is_empty() {
            let set: Map<_, _> = annotations
                .iter()
                .map(|(key, value)| ((*key).to_owned(), json!(value)))
                .collect();
            metadata.insert("annotations".into(), Value::Object(set));
        }
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let request = object::<K>(target.namespace).patch(target.name, &params(), &patch);
        self.send(target.name, request).await
    }

    /// Writes what differs between two statuses.
    ///
    /// # Errors
    /// [`WriteError`]; `Conflict` when the object changed.
    pub async fn patch_status<K>(
        &self,
        target: &Target<'_>,
        before: &K::Status,
        after: &K::Status,
    ) -> Result<K, WriteError>
    where
        K: Resource<DynamicType = ()> + HasStatus<Status: Serialize> + Clone + Debug + DeserializeOwned,
    {
        self.send(target.name, status_patch::<K>(target, before, after)).await
    }

    /// The object as it is now. `namespace` is `None` for a cluster-scoped one.
    ///
    /// # Errors
    /// [`WriteError`]; `Gone` when there is none, or another one of that name.
    pub async fn read_object<K>(&self, namespace: Option<&str>, name: &str, uid: &str) -> Result<K, WriteError>
    where
        K: Resource<DynamicType = ()> + HasStatus + Clone + Debug + DeserializeOwned,
    {
        let request = object::<K>(namespace).get(name, &GetParams::default());
        let read: K = self.send(name, request).await?;
        if read.meta().uid.as_deref() == Some(uid) {
            Ok(read)
        } else {
            Err(WriteError::Gone)
        }
    }

    /// kube's `Api` tells by its type whether it is for a namespaced kind. These requests are for kinds of both sorts.
    async fn send<K>(
        &self,
        name: &str,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<K, WriteError>
    where
        K: Clone + Debug + DeserializeOwned,
    {
        let answer = async {
            let request = request.map_err(kube::Error::BuildRequest)?;
            self.client.request::<Received<K>>(request).await?.decoded()
        };
        within(name, answer).await
    }
}

fn status_patch<K>(
    target: &Target<'_>,
    before: &K::Status,
    after: &K::Status,
) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>
where
    K: Resource<DynamicType = ()> + HasStatus<Status: Serialize>,
{
    let change = merge_diff(&members(before), &members(after)).unwrap_or_default();
    let metadata = precondition(target.uid, target.resource_version);
    let patch = Patch::Merge(json!({"metadata": metadata, "status": change}));
    object::<K>(target.namespace).patch_subresource("status", target.name, &params(), &patch)
}

fn object<K: Resource<DynamicType = ()>>(namespace: Option<&str>) -> Request {
    Request::new(K::url_path(&(), namespace))
}

/// Without a name for it, a write would belong to whatever the client calls itself.
pub(super) fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(names::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// The metadata with which a patch meets exactly this version of an object, or fails.
pub(super) fn precondition(uid: &str, resource_version: &str) -> Map<String, Value> {
    let pairs = [("uid", uid), ("resourceVersion", resource_version)];
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect()
}

fn members(status: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(status) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}
