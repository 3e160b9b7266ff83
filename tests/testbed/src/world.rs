//! One namespace, one emulator and one operator that serves both, on the shared control plane.

use std::{collections::BTreeSet, ops::Deref, path::PathBuf, sync::OnceLock, time::Duration};

use acs_emulator::{Call, Config, Control, KeySlot};
use acs_operator::api::{ClusterCommunicationConnection, CommunicationUser};
use anyhow::{Result, anyhow};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{
    ControlPlane, Gate, Operator, OperatorLog, OperatorSettings, Place, Replica, Resource, Traffic, account,
    gate::KUBERNETES,
    place::{Credentials, created},
};

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
    /// More of the operator's environment, such as proxies.
    pub environment: Vec<(String, String)>,
    /// The namespace that the default connection serves, if not this world's.
    pub served_namespace: Option<String>,
    /// Whether the operator has a connection string.
    pub connected: bool,
    /// What the operator logs.
    pub log: OperatorLog,
    /// How many more namespaces the operator watches.
    pub neighbours: usize,
    /// Whether the operator serves a whole cluster, one of its own: for what it does only then.
    pub cluster_wide: bool,
}

impl WorldSettings {
    /// A world with the documented defaults.
    pub fn new(operator: impl Into<PathBuf>) -> Self {
        Self {
            operator: operator.into(),
            emulator: Config::default(),
            arguments: Vec::new(),
            environment: Vec::new(),
            served_namespace: None,
            connected: true,
            log: OperatorLog::Everything,
            neighbours: 0,
            cluster_wide: false,
        }
    }
}

const LEASE_DURATION: &str = "--lease-duration=";

/// An API server that many tests keep busy may leave a renewal of the Lease unanswered for longer than a leader bears by default.
const PATIENT: &str = "60s";

/// The control plane of a world.
pub enum Plane {
    /// The one that all tests share.
    Shared(&'static ControlPlane),
    /// One of its own.
    Own(Box<ControlPlane>),
}

impl Deref for Plane {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        match self {
            Self::Shared(control_plane) => control_plane,
            Self::Own(control_plane) => control_plane,
        }
    }
}

impl Plane {
    async fn shared() -> Result<Self> {
        let control_plane = ControlPlane::shared().await?;
        let installed = MANIFESTS.get_or_init(|| prepare(control_plane).map_err(|e| format!("{e:#}")));
        installed.as_ref().map_err(|error| anyhow!("{error}"))?;
        Ok(Self::Shared(control_plane))
    }

    async fn own() -> Result<Self> {
        let control_plane = ControlPlane::start()?;
        control_plane.install_crds().await?;
        prepare(&control_plane)?;
        Ok(Self::Own(Box::new(control_plane)))
    }
}

fn prepare(control_plane: &ControlPlane) -> Result<()> {
    control_plane.install_manifests()?;
    control_plane.allow_leases_everywhere()
}

/// See the module's page. What people do in its namespace is on [`Place`], to which it dereferences.
pub struct World {
    /// The control plane.
    pub control_plane: Plane,
    /// The operator.
    pub operator: Operator,
    /// The operator's mutating requests.
    pub traffic: Traffic,
    /// The ACS resource of the operator's connection string, if it has one.
    pub resource: Resource,
    /// More namespaces that the operator watches.
    pub neighbours: Vec<Place>,
    /// Whether the operator may panic. Usually a panic fails the test.
    pub panics_expected: bool,
    /// The operator's way to the API server.
    pub gate: Gate,
    /// Where the operator lives, and its Lease: where the manifests have it, or, where many share a control plane, in the world's
    /// namespace.
    pub own_namespace: String,
    home: Place,
    credentials: Credentials,
    binary: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    connected: bool,
    files: TempDir,
}

impl Deref for World {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.home
    }
}

