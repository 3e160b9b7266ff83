//! One namespace, and what people do in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use acs_operator::api::{CommunicationConnection, CommunicationUser};
use anyhow::{Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{OperatorLogs, condition::Conditioned, condition::ready};

/// How long a test waits for what it expects before it fails. Usually it comes within a fraction of a second.
pub const CEILING: Duration = Duration::from_secs(100);

/// So many objects are created at a time.
const AT_A_TIME: usize = 10;

/// A namespace, as the administrator acts in it. Whatever is waited for fails with the end of the operator's log.
pub struct Place {
    /// A client of the administrator.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    logs: OperatorLogs,
    credentials: Credentials,
}

/// Every credential that was put into a Secret here: none of them may ever be read elsewhere.
#[derive(Clone, Default)]
pub(crate) struct Credentials(Arc<Mutex<BTreeSet<String>>>);

impl Credentials {
    pub(crate) fn all(&self) -> BTreeSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Of a connection string the key alone is the secret.
    fn remember(&self, value: &str) {
        let secret = value.split_once("accesskey=").map_or(value, |(_, key)| key);
        if !secret.is_empty() {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(secret.to_owned());
        }
    }
}

impl Place {
    pub(crate) fn new(client: Client, namespace: String, logs: OperatorLogs, credentials: Credentials) -> Self {
        Self {
            client,
            namespace,
            logs,
            credentials,
        }
    }

    /// The CommunicationUsers of this namespace.
    pub fn users(&self) -> Api<CommunicationUser> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The CommunicationConnections of this namespace.
    pub fn connections(&self) -> Api<CommunicationConnection> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Secrets of this namespace.
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates a CommunicationUser with this spec.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn create(&self, name: &str, spec: Value) -> Result<CommunicationUser> {
        created(&self.users(), "CommunicationUser", name, spec).await
    }

    /// Creates so many CommunicationUsers with this spec, named `<prefix>-0` and so on, some at a time.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub async fn create_many(&self, prefix: &str, count: usize, spec: &Value) -> Result<()> {
        let created = (0..count).map(async |number| self.create(&format!("{prefix}-{number}"), spec.clone()).await);
        let mut created = stream::iter(created).buffer_unordered(AT_A_TIME);
        while created.try_next().await?.is_some() {}
        Ok(())
    }

    /// Creates a CommunicationConnection with this spec.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn connect(&self, name: &str, spec: Value) -> Result<CommunicationConnection> {
        created(&self.connections(), "CommunicationConnection", name, spec).await
    }

    /// Merges a patch into a CommunicationUser.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn patch(&self, name: &str, patch: Value) -> Result<CommunicationUser> {
        merged(&self.users(), name, patch).await
    }

    /// Merges a patch into a CommunicationConnection.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn patch_connection(&self, name: &str, patch: Value) -> Result<CommunicationConnection> {
        merged(&self.connections(), name, patch).await
    }

    /// Asks for the deletion of a CommunicationUser.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.users().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Puts exactly these values into a Secret, as a person who applies a manifest.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn put_credential(&self, name: &str, values: &[(&str, &str)]) -> Result<Secret> {
        let mut data = BTreeMap::new();
        for (key, value) in values {
            self.credentials.remember(value);
            data.insert((*key).to_owned(), ByteString(value.as_bytes().to_vec()));
        }
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..Secret::default()
        };
        let params = PatchParams::apply("a-person").force();
        Ok(self.secrets().patch(name, &params, &Patch::Apply(secret)).await?)
    }

    /// The CommunicationUser, once it is as wanted.
    ///
    /// # Errors
    /// When it isn't in time, with what it is instead.
    pub async fn until(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&CommunicationUser) -> bool,
    ) -> Result<CommunicationUser> {
        self.until_is(&self.users(), name, what, wanted).await
    }

    /// The CommunicationUser, once its Ready condition has this reason.
    ///
    /// # Errors
    /// When it hasn't in time.
    pub async fn until_reason(&self, name: &str, reason: &str) -> Result<CommunicationUser> {
        self.until(name, reason, has_reason(reason)).await
    }

    /// The CommunicationConnection, once it is as wanted.
    ///
    /// # Errors
    /// When it isn't in time, with what it is instead.
    pub async fn until_connection(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&CommunicationConnection) -> bool,
    ) -> Result<CommunicationConnection> {
        self.until_is(&self.connections(), name, what, wanted).await
    }

    /// The CommunicationConnection, once its Ready condition has this reason.
    ///
    /// # Errors
    /// When it hasn't in time.
    pub async fn until_connection_reason(&self, name: &str, reason: &str) -> Result<CommunicationConnection> {
        self.until_connection(name, reason, has_reason(reason)).await
    }

    /// An object of any kind, once it is as wanted.
    ///
    /// # Errors
    /// When it isn't in time, with what it is instead.
    pub async fn until_is<K>(&self, objects: &Api<K>, name: &str, what: &str, wanted: impl Fn(&K) -> bool) -> Result<K>
    where
        K: Clone + DeserializeOwned + Debug + Serialize,
    {
        let deadline = Instant::now() + CEILING;
        loop {
            match objects.get_opt(name).await? {
                Some(object) if wanted(&object) => return Ok(object),
                object if Instant::now() > deadline => bail!(
                    "{name} is not {what} after {CEILING:?}:\n{}\nlog:\n{}",
                    shown(&object)?,
                    self.logs.tail()
                ),
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Waits until the CommunicationUser is gone.
    ///
    /// # Errors
    /// When it isn't in time.
    pub async fn until_gone(&self, name: &str) -> Result<()> {
        self.until_none(&self.users(), name).await
    }

    /// Waits until an object of any kind is gone.
    ///
    /// # Errors
    /// When it isn't in time, with what is still there.
    pub async fn until_none<K>(&self, objects: &Api<K>, name: &str) -> Result<()>
    where
        K: Clone + DeserializeOwned + Debug + Serialize,
    {
        let deadline = Instant::now() + CEILING;
        while let Some(object) = objects.get_opt(name).await? {
            if Instant::now() > deadline {
                bail!(
                    "{name} is still there after {CEILING:?}:\n{}\nlog:\n{}",
                    shown(&object)?,
                    self.logs.tail()
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// When it isn't in time: `otherwise` says what is wrong then.
    pub async fn eventually(&self, otherwise: &str, is_so: impl AsyncFn() -> Result<bool>) -> Result<()> {
        self.eventually_within(CEILING, otherwise, is_so).await
    }

    /// The same for what takes longer by design.
    ///
    /// # Errors
    /// When it isn't in time: `otherwise` says what is wrong then.
    pub async fn eventually_within(
        &self,
        ceiling: Duration,
        otherwise: &str,
        is_so: impl AsyncFn() -> Result<bool>,
    ) -> Result<()> {
        let deadline = Instant::now() + ceiling;
        while !is_so().await? {
            if Instant::now() > deadline {
                bail!("{otherwise} after {ceiling:?}\nlog:\n{}", self.logs.tail());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The values of a Secret as text.
    ///
    /// # Errors
    /// When there is no such Secret.
    pub async fn secret_values(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let data = self.secrets().get(name).await?.data.unwrap_or_default();
        data.into_iter()
            .map(|(key, value)| Ok((key, String::from_utf8(value.0)?)))
            .collect()
    }
}

/// An object as a person wants to see it.
fn shown(object: &impl Serialize) -> Result<String> {
    let mut object = serde_json::to_value(object)?;
    if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    Ok(serde_json::to_string_pretty(&object)?)
}

/// Whether the Ready condition of an object has this reason.
pub fn has_reason<K: Conditioned>(reason: &str) -> impl Fn(&K) -> bool {
    move |object| ready(object).is_some_and(|(_, is)| is == reason)
}

pub(crate) async fn created<K>(objects: &Api<K>, kind: &str, name: &str, spec: Value) -> Result<K>
where
    K: Clone + DeserializeOwned + Debug + Serialize,
{
    let object = serde_json::from_value(json!({
        "apiVersion": "acs-operator.dev/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    }))?;
    Ok(objects.create(&PostParams::default(), &object).await?)
}

async fn merged<K>(objects: &Api<K>, name: &str, patch: Value) -> Result<K>
where
    K: Clone + DeserializeOwned + Debug,
{
    Ok(objects
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await?)
}
