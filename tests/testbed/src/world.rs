//! One namespace, one emulator and one operator that serves both, on the shared control plane.

use std::{collections::BTreeMap, path::PathBuf, sync::OnceLock, time::Duration};

use acs_emulator::{Call, Config, Control, Emulator, KeySlot};
use acs_operator::api::{CommunicationUser, ConditionType};
use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::gate::is_probe;
use crate::{ControlPlane, Gate, Operator, OperatorLog, OperatorSettings, Traffic, account};

/// How long a test waits for what it expects before it fails. Usually it comes within a fraction of a second.
pub const CEILING: Duration = Duration::from_secs(40);

/// The shipped manifests are applied once for all worlds.
static MANIFESTS: OnceLock<Result<(), String>> = OnceLock::new();

/// How to set up a world.
pub struct WorldSettings {
    /// The operator's binary.
    pub operator: PathBuf,
    /// The emulator.
    pub emulator: Config,
    /// More arguments for the operator.
    pub arguments: Vec<String>,
    /// The namespace that the default connection serves, if not this world's.
    pub served_namespace: Option<String>,
    /// Whether the operator has a connection string.
    pub connected: bool,
    /// What the operator logs.
    pub log: OperatorLog,
}

impl WorldSettings {
    /// A world with the documented defaults.
    pub fn new(operator: impl Into<PathBuf>) -> Self {
        Self {
            operator: operator.into(),
            emulator: Config::default(),
            arguments: Vec::new(),
            served_namespace: None,
            connected: true,
            log: OperatorLog::Everything,
        }
    }
}

/// See the module's page.
pub struct World {
    /// The control plane.
    pub control_plane: &'static ControlPlane,
    /// A client of the administrator.
    pub client: Client,
    /// The namespace of this world.
    pub namespace: String,
    /// The operator.
    pub operator: Operator,
    /// The operator's mutating requests.
    pub traffic: Traffic,
    /// Whether the operator may panic. Usually a panic fails the test.
    pub panics_expected: bool,
    emulator: Emulator,
    _gates: [Gate; 2],
    _files: TempDir,
}

impl World {
    /// Sets up a world whose operator is ready.
    ///
    /// # Errors
    /// When any part of it can't be had.
    pub async fn start(settings: WorldSettings) -> Result<Self> {
        let control_plane = ControlPlane::shared().await?;
        let installed = MANIFESTS.get_or_init(|| control_plane.install_manifests().map_err(|e| format!("{e:#}")));
        installed.as_ref().map_err(|error| anyhow!("{error}"))?;

        let client = control_plane.client().await?;
        let namespace = control_plane.namespace("world").await?;
        let emulator = Emulator::start(settings.emulator)?;
        let traffic = Traffic::new();
        let gates = [
            Gate::open("Kubernetes", control_plane.operator_client().await?, traffic.clone()).await?,
            Gate::open(
                "ACS",
                plain_client(emulator.control().endpoint().as_str())?,
                traffic.clone(),
            )
            .await?,
        ];
        let files = TempDir::with_prefix("acs-world-")?;
        let kubeconfig = files.path().join("kubeconfig");
        account::write_kubeconfig(&kubeconfig, &gates[0].url())?;
        let served = settings.served_namespace.unwrap_or_else(|| namespace.clone());
        let mut arguments = vec![format!("--watch-namespaces={namespace}")];
        arguments.push(format!("--default-connection-namespaces={served}"));
        arguments.extend(settings.arguments);
        let connection_string = behind(&gates[1].url(), &emulator.control().connection_string())?;
        let mut operator = Operator::start(OperatorSettings {
            binary: settings.operator,
            kubeconfig,
            connection_string: settings.connected.then_some(connection_string),
            arguments,
            log: settings.log,
        })?;
        operator.ready().await?;
        Ok(Self {
            control_plane,
            client,
            namespace,
            operator,
            traffic,
            panics_expected: false,
            emulator,
            _gates: gates,
            _files: files,
        })
    }

    /// The emulator's state and faults.
    pub fn acs(&self) -> &Control {
        self.emulator.control()
    }

    /// The calls that its users needed, oldest first: a connection proves itself besides, whenever it is time to.
    pub fn calls(&self) -> Vec<Call> {
        self.calls_since(0)
    }

    /// Those after the one with this number.
    pub fn calls_since(&self, seq: u64) -> Vec<Call> {
        let mut calls = self.acs().calls_since(seq);
        calls.retain(|call| !is_probe(&call.path));
        calls
    }

    /// The CommunicationUsers of this world.
    pub fn users(&self) -> Api<CommunicationUser> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Secrets of this world.
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates a CommunicationUser with this spec.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn create(&self, name: &str, spec: Value) -> Result<CommunicationUser> {
        let object = serde_json::from_value(json!({
            "apiVersion": "acs-operator.dev/v1beta1", "kind": "CommunicationUser",
            "metadata": {"name": name}, "spec": spec,
        }))?;
        Ok(self.users().create(&PostParams::default(), &object).await?)
    }

