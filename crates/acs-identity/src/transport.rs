//! Connections to the service: TLS, proxies, and the settings that keep a request a single request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

const USER_AGENT: &str = concat!("acs-identity/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than what servers and balancers allow: a create on a connection that is just being closed is in doubt.
const IDLE_CONNECTION: Duration = Duration::from_secs(20);

/// A pool of connections. Cheap to clone; clients that share one share its connections.
///
/// HTTP/1.1, as the official SDKs speak it. Redirects are never followed and nothing is repeated behind the back of the
/// client. Proxies come from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. Trusted are the platform's certificates
/// (`SSL_CERT_FILE` and `SSL_CERT_DIR` on Linux) and those given to the builder.
///
/// TLS is rustls, with the process-wide crypto provider where one is installed and ring otherwise: nothing has to be
/// installed first.
#[derive(Clone)]
pub struct Transport {
    http: reqwest::Client,
    trusts_any: bool,
}

/// Settings of a [`Transport`].
#[derive(Debug, Clone)]
pub struct TransportBuilder {
    authorities: Vec<CertificateDer<'static>>,
    connect_timeout: Duration,
    user_agent: String,
}

/// Why there can be no [`Transport`] or client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The CA certificates are not PEM, or there are none.
    #[error(
        "the CA certificates are not usable; give one or more PEM blocks that begin with -----BEGIN CERTIFICATE-----"
    )]
    CaCertificates,
    /// An `https` endpoint, but nothing to trust.
    #[error(
        "no trusted CA certificates were found on this machine, so no https endpoint can be reached; install ca-certificates, set SSL_CERT_FILE, or give some"
    )]
    NothingTrusted,
    /// The HTTP client or its TLS could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Http(String),
}

impl Transport {
    /// Settings with their defaults.
    pub fn builder() -> TransportBuilder {
        TransportBuilder {
            authorities: Vec::new(),
            connect_timeout: CONNECT_TIMEOUT,
            user_agent: USER_AGENT.into(),
        }
    }

    /// Whether any certificate authority is trusted at all.
    pub(crate) fn trusts_any(&self) -> bool {
        self.trusts_any
    }

    pub(crate) async fn send(&self, request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
        self.http.execute(request).await
    }
}

/// Nothing of the HTTP client is shown: it knows the proxies, and they may have passwords.
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("trusts_any", &self.trusts_any)
            .finish_non_exhaustive()
    }
}

impl TransportBuilder {
    /// Trusts these authorities besides those of the platform: one or more certificates in PEM.
    ///
    /// # Errors
    /// [`BuildError::CaCertificates`] when there is none, or one cannot be read.
    pub fn trust_pem(mut self, pem: &[u8]) -> Result<Self, BuildError> {
        let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| BuildError::CaCertificates)?;
        let mut store = RootCertStore::empty();
        let are_usable = found.iter().all(|found| store.add(found.clone()).is_ok());
        if found.is_empty() || !are_usable {
            return Err(BuildError::CaCertificates);
        }
        self.authorities.extend(found);
        Ok(self)
    }

    /// How long connecting may take, TLS included. Default 5 s. It should be shorter than the timeouts of calls: a
    /// create that runs out of time while it connects is known not to have been sent.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// What is said in `User-Agent` before this library's own name.
    #[must_use]
    pub fn user_agent(mut self, product: &str) -> Self {
        self.user_agent = format!("{product} {USER_AGENT}");
        self
    }

    /// Builds the pool. No connection is made yet.
    ///
    /// # Errors
    /// [`BuildError`] when TLS or the HTTP client cannot be set up.
    pub fn build(self) -> Result<Transport, BuildError> {
        let (tls, trusts_any) = tls(self.authorities)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(self.user_agent)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_CONNECTION)
            .http1_only()
            .referer(false)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(|error| BuildError::Http(cause(&error)))?;
        Ok(Transport { http, trusts_any })
    }
}

/// Set up here and not by reqwest, which panics where no crypto provider is installed in the process.
fn tls(authorities: Vec<CertificateDer<'static>>) -> Result<(ClientConfig, bool), BuildError> {
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError::Http(error.to_string()))?;
    let own_were_given = !authorities.is_empty();
    match Verifier::new_with_extra_roots(authorities, provider) {
        Ok(verifier) => {
            let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
            Ok((config.with_no_client_auth(), true))
        }
        Err(_) if own_were_given => Err(BuildError::CaCertificates),
        // Fine for http endpoints, which are known only later.
        Err(_) => Ok((
            config
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth(),
            false,
        )),
    }
}

/// Whether the server was turned away because no trusted authority has signed its certificate. One that only has the name
/// of a trusted authority makes a bad signature.
pub(crate) fn is_untrusted(error: &reqwest::Error) -> bool {
    use rustls::{
        CertificateError::{BadSignature, UnknownIssuer},
        Error::InvalidCertificate,
    };
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = link {
        if let Some(InvalidCertificate(UnknownIssuer | BadSignature)) = error.downcast_ref() {
            return true;
        }
        // An I/O error has what it wraps for itself, and not for its source.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        link = wrapped.map_or_else(|| error.source(), |wrapped| Some(wrapped));
    }
    false
}

/// The innermost cause, which says what happened; the outer ones say that something did, and name the URL.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    crate::shown::shown(&cause.to_string(), std::iter::empty())
}