impl World {
    /// Sets up a world whose operator is ready.
    ///
    /// # Errors
    /// When any part of it can't be had.
    pub async fn start(settings: WorldSettings) -> Result<Self> {
        let control_plane = if settings.cluster_wide {
            Plane::own().await?
        } else {
            Plane::shared().await?
        };
        let namespace = control_plane.namespace("world").await?;
        let mut neighbours = Vec::new();
        for _ in 0..settings.neighbours {
            neighbours.push(control_plane.namespace("neighbour").await?);
        }
        let own_namespace = match &control_plane {
            Plane::Own(_) => account::OPERATOR_NAMESPACE.to_owned(),
            Plane::Shared(_) => namespace.clone(),
        };
        let traffic = Traffic::new();
        let resource = Resource::start(settings.emulator, traffic.clone()).await?;
        let gate = Gate::open(KUBERNETES, control_plane.operator_client().await?, traffic.clone()).await?;
        let files = TempDir::with_prefix("acs-world-")?;
        let kubeconfig = files.path().join("kubeconfig");
        account::write_kubeconfig(&kubeconfig, &gate.url())?;
        let mut arguments = Vec::new();
        if !settings.cluster_wide {
            let watched = [&namespace].into_iter().chain(&neighbours);
            let watched: Vec<_> = watched.map(String::as_str).collect();
            arguments.push(format!("--watch-namespaces={}", watched.join(",")));
        }
        if settings.connected {
            let served = settings.served_namespace.as_ref().unwrap_or(&namespace);
            arguments.push(format!("--default-connection-namespaces={served}"));
        }
        if !settings
            .arguments
            .iter()
            .any(|argument| argument.starts_with(LEASE_DURATION))
        {
            arguments.push(format!("{LEASE_DURATION}{PATIENT}"));
        }
        arguments.extend(settings.arguments);
        let mut operator = Operator::start(OperatorSettings {
            binary: settings.operator.clone(),
            kubeconfig,
            namespace: Some(own_namespace.clone()),
            connection_string: settings.connected.then(|| resource.connects(KeySlot::Primary)),
            arguments: arguments.clone(),
            environment: settings.environment.clone(),
            log: settings.log,
        })?;
        operator.frees_lease(control_plane.lease_deletion(&own_namespace));
        operator.ready().await?;

        let client = control_plane.client().await?;
        let credentials = Credentials::default();
        let place = |namespace| Place::new(client.clone(), namespace, operator.logs(), credentials.clone());
        Ok(Self {
            home: place(namespace),
            neighbours: neighbours.into_iter().map(place).collect(),
            control_plane,
            operator,
            traffic,
            resource,
            panics_expected: false,
            gate,
            own_namespace,
            credentials,
            binary: settings.operator,
            arguments,
            environment: settings.environment,
            connected: settings.connected,
            files,
        })
    }

