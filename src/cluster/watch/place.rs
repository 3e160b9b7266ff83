//! Where the objects of a kind live, and so how a watch asks for them.

use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, ResourceScope};
use kube::{Api, Client, Resource};

use super::super::Scope;

/// In namespaces, or in none.
pub trait Place: ResourceScope {
    /// The way to the objects of a kind that lives here, as far as they are in `scope`.
    fn api<K>(client: Client, scope: &Scope) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = Self>;
}

impl Place for NamespaceResourceScope {
    fn api<K>(client: Client, scope: &Scope) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = Self>,
    {
        match scope {
            Scope::Cluster => Api::all(client),
            Scope::Namespace(namespace) => Api::namespaced(client, namespace),
        }
    }
}

/// There is one scope for these, [`Scope::Cluster`].
impl Place for ClusterResourceScope {
    fn api<K>(client: Client, _: &Scope) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = Self>,
    {
        Api::all(client)
    }
}
