//! Namespaces, which the operator only looks at.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;

use super::{WriteError, Writes, within};

impl Writes {
    /// Whether a namespace is being deleted as a whole, as the API server has it at this moment.
    ///
    /// # Errors
    /// [`WriteError`]; `Refused` when there is none, and where namespaces may not be read.
    pub async fn namespace_goes(&self, name: &str) -> Result<bool, WriteError> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = within(name, namespaces.get_metadata(name)).await?;
        Ok(namespace.metadata.deletion_timestamp.is_some())
    }
}
