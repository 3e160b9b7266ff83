//! https with the generated authority.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use acs_emulator::{Config, Emulator, Tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::{Answer, call};

fn start(names: &[&str]) -> Emulator {
    let tls = Tls {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ca_out: None,
    };
    Emulator::start(Config {
        tls: Some(tls),
        ..Config::default()
    })
    .unwrap()
}

/// Sends a signed create and returns the answer, or what TLS objects to.
fn create_as(emulator: &Emulator, name: &str, ca_pem: &str) -> Result<Answer, String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(emulator.address()).unwrap());
    stream.sock.set_read_timeout(Some(crate::client::CEILING)).unwrap();
    stream
        .write_all(&call(emulator, "POST /identities", "").bytes())
        .map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(Answer::read(&bytes).unwrap())
}

#[test]
fn a_client_that_trusts_the_authority_is_served_under_every_name() {
    let emulator = start(&["acs.example.test"]);
    assert!(emulator.connection_string().starts_with("endpoint=https://127.0.0.1:"));
    for name in ["localhost", "127.0.0.1", "::1", "acs.example.test"] {
        let answer = create_as(&emulator, name, emulator.ca_pem().unwrap()).unwrap();
        assert_eq!(answer.status, 201, "{name}");
    }
}

#[test]
fn another_name_or_another_authority_is_not_trusted() {
    let (emulator, other) = (start(&[]), start(&[]));
    create_as(&emulator, "acs.example.test", emulator.ca_pem().unwrap()).unwrap_err();
    create_as(&emulator, "localhost", other.ca_pem().unwrap()).unwrap_err();
    assert!(emulator.identities().is_empty());
}

#[test]
fn plain_http_on_the_tls_port_is_not_served() {
    let emulator = start(&[]);
    assert!(call(&emulator, "POST /identities", "").try_send().is_none());
    assert!(emulator.calls().is_empty());
}
