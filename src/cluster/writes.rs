//! The writes, each conditional on the version that the decision was based on.
//!
//! Nothing here is retried: the caller looks again and decides again. Whether a write may be sent at all is asked further down,
//! by the [`fence`](super::fence) that the client is made with.

mod discretion;
mod error;
mod listing;
mod namespace;
mod object;
mod secret;

use std::time::Duration;

use kube::Client;

pub use error::WriteError;
pub use object::{FinishingCreate, Target};
pub use secret::Expected;

/// No single request to the API server may take longer; kube itself has no limit (kube-rs/kube#1798).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes to the API server, and reads of what it has at this moment.
#[derive(Clone)]
pub struct Writes {
    client: Client,
}

impl Writes {
    /// Writes through `client`, which is a [fenced](super::fence::fenced) one where there may be other replicas.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

/// The answer to a request about the object `name`, or why there is none.
async fn within<T>(name: &str, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, WriteError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(answer) => answer.map_err(|error| WriteError::of(&error, name)),
        Err(_) => Err(WriteError::Unavailable(format!(
            "no answer within {} s",
            REQUEST_TIMEOUT.as_secs()
        ))),
    }
}
