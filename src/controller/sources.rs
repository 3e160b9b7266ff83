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

/// Finds CommunicationUsers by the identity that their status records, or else that their spec claims.
pub const IDENTITY_INDEX: &str = "identity";

/// The index behind [`IDENTITY_INDEX`].
pub fn identity_index() -> Index<CommunicationUser> {
    Index {
        name: IDENTITY_INDEX,
        value_of: claimed_identity,
    }
}

/// The identity that an object holds, or else claims.
pub fn claimed_identity(user: &CommunicationUser) -> Option<&str> {
    held_identity(user).or_else(|| user.spec.identity.as_ref()?.id.as_deref())
}

/// The identity that an object holds.
pub fn held_identity(user: &CommunicationUser) -> Option<&str> {
    user.status.as_ref()?.identity.as_ref()?.id.as_deref()
}

/// The index behind [`OWNER_INDEX`].
pub fn owner_index() -> Index<PartialObjectMeta<Secret>> {
    Index {
        name: OWNER_INDEX,
        value_of: |secret| controller_uid(&secret.metadata),
    }
}
