//! Namespaces, which the operator only looks at.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::PartialObjectMeta};

use super::{WriteError, Writes, within};
use crate::cluster::received::Received;

impl Writes {
    /// Whether a namespace is being deleted as a whole, as the API server has it at this moment.
    ///
    /// # Errors
    /// [`WriteError`]; `Refused` when there is none, and where namespaces may not be read.
    pub async fn namespace_goes(&self, name: &str) -> Result<bool, WriteError> {
        let namespaces: Api<Received<PartialObjectMeta<Namespace>>> = Api::all(self.client.clone());
        let namespace = within(name, async { namespaces.get(name).await?.decoded() }).await?;
        Ok(namespace.metadata.deletion_timestamp.is_some())
    }
}
