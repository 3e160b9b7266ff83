//! A real Kubernetes API server, etcd and a few controllers on the loopback interface.

use std::{
    env,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::{sync::OnceCell, task, time};

use crate::process::is_running;

/// Names the control plane binary to use instead of the one that `make controlplane` builds.
const BINARY: &str = "ACS_TEST_CONTROLPLANE";

/// How long the definitions may take to be served after they were applied. Usually well under a second.
const SERVED_WITHIN: Duration = Duration::from_mins(1);

/// Lists of all objects of each kind.
const KINDS_PATHS: [&str; 3] = [
    "/apis/acs-operator.dev/v1beta1/communicationusers",
    "/apis/acs-operator.dev/v1beta1/communicationconnections",
    "/apis/acs-operator.dev/v1beta1/clustercommunicationconnections",
];

/// A control plane that runs as long as this value lives, or this process for the [shared](Self::shared) one.
///
/// Each test has a tokio runtime of its own, and a [`Client`] belongs to the runtime that made it. So tests share the
/// control plane and make their own client.
pub struct ControlPlane {
    kubeconfig: PathBuf,
    server: String,
    version: String,
    kubectl: PathBuf,
    crds: OnceCell<()>,
    child: Child,
    /// The child ends when this pipe does, however this process ends.
    lifeline: Option<ChildStdin>,
    /// Kept so that the child never writes into a closed pipe.
    _stdout: BufReader<ChildStdout>,
}

impl ControlPlane {
    /// The one control plane of this process, started when it is first asked for, with the definitions of all kinds served.
    ///
    /// # Errors
    /// When it cannot be started, each time; the error says what to do.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::start().map_err(|error| format!("{error:#}")));
        let control_plane = shared.as_ref().map_err(|error| anyhow!("{error}"))?;
        control_plane
            .crds
            .get_or_try_init(|| control_plane.install_crds())
            .await?;
        Ok(control_plane)
    }

    /// Starts a control plane without definitions, for tests that change what all tests share. Takes a few seconds.
    ///
    /// # Errors
    /// When the binary is missing or ends before it is ready.
    pub fn start() -> Result<Self> {
        let binary = binary()?;
        let mut child = Command::new(&binary)
            .arg("--exit-with-stdin")
            // Ctrl-C in a terminal ends this process, and that ends the control plane.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let lifeline = child.stdin.take();
        let mut stdout = BufReader::new(
            child
                .stdout
                .take()
                .context("the control plane has no standard output")?,
        );
        let ready = ready(&mut stdout).context("the control plane ended before it was ready")?;
        Ok(Self {
            kubeconfig: ready.kubeconfig,
            server: ready.server,
            version: ready.version,
            kubectl: binary.with_file_name("kubectl"),
            crds: OnceCell::new(),
            child,
            lifeline,
            _stdout: stdout,
        })
    }

    /// Kubeconfig of the administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The kubectl that belongs to this control plane.
    pub fn kubectl_program(&self) -> &Path {
        &self.kubectl
    }

    /// Where the API server listens.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The version of Kubernetes.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where kubectl keeps what it knows of this API server: beside the kubeconfig, because another control plane may
    /// have had this port before.
    pub fn kubectl_cache(&self) -> PathBuf {
        self.kubeconfig.with_file_name("kubectl-cache")
    }

    /// Whether it is running.
    pub fn is_running(&self) -> bool {
        is_running(self.child.id())
    }

    /// A client of the administrator, for the runtime that calls.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub async fn client(&self) -> Result<Client> {
        self.client_acting(None).await
    }

    /// A client that acts as this user, who has the rights that are bound to that name.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub async fn client_as(&self, user: &str) -> Result<Client> {
        self.client_acting(Some(user.to_owned())).await
    }

    async fn client_acting(&self, user: Option<String>) -> Result<Client> {
        // A second call finds a provider installed, which is what it wants.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).context("read the kubeconfig of the control plane")?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.auth_info.impersonate = user;
        Ok(Client::try_from(config)?)
    }

    /// Creates a namespace whose name begins with `prefix` and is used by nobody else.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let namespaces: Api<Namespace> = Api::all(self.client().await?);
        let wanted = serde_json::from_value(json!({"metadata": {"generateName": format!("{prefix}-")}}))?;
        let created = namespaces.create(&PostParams::default(), &wanted).await?;
        created.metadata.name.context("the API server named no namespace")
    }

    /// Runs kubectl as the administrator and returns what it printed.
    ///
    /// # Errors
    /// When kubectl fails, with what it printed on standard error.
    pub fn kubectl<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        let mut command = self.kubectl_command();
        command.args(arguments);
        printed(command)
    }

    /// The same while the runtime does other things.
    ///
    /// # Errors
    /// When kubectl fails.
    pub async fn kubectl_meanwhile(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.kubectl_command();
        command.args(arguments);
        task::spawn_blocking(|| printed(command)).await?
    }

    /// kubectl as the administrator, without arguments.
    pub(crate) fn kubectl_command(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.kubectl_cache())
            .stdin(Stdio::null());
        command
    }

    /// Applies the definitions under `crds/` and waits until each kind is served.
    ///
    /// # Errors
    /// When the API server refuses them or does not serve them in time.
    pub async fn install_crds(&self) -> Result<()> {
        let directory = workspace().join("crds");
        self.kubectl(["apply", "--server-side", "-f", &directory.to_string_lossy()])?;
        self.kubectl(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])?;
        // Established comes a moment before the first request is served, and before discovery, which kubectl keeps, knows.
        let served = async {
            while !self.serves_all_kinds() {
                time::sleep(Duration::from_millis(100)).await;
            }
        };
        time::timeout(SERVED_WITHIN, served)
            .await
            .context("the API server does not serve the kinds")
    }

    fn serves_all_kinds(&self) -> bool {
        let discovered = self.kubectl(["api-resources", "--cached=false", "--categories=acs", "--output=name"]);
        discovered.is_ok_and(|names| names.lines().count() == KINDS_PATHS.len())
            && KINDS_PATHS
                .iter()
                .all(|path| self.kubectl(["get", "--raw", path]).is_ok())
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // It stops its own children, so that nothing is left when this returns. A failed wait has nobody to tell.
        let _ = self.child.wait();
    }
}

