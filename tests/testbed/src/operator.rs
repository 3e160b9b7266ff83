//! The operator as a child process.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::process::Process;

/// So soon its admin port answers, if it does.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// How to start an operator.
pub struct OperatorSettings {
    /// The binary.
    pub binary: PathBuf,
    /// The kubeconfig with the account that it runs under.
    pub kubeconfig: PathBuf,
    /// Its own namespace, if not that of the kubeconfig.
    pub namespace: Option<String>,
    /// The connection string of its environment.
    pub connection_string: Option<String>,
    /// More arguments.
    pub arguments: Vec<String>,
    /// More of its environment, such as proxies.
    pub environment: Vec<(String, String)>,
    /// What it logs.
    pub log: OperatorLog,
}

/// What an operator logs, and where.
pub enum OperatorLog {
    /// At trace level, as JSON, in files that go with the operator.
    Everything,
    /// At the documented default level, as text, in files of this directory.
    Readable(PathBuf),
}

/// A running operator. Dropping it kills it; a log of [everything](OperatorLog::Everything) goes too.
pub struct Operator {
    process: Process,
    settings: OperatorSettings,
    logs: OperatorLogs,
    free_lease: Option<FreeLease>,
    _temporary: Option<TempDir>,
}

/// Lets nobody wait for the lease of an operator that is dead.
pub(crate) type FreeLease = Box<dyn Fn() -> Result<()> + Send + Sync>;

/// What an operator wrote, since its first start. Clones read the same files.
#[derive(Clone)]
pub struct OperatorLogs {
    directory: PathBuf,
    starts: Arc<AtomicU32>,
}

impl OperatorLogs {
    /// All of it.
    pub fn text(&self) -> String {
        self.of_all_starts(|start| log_path(&self.directory, start))
    }

    /// The end of it, for messages.
    pub fn tail(&self) -> String {
        let log = self.text();
        let lines: Vec<_> = log.lines().filter(|line| !line.contains("\"TRACE\"")).collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn starts(&self) -> u32 {
        self.starts.load(Ordering::Relaxed)
    }

    fn of_all_starts(&self, path: impl Fn(u32) -> PathBuf) -> String {
        let of = |start| fs::read_to_string(path(start)).unwrap_or_default();
        (1..=self.starts()).map(of).collect()
    }
}

/// How long it may take until it serves. Usually well under a second.
const READY_WITHIN: Duration = Duration::from_mins(1);

impl Operator {
    /// Starts an operator, without waiting until it is ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(settings: OperatorSettings) -> Result<Self> {
        let (logs, temporary) = match &settings.log {
            OperatorLog::Readable(directory) => (directory.clone(), None),
            OperatorLog::Everything => {
                let directory = TempDir::with_prefix("acs-operator-")?;
                (directory.path().to_owned(), Some(directory))
            }
        };
        let logs = OperatorLogs {
            directory: logs,
            starts: Arc::new(AtomicU32::new(1)),
        };
        Ok(Self {
            process: spawn(&settings, &logs)?,
            settings,
            logs,
            free_lease: None,
            _temporary: temporary,
        })
    }

    pub(crate) fn frees_lease(&mut self, free: FreeLease) {
        self.free_lease = Some(free);
    }

