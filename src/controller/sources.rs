//! The caches that objects are looked at through.

use k8s_openapi::api::core::v1::Secret;
use kube::api::PartialObjectMeta;

use crate::api::CommunicationUser;
use crate::cluster::cache::{Cache, Index};
use crate::decide::controller_uid;

/// The CommunicationUsers.
pub type UserCache = Cache<CommunicationUser>;

/// The Secrets that carry our label, metadata only: no token is ever held.
pub type SecretCache = Cache<PartialObjectMeta<Secret>>;

/// Finds Secrets by the uid of the object that controls them.
pub const OWNER_INDEX: &str = "owner";

/// The index behind [`OWNER_INDEX`].
pub fn owner_index() -> Index<PartialObjectMeta<Secret>> {
    Index {
        name: OWNER_INDEX,
        value_of: |secret| controller_uid(&secret.metadata),
    }
}
