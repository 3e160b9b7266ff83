//! Settings of a client.

use std::sync::Arc;

use super::{Client, Settings};
use crate::{ApiVersion, BuildError, Credential, Endpoint, Guard, Observer, RetryPolicy, Timeouts, Transport};

/// Settings of a [`Client`].
pub struct ClientBuilder {
    endpoint: Endpoint,
    credential: Credential,
    api_version: ApiVersion,
    timeouts: Timeouts,
    retry: RetryPolicy,
    transport: Option<Transport>,
    observer: Option<Arc<dyn Observer>>,
    guard: Option<Arc<dyn Guard>>,
}

impl ClientBuilder {
    pub(super) fn new(endpoint: Endpoint, credential: Credential) -> Self {
        Self {
            endpoint,
            credential,
            api_version: ApiVersion::default(),
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            transport: None,
            observer: None,
            guard: None,
        }
    }

    /// The API version to speak.
    #[must_use]
    pub fn api_version(mut self, version: ApiVersion) -> Self {
        self.api_version = version;
        self
    }

    /// How long one attempt may take.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// What the client repeats by itself.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// The connections to use: shared with other clients, or with other trusted certificates. Default: a pool of its
    /// own that trusts what the platform trusts.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Who is told of every exchange.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Who is asked before every request. Default: nobody.
    #[must_use]
    pub fn guard(mut self, guard: Arc<dyn Guard>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Builds the client. Nothing is sent.
    ///
    /// # Errors
    /// [`BuildError`] when there is no transport to be had, or one that trusts nobody for an `https` endpoint.
    pub fn build(self) -> Result<Client, BuildError> {
        let transport = match self.transport {
            Some(transport) => transport,
            None => Transport::builder().build()?,
        };
        if self.endpoint.is_https() && !transport.trusts_any() {
            return Err(BuildError::NothingTrusted);
        }
        let Self {
            endpoint,
            credential,
            api_version,
            timeouts,
            retry,
            observer,
            guard,
            ..
        } = self;
        Ok(Client(Arc::new(Settings {
            endpoint,
            credential,
            api_version,
            timeouts,
            retry,
            transport,
            observer,
            guard,
        })))
    }
}