    /// Starts it again, after it was killed or stopped. As whoever knows that it is dead may do, its lease is deleted, so that the new one
    /// does not wait for its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill();
        if let Some(free) = &self.free_lease {
            free()?;
        }
        self.logs.starts.fetch_add(1, Ordering::Relaxed);
        self.process = spawn(&self.settings, &self.logs)?;
        Ok(())
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// When it ends or is not ready in time, with the end of its log.
    pub async fn ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if !self.process.is_running() {
                bail!("the operator ended before it was ready:\n{}", self.log_tail());
            }
            if self.get("/readyz").await.is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        bail!(
            "the operator is not ready within {READY_WITHIN:?}:\n{}",
            self.log_tail()
        )
    }

    /// Waits until its admin port answers a path with this status and words.
    ///
    /// # Errors
    /// When it doesn't in time.
    pub async fn answers(&self, path: &str, status: u16, words: &str) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let answer = self.get(path).await;
            match &answer {
                Ok((is, text)) if *is == status && text.contains(words) => return Ok(()),
                _ if Instant::now() > deadline => bail!("{path} is not {status} {words}: {answer:?}"),
                _ => tokio::time::sleep(Duration::from_millis(25)).await,
            }
        }
    }

    /// Asks its admin port.
    ///
    /// # Errors
    /// When it does not listen (yet).
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        let url = format!("http://{}{path}", self.admin_address()?);
        let answer = reqwest::get(url).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// The value of a metric without labels or with exactly these, `name{label="value"}`.
    ///
    /// # Errors
    /// When there is no such metric.
    pub async fn metric(&self, series: &str) -> Result<f64> {
        let (_, text) = self.get("/metrics").await?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = line.with_context(|| format!("no series {series} in:\n{text}"))?;
        Ok(value.trim().parse()?)
    }

    /// Its metrics, without a runtime to wait on; `None`: it does not answer.
    pub fn metrics(&self) -> Option<String> {
        let address = self.admin_address().ok()?.parse().ok()?;
        let mut stream = TcpStream::connect_timeout(&address, ANSWERS_WITHIN).ok()?;
        stream.set_read_timeout(Some(ANSWERS_WITHIN)).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end with SIGTERM, and waits for that.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self, within: Duration) -> Result<ExitStatus> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.ended(within).await
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        self.process.ended(within).await
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is not running.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Everything that it wrote since the first start.
    pub fn log(&self) -> String {
        self.logs.text()
    }

    /// The same, for who outlives a borrow of it.
    pub fn logs(&self) -> OperatorLogs {
        self.logs.clone()
    }

    /// What it wrote to standard output since the first start, where it logs [everything](OperatorLog::Everything).
    pub fn stdout(&self) -> String {
        self.logs
            .of_all_starts(|start| stdout_path(&self.logs.directory, start))
    }

    /// The lines of its log that tell of a panic.
    pub fn panics(&self) -> Vec<String> {
        let told = |line: &&str| line.contains("\"message\":\"panic: ") || line.contains("panicked at");
        self.log().lines().filter(told).map(str::to_owned).collect()
    }

    /// Where the log of the last start is.
    pub fn log_path(&self) -> PathBuf {
        log_path(&self.logs.directory, self.logs.starts())
    }

    /// Whether it is running.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The end of its log, for messages.
    pub fn log_tail(&self) -> String {
        self.logs.tail()
    }

    /// Where its admin port listens, which it says in its log.
    ///
    /// # Errors
    /// When it has not said so yet.
    pub fn admin_address(&self) -> Result<String> {
        let log = fs::read_to_string(self.log_path())?;
        log.lines()
            .find_map(admin_address_in)
            .context("the operator has not said where its admin port is")
    }
}

/// The address in a line of a log, of either format.
fn admin_address_in(line: &str) -> Option<String> {
    let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else {
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("admin="));
        return address.map(str::to_owned);
    };
    let address = line["fields"]["admin"].as_str().or_else(|| line["admin"].as_str());
    address.map(str::to_owned)
}

fn log_path(directory: &Path, start: u32) -> PathBuf {
    directory.join(format!("operator-{start}.log"))
}

fn stdout_path(directory: &Path, start: u32) -> PathBuf {
    directory.join(format!("operator-{start}.stdout"))
}

fn spawn(settings: &OperatorSettings, logs: &OperatorLogs) -> Result<Process> {
    let (logs, start) = (&logs.directory, logs.starts());
    let mut command = Command::new(&settings.binary);
    command
        .args(["run", "--admin-listen=127.0.0.1:0"])
        .args(spoken_to_emulators(&settings.arguments))
        .args(&settings.arguments)
        .env_clear()
        .env("KUBECONFIG", &settings.kubeconfig)
        .env("RUST_BACKTRACE", "1")
        .envs(settings.environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(log_path(logs, start))?);
    if matches!(settings.log, OperatorLog::Everything) {
        command
            .args(["--log-format=json", "--log-level=trace"])
            .stdout(fs::File::create(stdout_path(logs, start))?);
    }
    if let Some(namespace) = &settings.namespace {
        command.env("POD_NAMESPACE", namespace);
    }
    if let Some(connection_string) = &settings.connection_string {
        command.env("COMMUNICATION_SERVICES_CONNECTION_STRING", connection_string);
    }
    Process::spawn("the operator", command)
}

/// Emulators speak http, so that is allowed unless the arguments say otherwise.
fn spoken_to_emulators(arguments: &[String]) -> Option<&'static str> {
    const FLAG: &str = "--allow-insecure-endpoints";
    let is_said = arguments.iter().any(|argument| argument.starts_with(FLAG));
    (!is_said).then_some(FLAG)
}
