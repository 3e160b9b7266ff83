//! The Kubernetes API server: what is read from it and written to it.

pub mod cache;
mod cause;
pub mod client;
pub mod crds;
mod credential_secret;
pub mod events;
pub mod fence;
mod key;
pub mod lease;
mod log_interval;
pub mod merge_diff;
pub(crate) mod received;
mod retry_delays;
pub mod rights;
mod scope;
pub mod watch;
pub mod writes;

pub use credential_secret::CredentialSecret;
pub use key::ObjectKey;
pub use retry_delays::retry_delays;
pub use scope::Scope;
