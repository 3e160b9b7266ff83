//! The Kubernetes contract, without IO: kinds, conditions and reasons, names and labels, the definitions of the kinds.
//!
//! The types read more than the schema accepts: a value that the schema of today refuses, in an object that was stored
//! under another schema, is kept as text or as `Unknown`, so that the object can still be listed, reported and deleted.

mod condition;
#[cfg(any(test, fuzzing))]
pub(crate) mod conformity;
#[allow(
    clippy::doc_markdown,
    reason = "doc comments of kinds are printed by kubectl explain, as plain text"
)]
#[allow(
    clippy::duplicated_attributes,
    reason = "categories, columns and selectable fields are written one by one"
)]
mod connection;
pub mod crd;
mod create_attempt;
mod duration;
pub mod names;
mod reason;
pub mod reason_page;
mod rules;
mod schema;
mod text_enum;
mod time;
mod tolerant;
#[allow(
    clippy::doc_markdown,
    reason = "doc comments of kinds are printed by kubectl explain, as plain text"
)]
#[allow(
    clippy::duplicated_attributes,
    reason = "categories, columns and selectable fields are written one by one"
)]
mod user;

pub use condition::{ConditionType, Verdict};
pub use connection::{
    AllowedNamespaces, Auth, ClientSecretAuth, ClusterAuth, ClusterClientSecretAuth, ClusterCommunicationConnection,
    ClusterCommunicationConnectionSpec, ClusterSecretAuth, ClusterSecretRef, ClusterWorkloadIdentityAuth,
    CommunicationConnection, CommunicationConnectionSpec, ConnectionSettings, ConnectionStatus, ManagedIdentityAuth,
    RateLimits, SecretAuth, SecretRef, ServiceAccountRef, WorkloadIdentityAuth,
};
pub use create_attempt::{CreateAttempt, CreateAttemptError};
pub use duration::{DurationError, DurationText};
pub use reason::{Reason, ReasonClass, UnknownReason};
pub use time::whole_seconds;
pub use user::{
    CommunicationUser, CommunicationUserSpec, CommunicationUserStatus, ConnectionKind, ConnectionRef, DeletionPolicy,
    IdentitySpec, IdentityStatus, Origin, Scope, SecretKeys, SecretSpec, SecretStatus, TokenSpec, TokenStatus,
};
