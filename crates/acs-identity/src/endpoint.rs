//! Where an Azure Communication Services resource is reached.

use std::fmt;

use url::{Host, Url};

/// Whether plain `http` endpoints are accepted.
///
/// A signature or bearer token that travels over `http` can be read and used by anyone on the way, so this is a
/// decision of the caller and never a default. It exists for emulators and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InsecureEndpoints {
    /// Only `https` endpoints are accepted.
    #[default]
    Refuse,
    /// `http` endpoints are accepted too.
    Allow,
}

/// Scheme, host and port of a resource, such as `https://contoso.unitedstates.communication.azure.com`.
///
/// # Guarantees
/// There is no path, query, fragment or user information, the host is lower-case, and a default port is left out.
/// The host and port are the exact text that is signed and that travels in the `Host` header: a stray trailing slash
/// there makes the service answer 401.
///
/// ```
/// use acs_identity::{Endpoint, InsecureEndpoints};
///
/// let endpoint = Endpoint::parse("https://Contoso.communication.azure.com:443/", InsecureEndpoints::Refuse)?;
/// assert_eq!(endpoint.as_str(), "https://contoso.communication.azure.com");
/// assert_eq!(endpoint.host(), "contoso.communication.azure.com");
/// # Ok::<(), acs_identity::EndpointError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    origin: String,
    scheme_len: usize,
    host: String,
}

/// Why a text is not an [`Endpoint`]. The text itself is never part of the message: a connection string with swapped
/// parts would put the access key there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Not a URL with a scheme and a host.
    #[error("the endpoint is not a URL; write https://<resource>.communication.azure.com")]
    NotAUrl,
    /// A scheme other than `https` (and `http`).
    #[error("the endpoint must begin with https://")]
    Scheme,
    /// `http` without [`InsecureEndpoints::Allow`].
    #[error(
        "the endpoint is http, over which credentials could be read; use https, or allow insecure endpoints where this is an emulator"
    )]
    Insecure,
    /// A user name or password before the host.
    #[error("the endpoint holds a user name or password; leave only https:// and the host")]
    UserInfo,
    /// A path after the host.
    #[error("the endpoint holds a path; leave only https:// and the host")]
    Path,
    /// A query or fragment.
    #[error("the endpoint holds a query or fragment; leave only https:// and the host")]
    QueryOrFragment,
    /// A host that ends in a dot, or port 0.
    #[error("the endpoint's host or port is not usable: the host must not end in a dot, the port must not be 0")]
    HostOrPort,
}

impl Endpoint {
    /// Reads an endpoint. White space around it and slashes after it are dropped.
    ///
    /// # Errors
    /// [`EndpointError`] names what is wrong and what to write instead.
    pub fn parse(text: &str, insecure: InsecureEndpoints) -> Result<Self, EndpointError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or(EndpointError::NotAUrl)?;
        check_scheme(scheme, insecure)?;
        // The URL standard mends much that we would rather hear about: white space inside, back slashes, extra slashes.
        let mendable = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        if rest.is_empty() || rest.starts_with('/') || rest.contains(mendable) {
            return Err(EndpointError::NotAUrl);
        }
        let url = Url::parse(text).map_err(|_| EndpointError::NotAUrl)?;
        check_only_origin(&url)?;
        let host = url.host().ok_or(EndpointError::NotAUrl)?;
        Self::from_parts(url.scheme(), &host, url.port())
    }

    fn from_parts(scheme: &str, host: &Host<&str>, port: Option<u16>) -> Result<Self, EndpointError> {
        let host = host.to_string();
        if host.ends_with('.') || port == Some(0) {
            return Err(EndpointError::HostOrPort);
        }
        let origin = match port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        Ok(Self {
            origin,
            scheme_len: scheme.len(),
            host,
        })
    }

    /// The endpoint as a URL without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.origin
    }

    /// The host in lower case, without the port. IPv6 addresses are in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host and, where it is not the scheme's default, port: what is signed and sent as `Host`.
    pub fn authority(&self) -> &str {
        self.origin.get(self.scheme_len + "://".len()..).unwrap_or(&self.host)
    }

    /// Whether requests travel encrypted.
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https://")
    }
}

