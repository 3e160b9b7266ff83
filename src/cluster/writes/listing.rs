//! What the API server has at this moment, of many objects at once: only their metadata, a page at a time.
//!
//! A cache may lag behind, and a decision that can't be taken back, such as letting go of a credential, must not be
//! based on that.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Resource,
    api::{ListParams, ObjectList, ObjectMeta, PartialObjectMeta},
    core::request::Request,
};

use super::{WriteError, Writes, within};
use crate::{
    api::CommunicationUser,
    cluster::{
        Scope,
        received::{PAGE_SIZE, Received},
    },
};

/// Stands where the name of an object would: a 404 is never about an object of this name.
const NO_NAME: &str = "*";

impl Writes {
    /// How many CommunicationUsers in `scope` name the connection `kind` `name`, those that are being deleted included.
    /// A `connectionRef` without a kind is stored with the default one, so it is found under that.
    ///
    /// # Errors
    /// [`WriteError`], never `Gone` or `Conflict`.
    pub async fn count_users(&self, scope: &Scope, kind: &str, name: &str) -> Result<usize, WriteError> {
        let selector = format!("spec.connectionRef.kind={kind},spec.connectionRef.name={name}");
        let params = ListParams::default().fields(&selector);
        let mut count = 0;
        self.visit::<CommunicationUser>(scope, params, |_| count += 1).await?;
        Ok(count)
    }

    /// How many CommunicationUsers in `scope` name no connection, and so use the default one; those that are being
    /// deleted included.
    ///
    /// To a field selector of a custom resource an absent field is an empty one, and both fields are never empty
    /// otherwise. Tried on Kubernetes 1.36.
    ///
    /// # Errors
    /// As [`count_users`](Self::count_users).
    pub async fn count_users_without_reference(&self, scope: &Scope) -> Result<usize, WriteError> {
        self.count_users(scope, "", "").await
    }

    /// The Secrets in `scope` that carry `finalizer`.
    ///
    /// # Errors
    /// As [`count_users`](Self::count_users).
    pub async fn secrets_with_finalizer(&self, scope: &Scope, finalizer: &str) -> Result<Vec<ObjectMeta>, WriteError> {
        let mut found = Vec::new();
        let carries = |meta: &ObjectMeta| meta.finalizers.iter().flatten().any(|carried| carried == finalizer);
        self.visit::<Secret>(scope, ListParams::default(), |secret| {
            if carries(secret) {
                found.push(secret.clone());
            }
        })
        .await?;
        Ok(found)
    }

    /// Shows every object that `params` selects.
    async fn visit<K>(
        &self,
        scope: &Scope,
        params: ListParams,
        mut visit: impl FnMut(&ObjectMeta),
    ) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug,
    {
        let namespace = match scope {
            Scope::Cluster => None,
            Scope::Namespace(namespace) => Some(&**namespace),
        };
        let kind = Request::new(K::url_path(&(), namespace));
        let mut params = params.limit(PAGE_SIZE);
        loop {
            let answer = async {
                let request = kind.list_metadata(&params).map_err(kube::Error::BuildRequest)?;
                self.client
                    .request::<ObjectList<Received<PartialObjectMeta<K>>>>(request)
                    .await
            };
            let page = within(NO_NAME, answer).await?;
            page.items.iter().map(Received::meta).for_each(&mut visit);
            // The API server writes an empty one at the end too.
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                return Ok(());
            }
        }
    }
}
