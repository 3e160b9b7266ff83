//! An ACS resource: an emulator, and a gate in front of it.

use std::ops::Deref;

use acs_emulator::{Call, Config, Control, Emulator, KeySlot, Operation};
use acs_identity::{Client, ConnectionString, CreateIdentity, IdentityId, InsecureEndpoints};
use anyhow::Result;

use crate::{Gate, Traffic, gate::is_probe};

/// A resource that the operator reaches through a gate. Everything that can be asked of its emulator is on [`Control`], to
/// which it dereferences.
pub struct Resource {
    emulator: Emulator,
    /// The way to it.
    pub gate: Gate,
}

impl Deref for Resource {
    type Target = Control;

    fn deref(&self) -> &Control {
        self.emulator.control()
    }
}

impl Resource {
    pub(crate) async fn start(config: Config, traffic: Traffic) -> Result<Self> {
        let emulator = Emulator::start(config)?;
        let upstream = plain_client(emulator.control().endpoint().as_str())?;
        Ok(Self {
            gate: Gate::open("ACS", upstream, traffic).await?,
            emulator,
        })
    }

    /// Lets it be deleted, and made anew under its name: with the same keys, but with another id and without identities.
    ///
    /// # Errors
    /// When the emulator can't be started again.
    pub fn make_anew(&mut self) -> Result<()> {
        let key = |slot| Some(self.emulator.control().access_key(slot));
        let config = Config {
            listen: self.emulator.address(),
            primary_key: key(KeySlot::Primary),
            secondary_key: key(KeySlot::Secondary),
            ..Config::default()
        };
        // The port is to be free first.
        drop(std::mem::replace(
            &mut self.emulator,
            Emulator::start(Config::default())?,
        ));
        self.emulator = Emulator::start(config)?;
        Ok(())
    }

    /// Where the operator reaches it.
    pub fn url(&self) -> String {
        self.gate.url()
    }

    /// The text of a key. A secret.
    pub fn key(&self, slot: KeySlot) -> String {
        self.access_key(slot).text().to_owned()
    }

    /// The connection string with a key, through the gate. A secret.
    pub fn connects(&self, slot: KeySlot) -> String {
        format!("endpoint={};accesskey={}", self.url(), self.key(slot))
    }

    /// The calls that users needed, after the call of this number, oldest first: a connection proves itself besides.
    pub fn work_since(&self, seq: u64) -> Vec<Call> {
        let mut calls = self.calls_since(seq);
        calls.retain(|call| !is_probe(&call.path));
        calls
    }

    /// What users needed after the call of this number.
    pub fn operations_since(&self, seq: u64) -> Vec<Operation> {
        self.work_since(seq).into_iter().map(|call| call.operation).collect()
    }

    /// The calls by which connections proved themselves, after the call of this number, oldest first.
    pub fn probes_since(&self, seq: u64) -> Vec<Call> {
        let mut calls = self.calls_since(seq);
        calls.retain(|call| is_probe(&call.path));
        calls
    }

    /// Makes an identity as anyone can who has the key.
    ///
    /// # Errors
    /// When the emulator refuses it.
    pub async fn make_identity(&self) -> Result<String> {
        let identity = self.client()?.create_identity(&CreateIdentity::new()).await?;
        Ok(identity.id.as_str().to_owned())
    }

    /// Deletes an identity as anyone can who has the key.
    ///
    /// # Errors
    /// When the emulator refuses it.
    pub async fn delete_identity(&self, id: &str) -> Result<()> {
        self.client()?.delete_identity(&IdentityId::parse(id)?).await?;
        Ok(())
    }

    fn client(&self) -> Result<Client> {
        let ConnectionString { endpoint, access_key } =
            ConnectionString::parse(&self.connection_string(), InsecureEndpoints::Allow)?;
        Ok(Client::builder(endpoint, access_key.into()).build()?)
    }
}

/// A client for a server without authentication, such as the emulator (which looks at the signature that passes through).
fn plain_client(url: &str) -> Result<kube::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = kube::Config::new(url.parse()?);
    config.default_retry = false;
    Ok(kube::Client::try_from(config)?)
}