    /// Starts another replica of the operator, with these arguments besides, and does not wait until it is ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn another_replica(&self, arguments: &[&str]) -> Result<Replica> {
        let traffic = Traffic::new();
        let client = self.control_plane.operator_client().await?;
        let gate = Gate::open(KUBERNETES, client, traffic.clone()).await?;
        let port = gate.url().rsplit(':').next().unwrap_or_default().to_owned();
        let kubeconfig = self.files.path().join(format!("kubeconfig-{port}"));
        account::write_kubeconfig(&kubeconfig, &gate.url())?;
        let more = arguments.iter().map(|argument| (*argument).to_owned());
        let operator = Operator::start(OperatorSettings {
            binary: self.binary.clone(),
            kubeconfig,
            namespace: Some(self.own_namespace.clone()),
            connection_string: self.connected.then(|| self.resource.connects(KeySlot::Primary)),
            arguments: self.arguments.iter().cloned().chain(more).collect(),
            environment: self.environment.clone(),
            log: OperatorLog::Everything,
        })?;
        Ok(Replica {
            operator,
            traffic,
            gate,
            secrets: self.secrets_known(),
        })
    }

    /// The state and faults of the resource of the operator's connection string.
    pub fn acs(&self) -> &Control {
        &self.resource
    }

    /// The calls that its users needed, oldest first: a connection proves itself besides, whenever it is time to.
    pub fn calls(&self) -> Vec<Call> {
        self.resource.work_since(0)
    }

    /// Those after the one with this number.
    pub fn calls_since(&self, seq: u64) -> Vec<Call> {
        self.resource.work_since(seq)
    }

    /// Starts another ACS resource, whose calls are counted with the others.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn another_resource(&self) -> Result<Resource> {
        self.resource_with(Config::default()).await
    }

    /// The same with an emulator of another kind.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn resource_with(&self, emulator: Config) -> Result<Resource> {
        Resource::start(emulator, self.traffic.clone()).await
    }

    /// A new namespace, for an operator that watches them all.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn new_place(&self) -> Result<Place> {
        let namespace = self.control_plane.namespace("place").await?;
        let client = self.client.clone();
        Ok(Place::new(
            client,
            namespace,
            self.operator.logs(),
            self.credentials.clone(),
        ))
    }

    /// The same namespace, as somebody acts in it to whom this `ClusterRole` is bound there, and nothing anywhere else.
    ///
    /// # Errors
    /// When the API server refuses the binding, or it takes no effect.
    pub async fn tenant(&self, place: &Place, role: &str) -> Result<Place> {
        let namespace = &place.namespace;
        let user = format!("{role}-of-{namespace}");
        let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), namespace);
        let binding = serde_json::from_value(json!({
            "metadata": {"name": user},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }))?;
        bindings.create(&PostParams::default(), &binding).await?;
        let client = self.control_plane.client_as(&user).await?;
        let tenant = Place::new(
            client,
            namespace.clone(),
            self.operator.logs(),
            self.credentials.clone(),
        );
        // The authorizer learns of a binding by a watch.
        let is_bound = async || Ok(tenant.users().list(&ListParams::default()).await.is_ok());
        tenant.eventually("the binding takes no effect", is_bound).await?;
        Ok(tenant)
    }

    /// The ClusterCommunicationConnections of the control plane.
    pub fn cluster_connections(&self) -> Api<ClusterCommunicationConnection> {
        Api::all(self.client.clone())
    }

    /// Creates a ClusterCommunicationConnection with this spec.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn connect_cluster(&self, name: &str, spec: Value) -> Result<ClusterCommunicationConnection> {
        created(
            &self.cluster_connections(),
            "ClusterCommunicationConnection",
            name,
            spec,
        )
        .await
    }

    /// The first place where a text holds a token, a key or a signature of this world.
    pub fn leak_in<'a>(&self, text: &'a str) -> Option<&'a str> {
        leak_in(text, &self.secrets_known())
    }

    /// Every key of this world.
    fn secrets_known(&self) -> BTreeSet<String> {
        let mut keys = self.credentials.all();
        keys.extend([KeySlot::Primary, KeySlot::Secondary].map(|slot| self.resource.key(slot)));
        keys
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

/// The operator logs at trace level in nearly every test, so each test is also a test for leaks, and for panics. What it
/// wrote to the API server and its metrics are looked through as well.
impl Drop for World {
    fn drop(&mut self) {
        let told = self.traffic.told();
        assert_clean(&self.operator, &told, &self.secrets_known(), self.panics_expected);
    }
}

/// Unless the test has failed anyway.
pub(crate) fn assert_clean(operator: &Operator, told: &str, secrets: &BTreeSet<String>, panics_expected: bool) {
    if std::thread::panicking() {
        return;
    }
    let (log, stdout) = (operator.log(), operator.stdout());
    let metrics = operator.metrics().unwrap_or_default();
    let places = [
        ("log", log.as_str()),
        ("standard output", &stdout),
        ("statuses, annotations or events", told),
        ("metrics", &metrics),
    ];
    for (what, text) in places {
        let leak = leak_in(text, secrets);
        assert!(leak.is_none(), "the operator wrote a secret into its {what}: {leak:?}");
    }
    let panics = operator.panics();
    assert!(
        panics_expected || panics.is_empty(),
        "the operator panicked: {panics:#?}"
    );
}

/// The first line that holds a token, a signature or one of these keys.
fn leak_in<'a>(text: &'a str, keys: &BTreeSet<String>) -> Option<&'a str> {
    let marks = TELLTALES.iter().copied().chain(keys.iter().map(String::as_str));
    let found = marks.filter_map(|mark| text.find(mark)).min()?;
    let line = text[..found].rfind('\n').map_or(0, |at| at + 1);
    text[line..].lines().next()
}

/// How every token begins, plain and in base64, and how every signature is announced.
const TELLTALES: [&str; 3] = ["eyJhbGciOi", "ZXlKaGJHY2lPaU", "&Signature="];

/// The identity id that status records.
pub fn identity(user: &CommunicationUser) -> Option<String> {
    user.status.as_ref()?.identity.as_ref()?.id.clone()
}