    /// Merges a patch into a CommunicationUser.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn patch(&self, name: &str, patch: Value) -> Result<CommunicationUser> {
        Ok(self
            .users()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?)
    }

    /// Asks for the deletion of a CommunicationUser.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.users().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// The CommunicationUser, once it is as wanted.
    ///
    /// # Errors
    /// When it isn't in time, with what it is instead.
    pub async fn until(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&CommunicationUser) -> bool,
    ) -> Result<CommunicationUser> {
        let deadline = Instant::now() + CEILING;
        loop {
            let user = self.users().get_opt(name).await?;
            match user {
                Some(user) if wanted(&user) => return Ok(user),
                user if Instant::now() > deadline => bail!(
                    "{name} is not {what} after {CEILING:?}:\n{}\nlog:\n{}",
                    serde_json::to_string_pretty(&user)?,
                    self.operator.log_tail()
                ),
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// The CommunicationUser, once its Ready condition has this reason.
    ///
    /// # Errors
    /// When it hasn't in time.
    pub async fn until_reason(&self, name: &str, reason: &str) -> Result<CommunicationUser> {
        self.until(name, reason, |user| ready(user).is_some_and(|(_, is)| is == reason))
            .await
    }

    /// Waits until the CommunicationUser is gone.
    ///
    /// # Errors
    /// When it isn't in time.
    pub async fn until_gone(&self, name: &str) -> Result<()> {
        let what = format!("{name} is still there");
        self.eventually(&what, async || Ok(self.users().get_opt(name).await?.is_none()))
            .await
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// When it isn't in time: `otherwise` says what is wrong then.
    pub async fn eventually(&self, otherwise: &str, is_so: impl AsyncFn() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + CEILING;
        while !is_so().await? {
            if Instant::now() > deadline {
                bail!("{otherwise} after {CEILING:?}\nlog:\n{}", self.operator.log_tail());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The values of a Secret as text.
    ///
    /// # Errors
    /// When there is no such Secret.
    pub async fn secret_values(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let data = self.secrets().get(name).await?.data.unwrap_or_default();
        data.into_iter()
            .map(|(key, value)| Ok((key, String::from_utf8(value.0)?)))
            .collect()
    }

    /// The first place where a text holds a token, a key or a signature of this world.
    pub fn leak_in<'a>(&self, text: &'a str) -> Option<&'a str> {
        let keys = [KeySlot::Primary, KeySlot::Secondary].map(|slot| key_text(self.acs(), slot));
        let marks = TELLTALES.iter().copied().chain(keys.iter().map(String::as_str));
        let found = marks.filter_map(|mark| text.find(mark)).min()?;
        let line = text[..found].rfind('\n').map_or(0, |at| at + 1);
        text[line..].lines().next()
    }

    /// Does something while the operator stands still, and lets it go on.
    ///
    /// # Errors
    /// When what is done fails, or the operator is not running.
    pub async fn operator_paused(&self, act: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
        self.operator.signal(Signal::SIGSTOP)?;
        let done = act().await;
        self.operator.signal(Signal::SIGCONT)?;
        done
    }

    /// Waits until the operator has nothing to do: no mutating request for a while that is long compared with what a step
    /// takes. Returns how many there were.
    pub async fn quiet(&self) -> usize {
        let mut before = self.traffic.passed().len();
        let mut since = Instant::now();
        loop {
            sleep(Duration::from_millis(50)).await;
            let now = self.traffic.passed().len();
            if now != before {
                (before, since) = (now, Instant::now());
            } else if since.elapsed() > Duration::from_secs(1) {
                return now;
            }
        }
    }
}

/// The operator logs at trace level in nearly every test, so each test is also a test for leaks, and for panics.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let (log, stdout) = (self.operator.log(), self.operator.stdout());
            for (what, text) in [("log", &log), ("standard output", &stdout)] {
                let leak = self.leak_in(text);
                assert!(leak.is_none(), "the operator wrote a secret into its {what}: {leak:?}");
            }
            let panics = self.operator.panics();
            assert!(
                self.panics_expected || panics.is_empty(),
                "the operator panicked: {panics:#?}"
            );
        }
    }
}

/// How every token begins, plain and in base64, and how every signature is announced.
const TELLTALES: [&str; 3] = ["eyJhbGciOi", "ZXlKaGJHY2lPaU", "&Signature="];

fn key_text(acs: &Control, slot: KeySlot) -> String {
    let connection_string = acs.connection_string_with(slot);
    connection_string
        .split_once("accesskey=")
        .map_or(connection_string.clone(), |(_, key)| key.to_owned())
}

/// Status and reason of the Ready condition.
pub fn ready(user: &CommunicationUser) -> Option<(String, String)> {
    let condition = ConditionType::Ready.find(&user.status.as_ref()?.conditions)?;
    Some((condition.status.clone(), condition.reason.clone()))
}

/// The identity id that status records.
pub fn identity(user: &CommunicationUser) -> Option<String> {
    user.status.as_ref()?.identity.as_ref()?.id.clone()
}

/// A client for a server without authentication, such as the emulator (which looks at the signature that passes through).
fn plain_client(url: &str) -> Result<Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = kube::Config::new(url.parse()?);
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// The same key at another endpoint.
fn behind(url: &str, connection_string: &str) -> Result<String> {
    let key = connection_string
        .split(';')
        .find(|part| part.starts_with("accesskey="))
        .context("no key")?;
    Ok(format!("endpoint={url};{key}"))
}
