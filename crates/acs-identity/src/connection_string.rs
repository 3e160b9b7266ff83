//! The connection string that the portal shows for a resource.

use crate::{AccessKey, AccessKeyError, Endpoint, EndpointError, InsecureEndpoints};

/// Endpoint and access key of a resource, as the portal's `endpoint=https://…/;accesskey=…` carries them.
///
/// Parts are separated by `;` and may come in any order; their names are compared without regard to case; white space
/// around parts, names and values is dropped; one `;` at the end is fine. Parts with other names are ignored.
///
/// ```
/// use acs_identity::{ConnectionString, ConnectionStringError, ConnectionStringPart, InsecureEndpoints};
///
/// let text = "endpoint=https://contoso.communication.azure.com/;accesskey=MDEyMzQ1Njc4OWFiY2RlZg==";
/// let connection = ConnectionString::parse(text, InsecureEndpoints::Refuse)?;
/// assert_eq!(connection.endpoint.as_str(), "https://contoso.communication.azure.com");
///
/// let fault = ConnectionString::parse("endpoint=https://contoso.communication.azure.com/", InsecureEndpoints::Refuse);
/// assert_eq!(fault.unwrap_err(), ConnectionStringError::Missing(ConnectionStringPart::AccessKey));
/// # Ok::<(), ConnectionStringError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ConnectionString {
    /// Where the resource is.
    pub endpoint: Endpoint,
    /// What signs its requests.
    pub access_key: AccessKey,
}

/// A part that every connection string has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionStringPart {
    /// `endpoint=`
    Endpoint,
    /// `accesskey=`
    AccessKey,
}

/// Why a text is not a connection string.
///
/// # Guarantees
/// No message repeats any of the text, since most of the text is the key: faults are named by part or position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionStringError {
    /// Nothing but white space.
    #[error(
        "the connection string is empty; write endpoint=https://<resource>.communication.azure.com/;accesskey=<key>"
    )]
    Empty,
    /// Quotation marks around the whole.
    #[error("the connection string is in quotation marks; remove them")]
    Quoted,
    /// Nothing between two `;`, or before the first. Positions count from 1.
    #[error("part {0} of the connection string is empty; remove the superfluous `;`")]
    EmptyPart(usize),
    /// A part that is not `name=value`. Positions count from 1.
    #[error("part {0} of the connection string is not name=value; write endpoint=<url>;accesskey=<key>")]
    NotNameValue(usize),
    /// A part given twice.
    #[error("the connection string has `{0}` twice; keep one")]
    Duplicate(ConnectionStringPart),
    /// A part that is not there.
    #[error("the connection string has no `{0}`; write endpoint=<url>;accesskey=<key>")]
    Missing(ConnectionStringPart),
    /// A part without a value.
    #[error("`{0}` in the connection string has no value")]
    EmptyValue(ConnectionStringPart),
    /// The endpoint cannot be used.
    #[error("connection string: {0}")]
    Endpoint(#[from] EndpointError),
    /// The access key cannot be used.
    #[error("connection string: {0}")]
    AccessKey(#[from] AccessKeyError),
}

impl ConnectionString {
    /// Reads a connection string.
    ///
    /// # Errors
    /// [`ConnectionStringError`] names the fault, never the key.
    pub fn parse(text: &str, insecure: InsecureEndpoints) -> Result<Self, ConnectionStringError> {
        let found = Parts::read(text)?;
        let endpoint = found.value(ConnectionStringPart::Endpoint)?;
        let access_key = found.value(ConnectionStringPart::AccessKey)?;
        Ok(Self {
            endpoint: Endpoint::parse(endpoint, insecure)?,
            access_key: AccessKey::parse(access_key)?,
        })
    }
}

#[derive(Default)]
struct Parts<'a> {
    endpoint: Option<&'a str>,
    access_key: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn read(text: &'a str) -> Result<Self, ConnectionStringError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ConnectionStringError::Empty);
        }
        if text.starts_with(['"', '\'']) {
            return Err(ConnectionStringError::Quoted);
        }
        let mut found = Self::default();
        for (index, part) in text.strip_suffix(';').unwrap_or(text).split(';').enumerate() {
            found.add(part.trim(), index + 1)?;
        }
        Ok(found)
    }

    fn add(&mut self, part: &'a str, position: usize) -> Result<(), ConnectionStringError> {
        if part.is_empty() {
            return Err(ConnectionStringError::EmptyPart(position));
        }
        // Only the first `=` separates: base64 ends in others.
        let (name, value) = part
            .split_once('=')
            .ok_or(ConnectionStringError::NotNameValue(position))?;
        let Some(part) = ConnectionStringPart::named(name.trim()) else {
            // Its name stays unsaid: what is left of a key that was cut in two would look like one.
            tracing::debug!(position, "ignored a connection string part with an unknown name");
            return Ok(());
        };
        match self.slot(part).replace(value.trim()) {
            None => Ok(()),
            Some(_) => Err(ConnectionStringError::Duplicate(part)),
        }
    }

    fn slot(&mut self, part: ConnectionStringPart) -> &mut Option<&'a str> {
        match part {
            ConnectionStringPart::Endpoint => &mut self.endpoint,
            ConnectionStringPart::AccessKey => &mut self.access_key,
        }
    }

    fn value(&self, part: ConnectionStringPart) -> Result<&'a str, ConnectionStringError> {
        let value = match part {
            ConnectionStringPart::Endpoint => self.endpoint,
            ConnectionStringPart::AccessKey => self.access_key,
        };
        match value {
            None => Err(ConnectionStringError::Missing(part)),
            Some("") => Err(ConnectionStringError::EmptyValue(part)),
            Some(value) => Ok(value),
        }
    }
}

impl ConnectionStringPart {
    fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("endpoint") {
            Some(Self::Endpoint)
        } else if name.eq_ignore_ascii_case("accesskey") {
            Some(Self::AccessKey)
        } else {
            None
        }
    }
}

impl std::fmt::Display for ConnectionStringPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Endpoint => "endpoint",
            Self::AccessKey => "accesskey",
        })
    }
}