fn check_scheme(scheme: &str, insecure: InsecureEndpoints) -> Result<(), EndpointError> {
    match (scheme.to_ascii_lowercase().as_str(), insecure) {
        ("https", _) | ("http", InsecureEndpoints::Allow) => Ok(()),
        ("http", InsecureEndpoints::Refuse) => Err(EndpointError::Insecure),
        _ => Err(EndpointError::Scheme),
    }
}

fn check_only_origin(url: &Url) -> Result<(), EndpointError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(EndpointError::UserInfo);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(EndpointError::QueryOrFragment);
    }
    if url.path().trim_matches('/').is_empty() {
        Ok(())
    } else {
        Err(EndpointError::Path)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, EndpointError> {
        Endpoint::parse(text, InsecureEndpoints::Allow).map(|e| e.as_str().to_owned())
    }

    #[test]
    fn an_endpoint_is_reduced_to_scheme_host_and_other_than_default_port() {
        for (text, expected) in [
            (
                "https://contoso.communication.azure.com",
                "https://contoso.communication.azure.com",
            ),
            (
                "  https://contoso.communication.azure.com//\n",
                "https://contoso.communication.azure.com",
            ),
            (
                "HTTPS://CONTOSO.UnitedStates.communication.azure.com/",
                "https://contoso.unitedstates.communication.azure.com",
            ),
            (
                "https://contoso.communication.azure.com:443/",
                "https://contoso.communication.azure.com",
            ),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:8080/", "http://localhost:8080"),
            ("https://[::1]:8443", "https://[::1]:8443"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_signed_as_host_has_the_port_only_when_it_is_not_the_default() {
        let authority = |text| {
            Endpoint::parse(text, InsecureEndpoints::Allow)
                .unwrap()
                .authority()
                .to_owned()
        };
        assert_eq!(
            authority("https://contoso.communication.azure.com:443"),
            "contoso.communication.azure.com"
        );
        assert_eq!(authority("http://localhost:8080/"), "localhost:8080");
        assert_eq!(authority("https://[::1]:8443"), "[::1]:8443");
    }

    #[test]
    fn anything_but_an_origin_is_refused_with_its_fault() {
        use EndpointError as E;
        for (text, fault) in [
            ("", E::NotAUrl),
            ("contoso.communication.azure.com", E::NotAUrl),
            ("https://", E::NotAUrl),
            ("https:///contoso.communication.azure.com", E::NotAUrl),
            ("https:\\\\contoso.communication.azure.com", E::NotAUrl),
            ("https://contoso communication.azure.com", E::NotAUrl),
            ("https://con\ttoso.communication.azure.com", E::NotAUrl),
            ("https://contoso.communication.azure.com:99999", E::NotAUrl),
            ("ftp://contoso.communication.azure.com", E::Scheme),
            ("https://me:secret@contoso.communication.azure.com", E::UserInfo),
            ("https://contoso.communication.azure.com/identities", E::Path),
            ("https://contoso.communication.azure.com/?x=1", E::QueryOrFragment),
            ("https://contoso.communication.azure.com/#x", E::QueryOrFragment),
            ("https://contoso.communication.azure.com.", E::HostOrPort),
            ("https://contoso.communication.azure.com:0", E::HostOrPort),
        ] {
            assert_eq!(parse(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn http_needs_the_explicit_permission() {
        assert_eq!(
            Endpoint::parse("http://localhost:8080", InsecureEndpoints::Refuse),
            Err(EndpointError::Insecure)
        );
        assert!(
            !Endpoint::parse("http://localhost:8080", InsecureEndpoints::Allow)
                .unwrap()
                .is_https()
        );
    }
}
