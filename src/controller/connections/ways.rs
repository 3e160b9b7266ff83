//! Clients for all credentials of a connection.

use acs_identity::{ApiVersion, Client};

use crate::decide::connection::Credential;

/// Clients of one resource, each with another credential, in the order in which they are tried.
#[derive(Clone)]
pub struct Ways {
    /// The URL, as told.
    pub endpoint: String,
    /// The version of the REST API that is spoken there.
    pub api_version: ApiVersion,
    /// One for each credential.
    pub all: Vec<Way>,
}

/// A client with one credential.
#[derive(Clone)]
pub struct Way {
    /// The fingerprint of its credential.
    pub fingerprint: String,
    /// The key of the Secret that it lies under.
    pub key: Option<String>,
    /// The client.
    pub client: Client,
}

impl Ways {
    /// Whether calls go another way than `before`: what was answered to those says nothing of the next.
    pub fn differ_from(&self, before: &Self) -> bool {
        self.endpoint != before.endpoint
            || self.api_version != before.api_version
            || self.fingerprints() != before.fingerprints()
    }

    /// The fingerprints, in order.
    pub fn fingerprints(&self) -> Vec<String> {
        self.all.iter().map(|way| way.fingerprint.clone()).collect()
    }

    /// The client with this credential.
    pub fn client(&self, credential: &str) -> Option<&Client> {
        let mut ways = self.all.iter();
        ways.find(|way| way.fingerprint == credential).map(|way| &way.client)
    }

    /// As decisions see it; `outlived` says why it is what the Secret held before.
    pub fn as_credential(&self, outlived: Option<String>) -> Credential {
        Credential::Loaded {
            endpoint: self.endpoint.clone(),
            fingerprints: self.fingerprints(),
            keys: self.all.iter().filter_map(|way| way.key.clone()).collect(),
            outlived,
        }
    }
}
