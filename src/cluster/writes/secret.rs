//! Secrets. No answer to a write carries their values, and no error does.

use http::{HeaderValue, header::ACCEPT};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Resource,
    api::{Api, DeleteParams, ObjectMeta, PartialObjectMeta, Patch, PatchParams, Preconditions},
    core::request::Request,
};
use serde_json::{Value, json};

use super::{
    WriteError, Writes,
    discretion::Changed,
    object::{params, precondition},
    within,
};
use crate::{
    api::names,
    cluster::received::{Received, WITH_ALL_ANNOTATIONS},
};

/// Asks for the metadata of whatever object is in the answer.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Which Secret an apply may meet.
#[derive(Debug, Clone)]
pub enum Expected<'a> {
    /// None of that name.
    Absent,
    /// Exactly this version.
    Version {
        /// Its uid.
        uid: &'a str,
        /// Its resourceVersion.
        resource_version: &'a str,
    },
}

impl Writes {
    /// Applies a whole Secret, server-side, over exactly the expected one. Keys that were applied before and are not
    /// sent any more go. The answer is metadata only, so that no token comes back.
    ///
    /// Without a uid the resourceVersion `1` is met by no stored object, so an apply creates (201) or fails (409);
    /// `0` would mean any version. Tried on Kubernetes 1.36.
    ///
    /// # Errors
    /// [`WriteError`]; `Conflict` when the Secret is not the expected one, is gone, or exists. The words of a refusal
    /// hold no value of the Secret.
    pub async fn apply_secret(
        &self,
        namespace: &str,
        name: &str,
        expected: &Expected<'_>,
        secret: Value,
    ) -> Result<PartialObjectMeta<Secret>, WriteError> {
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        self.send_secret(namespace, name, expected, secret, &params).await
    }

    /// Whether such an apply would be accepted, quotas and admission included. Nothing is written.
    ///
    /// # Errors
    /// As [`apply_secret`](Self::apply_secret).
    pub async fn try_secret(
        &self,
        namespace: &str,
        name: &str,
        expected: &Expected<'_>,
        secret: Value,
    ) -> Result<(), WriteError> {
        let params = PatchParams::apply(names::FIELD_MANAGER).force().dry_run();
        self.send_secret(namespace, name, expected, secret, &params)
            .await
            .map(drop)
    }

    async fn send_secret(
        &self,
        namespace: &str,
        name: &str,
        expected: &Expected<'_>,
        mut secret: Value,
        params: &PatchParams,
    ) -> Result<PartialObjectMeta<Secret>, WriteError> {
        let precondition = match expected {
            Expected::Absent => json!({"resourceVersion": "1"}),
            Expected::Version { uid, resource_version } => json!({"uid": uid, "resourceVersion": resource_version}),
        };
        if let (Some(metadata), Value::Object(precondition)) = (secret["metadata"].as_object_mut(), precondition) {
            metadata.extend(precondition);
        }
        let patch = Patch::Apply(&secret);
        let version = match expected {
            Expected::Absent => None,
            Expected::Version { resource_version, .. } => Some(*resource_version),
        };
        let changed = Changed {
            namespace,
            name,
            version,
        };
        let secrets = self.secrets_metadata(namespace);
        let written = async { secrets.patch(name, params, &patch).await?.decoded() };
        self.discreetly(changed, Some(&secret), written).await
    }

    /// Replaces the list of finalizers of exactly this version of a Secret, whoever made it. `finalizers` is the full list.
    /// The answer is metadata only.
    ///
    /// # Errors
    /// [`WriteError`]; `Conflict` when the Secret changed, or is another one.
    pub async fn patch_secret_finalizers(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        resource_version: &str,
        finalizers: &[String],
    ) -> Result<ObjectMeta, WriteError> {
        let mut change = precondition(uid, resource_version);
        change.insert("finalizers".into(), json!(finalizers));
        let patch = Patch::Merge(json!({"metadata": change}));
        let version = Some(resource_version);
        let changed = Changed {
            namespace,
            name,
            version,
        };
        let secrets = self.secrets_metadata(namespace);
        let written = async { secrets.patch(name, &params(), &patch).await?.decoded() };
        Ok(self.discreetly(changed, None, written).await?.metadata)
    }

    /// Deletes exactly this version of a Secret. One that is gone already counts as deleted.
    ///
    /// # Errors
    /// [`WriteError`] other than `Gone`; `Conflict` when the Secret changed, or is another one.
    pub async fn delete_secret(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        resource_version: &str,
    ) -> Result<(), WriteError> {
        let preconditions = Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: Some(resource_version.to_owned()),
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        // kube's own delete would be answered with the whole Secret while a finalizer holds it.
        let deletion = async {
            let request = Request::new(Secret::url_path(&(), Some(namespace))).delete(name, &params);
            let mut request = request.map_err(kube::Error::BuildRequest)?;
            request
                .headers_mut()
                .insert(ACCEPT, HeaderValue::from_static(METADATA_ONLY));
            self.client
                .request_status::<Received<PartialObjectMeta<Secret>>>(request)
                .await
        };
        let version = Some(resource_version);
        let changed = Changed {
            namespace,
            name,
            version,
        };
        match self.discreetly(changed, None, deletion).await {
            Ok(_) | Err(WriteError::Gone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The whole Secret as it is now; `None` when there is none. To be read only where its content matters.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn read_secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, WriteError> {
        // What else is in it is compared with what it should be.
        let secrets: Api<Received<Secret, WITH_ALL_ANNOTATIONS>> = Api::namespaced(self.client.clone(), namespace);
        match within(name, async { secrets.get(name).await?.decoded() }).await {
            Ok(secret) => Ok(Some(secret)),
            Err(WriteError::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The metadata of the Secret as it is now; `None` when there is none.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn read_secret_metadata(&self, namespace: &str, name: &str) -> Result<Option<ObjectMeta>, WriteError> {
        let secrets = self.secrets_metadata(namespace);
        match within(name, async { secrets.get(name).await?.decoded() }).await {
            Ok(secret) => Ok(Some(secret.metadata)),
            Err(WriteError::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn secrets_metadata(&self, namespace: &str) -> Api<Received<PartialObjectMeta<Secret>>> {
        Api::namespaced(self.client.clone(), namespace)
    }
}
