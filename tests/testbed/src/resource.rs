//! An ACS resource: an emulator, and a gate in front of it.

use std::{ops::Deref, time::Duration};

use acs_emulator::{Call, Config, Control, Emulator, KeySlot, Operation};
use acs_identity::{Client, ConnectionString, CreateIdentity, IdentityId, InsecureEndpoints};
use anyhow::Result;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use crate::{CEILING, Gate, Traffic, traffic::is_probe};

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
    pub async fn make_anew(&mut self) -> Result<()> {
        let key = |slot| Some(self.emulator.control().access_key(slot));
        let config = Config {
            listen: self.emulator.address(),
            primary_key: key(KeySlot::Primary),
            secondary_key: key(KeySlot::Secondary),
            ..Config::default()
        };
        // The port is to be free first. It is a moment later than one should think: a program that another test starts has
        // copies of all sockets until it runs.
        drop(std::mem::replace(
            &mut self.emulator,
            Emulator::start(Config::default())?,
        ));
        let ceiling = Instant::now() + CEILING;
        loop {
            match Emulator::start(config.clone()) {
                Ok(emulator) => self.emulator = emulator,
                Err(_) if Instant::now() < ceiling => {
                    sleep(Duration::from_millis(20)).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            return Ok(());
        }
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

    /// How often users needed this.
    pub fn count(&self, operation: Operation) -> usize {
        let needed = self.operations_since(0).into_iter();
        needed.filter(|needed| *needed == operation).count()
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

    /// The present second by its clock, once all tokens so far are from before it: a time that only later ones are valid from.
    ///
    /// # Errors
    /// When its clock is beyond all times.
    pub async fn a_later_second(&self) -> Result<String> {
        let newest = self.tokens().iter().map(|token| token.issued_at.as_second()).max();
        let now = || self.now().as_second();
        while newest.is_some_and(|newest| now() <= newest) {
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Timestamp::from_second(now())?.to_string())
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