/// The directory of the workspace, two above this crate's.
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// What a kubectl prints.
fn printed(mut command: Command) -> Result<String> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    let Output { status, stdout, stderr } = output;
    ensure!(
        status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&stderr).trim()
    );
    Ok(String::from_utf8(stdout)?)
}

/// The control plane in the build directory that the running program is in, or where the environment says.
fn binary() -> Result<PathBuf> {
    #[allow(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
    if let Some(path) = env::var_os(BINARY).map(PathBuf::from) {
        ensure!(path.is_file(), "{BINARY} names {}, which is no file", path.display());
        return Ok(path);
    }
    let program = env::current_exe().context("find the running program")?;
    program
        .ancestors()
        .map(|directory| directory.join("controlplane/controlplane"))
        .find(|path| path.is_file())
        .with_context(|| {
            let above = program.display();
            format!("there is no controlplane/controlplane in a directory above {above}: run `make controlplane`, or let {BINARY} name the binary")
        })
}

/// What a control plane says of itself when it is ready.
struct Ready {
    kubeconfig: PathBuf,
    server: String,
    version: String,
}

/// Waits for the line `ready kubeconfig=… server=… version=…`.
fn ready(stdout: &mut impl BufRead) -> Option<Ready> {
    let line = stdout
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with("ready "))?;
    let value = |name| {
        let mut words = line.split_whitespace().filter_map(|word| word.split_once('='));
        words.find(|(is, _)| *is == name).map(|(_, value)| value.to_owned())
    };
    Some(Ready {
        kubeconfig: value("kubeconfig")?.into(),
        server: value("server")?,
        version: value("version")?,
    })
}
