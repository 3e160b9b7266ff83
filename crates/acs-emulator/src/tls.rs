//! https with a certificate authority made at the start.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// Wishes about the certificate.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Host names and addresses it is valid for, besides `localhost`, loopback and the host of the endpoint.
    pub names: Vec<String>,
    /// Where to write the CA's certificate (PEM), for clients to trust.
    pub ca_out: Option<PathBuf>,
}

/// The certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A name is neither a host name nor an address, or the system has no randomness.
    #[error("cannot make a TLS certificate for {names:?}: {source}")]
    Certificate {
        /// What it was to be valid for.
        names: Vec<String>,
        /// The cause.
        source: rcgen::Error,
    },
    /// The certificate was made and cannot be used.
    #[error("cannot use the TLS certificate: {0}")]
    Use(#[from] rustls::Error),
    /// The CA's certificate cannot be written.
    #[error("cannot write the CA certificate to {path}: {source}")]
    WriteCa {
        /// Where to.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// A ready server side, and the CA that clients must trust.
pub(crate) struct TlsServer {
    pub acceptor: TlsAcceptor,
    pub ca_pem: String,
}

impl Tls {
    /// Makes a CA and a server certificate, and writes the CA's certificate if wanted. Private keys stay in memory.
    pub(crate) fn set_up(&self, endpoint_host: Option<&str>) -> Result<TlsServer, TlsError> {
        let names = self.all_names(endpoint_host);
        let (acceptor, ca_pem) = certified(&names)?;
        if let Some(path) = &self.ca_out {
            std::fs::write(path, &ca_pem).map_err(|source| TlsError::WriteCa {
                path: path.clone(),
                source,
            })?;
        }
        Ok(TlsServer { acceptor, ca_pem })
    }

    fn all_names(&self, endpoint_host: Option<&str>) -> Vec<String> {
        let fixed = ["localhost", "127.0.0.1", "::1"].into_iter();
        let wanted = self.names.iter().map(String::as_str);
        let mut names = Vec::new();
        for name in fixed.chain(endpoint_host).chain(wanted) {
            let name = bare(name).to_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// An IPv6 address without the brackets it has in a URL.
fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.filter(|host| host.parse::<IpAddr>().is_ok()).unwrap_or(host)
}

fn certified(names: &[String]) -> Result<(TlsAcceptor, String), TlsError> {
    let failed = |source| TlsError::Certificate {
        names: names.to_vec(),
        source,
    };

    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params.distinguished_name.push(DnType::CommonName, "acs-emulator CA");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(failed)?).map_err(failed)?;

    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "acs-emulator");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &ca).map_err(failed)?;

    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), ca.pem()))
}
