//! The writes, each conditional on the version that the decision was based on.
//!
//! Nothing here is retried: the caller looks again and decides again.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ObjectMeta, PartialObjectMeta, Patch, PatchParams, Preconditions};
use kube::core::Status;
use kube::{Client, ResourceExt};
use serde_json::{Map, Value, json};

use super::merge_diff::merge_diff;
use crate::api::{CommunicationUser, CommunicationUserStatus, names};

/// No single request to the API server may take longer; kube itself has no limit (kube-rs/kube#1798).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a request to the API server failed. The words come from the API server or name the fault of the connection; they
/// never hold what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The object is not the observed version any more, or exists where none was expected.
    #[error("the object was changed by someone else in the meantime")]
    Conflict,
    /// There is no such object, or another one with the same name.
    #[error("the object does not exist any more")]
    Gone,
    /// The API server understood and refused.
    #[error("the API server refuses: {0}")]
    Refused(String),
    /// The API server could not be reached, was too slow, or failed.
    #[error("the API server cannot be reached or does not work: {0}")]
    Unavailable(String),
}

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

/// Writes to the API server.
#[derive(Clone)]
pub struct Writes {
    client: Client,
}

impl Writes {
    /// Writes through `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

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
        within(
            self.users(target.namespace)
                .patch(target.name, &PatchParams::default(), &patch),
        )
        .await
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
        within(
            self.users(target.namespace)
                .patch_status(target.name, &PatchParams::default(), &patch),
        )
        .await
    }

    /// Applies a whole Secret, server-side, over exactly the expected one. Keys that were applied before and are not
    /// sent any more go. The answer is metadata only, so that no token comes back.
    ///
    /// Without a uid the resourceVersion `1` is met by no stored object, so an apply creates (201) or fails (409);
    /// `0` would mean any version. Tried on Kubernetes 1.36.
    ///
    /// # Errors
    /// [`WriteError`]; `Conflict` when the Secret is not the expected one, is gone, or exists. The words of a refusal
    /// name fields, never values.
    pub async fn apply_secret(
        &self,
        namespace: &str,
        name: &str,
        expected: &Expected<'_>,
        mut secret: Value,
    ) -> Result<PartialObjectMeta<Secret>, WriteError> {
        let precondition = match expected {
            Expected::Absent => json!({"resourceVersion": "1"}),
            Expected::Version { uid, resource_version } => json!({"uid": uid, "resourceVersion": resource_version}),
        };
        if let (Some(metadata), Value::Object(precondition)) = (secret["metadata"].as_object_mut(), precondition) {
            metadata.extend(precondition);
        }
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        match within(
            self.secrets(namespace)
                .patch_metadata(name, &params, &Patch::Apply(secret)),
        )
        .await
        {
            // Another uid is sometimes reported as an invalid change of metadata.uid.
            Err(WriteError::Refused(words)) if words.contains("metadata.uid") => Err(WriteError::Conflict),
            Err(WriteError::Gone) => Err(WriteError::Conflict),
            other => other,
        }
    }

    /// Deletes exactly the Secret with this uid. One that is gone already, or was replaced, counts as deleted.
    ///
    /// # Errors
    /// [`WriteError`] other than `Gone` and `Conflict`.
    pub async fn delete_secret(&self, namespace: &str, name: &str, uid: &str) -> Result<(), WriteError> {
        let preconditions = Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        match within(self.secrets(namespace).delete(name, &params)).await {
            Ok(_) | Err(WriteError::Gone | WriteError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The object as it is now.
    ///
    /// # Errors
    /// [`WriteError`]; `Gone` when there is none, or another one of that name.
    pub async fn read_user(&self, namespace: &str, name: &str, uid: &str) -> Result<CommunicationUser, WriteError> {
        let user = within(self.users(namespace).get(name)).await?;
        if user.uid().as_deref() == Some(uid) {
            Ok(user)
        } else {
            Err(WriteError::Gone)
        }
    }

    /// The metadata of the Secret as it is now; `None` when there is none.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn read_secret_metadata(&self, namespace: &str, name: &str) -> Result<Option<ObjectMeta>, WriteError> {
        match within(self.secrets(namespace).get_metadata(name)).await {
            Ok(secret) => Ok(Some(secret.metadata)),
            Err(WriteError::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn users(&self, namespace: &str) -> Api<CommunicationUser> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
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

async fn within<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, WriteError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(refusal(&status)),
        Ok(Err(error)) => Err(WriteError::Unavailable(cause(&error))),
        Err(_) => Err(WriteError::Unavailable(format!(
            "no answer within {} s",
            REQUEST_TIMEOUT.as_secs()
        ))),
    }
}

fn refusal(status: &Status) -> WriteError {
    match status.code {
        404 => WriteError::Gone,
        409 => WriteError::Conflict,
        408 | 429 | 500..=599 => WriteError::Unavailable(words(status)),
        _ => WriteError::Refused(words(status)),
    }
}

/// What the API server says. A rejected Secret is described by its fields: an invalid value could be echoed.
fn words(status: &Status) -> String {
    let about_secret = status
        .details
        .as_ref()
        .is_some_and(|details| details.kind == "Secret" || details.kind == "secrets");
    if about_secret && status.reason == "Invalid" {
        let fields = status
            .details
            .iter()
            .flat_map(|details| &details.causes)
            .map(|cause| cause.field.as_str());
        return format!("the Secret is invalid in {}", fields.collect::<Vec<_>>().join(", "));
    }
    status.message.chars().take(500).collect()
}

/// The innermost cause: kube's own words wrap it in phrases that say nothing to an operator's user.
fn cause(error: &kube::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string().chars().take(200).collect()
}
