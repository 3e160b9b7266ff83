//! The operator as a child process.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::process::Process;

/// How to start an operator.
pub struct OperatorSettings {
    /// The binary.
    pub binary: PathBuf,
    /// The kubeconfig with the account that it runs under.
    pub kubeconfig: PathBuf,
    /// The connection string of its environment.
    pub connection_string: Option<String>,
    /// More arguments.
    pub arguments: Vec<String>,
}

/// A running operator. Dropping it kills it; its log goes too.
pub struct Operator {
    process: Process,
    settings: OperatorSettings,
    logs: TempDir,
    starts: u32,
}

/// How long it may take until it serves. Usually well under a second.
const READY_WITHIN: Duration = Duration::from_mins(1);

impl Operator {
    /// Starts an operator that logs at trace level, without waiting until it is ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(settings: OperatorSettings) -> Result<Self> {
        let logs = TempDir::with_prefix("acs-operator-")?;
        let process = spawn(&settings, &log_path(logs.path(), 1))?;
        Ok(Self {
            process,
            settings,
            logs,
            starts: 1,
        })
    }

    /// Starts it again, after it was killed or stopped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill();
        self.starts += 1;
        self.process = spawn(&self.settings, &log_path(self.logs.path(), self.starts))?;
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

    /// Everything that it wrote since the first start.
    pub fn log(&self) -> String {
        let of = |start| fs::read_to_string(log_path(self.logs.path(), start)).unwrap_or_default();
        (1..=self.starts).map(of).collect()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The end of its log, for messages.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().filter(|line| !line.contains("\"TRACE\"")).collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Where its admin port listens, which it says in its log.
    fn admin_address(&self) -> Result<String> {
        let log = fs::read_to_string(log_path(self.logs.path(), self.starts))?;
        let mut addresses = log.lines().filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(
                line["fields"]["admin"]
                    .as_str()
                    .or_else(|| line["admin"].as_str())?
                    .to_owned(),
            )
        });
        addresses
            .next()
            .context("the operator has not said where its admin port is")
    }
}

fn log_path(directory: &Path, start: u32) -> PathBuf {
    directory.join(format!("operator-{start}.log"))
}

fn spawn(settings: &OperatorSettings, log: &Path) -> Result<Process> {
    let mut command = Command::new(&settings.binary);
    command
        .args([
            "run",
            "--admin-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--log-level",
            "trace",
        ])
        .arg("--allow-insecure-endpoints")
        .args(&settings.arguments)
        .env_clear()
        .env("KUBECONFIG", &settings.kubeconfig)
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(log)?);
    if let Some(connection_string) = &settings.connection_string {
        command.env("COMMUNICATION_SERVICES_CONNECTION_STRING", connection_string);
    }
    Process::spawn("the operator", command)
}
