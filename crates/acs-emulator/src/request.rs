//! A request as the service sees it, freed of its connection.

use bytes::Bytes;
use http::{HeaderMap, Method};

/// A complete request. The target is kept byte for byte as it came in, because that is what was signed.
#[derive(Debug)]
pub(crate) struct Request {
    pub method: Method,
    /// Path and query, undecoded: `/identities/8%3Aacs%3A…?api-version=…`.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why a header has no single readable value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Missing,
    Repeated,
    NotText,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(self.target.as_str(), |(path, _)| path)
    }

    pub(crate) fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The value of a header that must be there exactly once.
    pub(crate) fn header(&self, name: &str) -> Result<&str, HeaderFault> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().ok_or(HeaderFault::Missing)?;
        if values.next().is_some() {
            return Err(HeaderFault::Repeated);
        }
        value.to_str().map_err(|_| HeaderFault::NotText)
    }

    /// The id by which the client names this request in its own logs.
    pub(crate) fn client_request_id(&self) -> Option<&str> {
        self.header("x-ms-client-request-id").ok().filter(|id| id.len() <= 128)
    }
}
