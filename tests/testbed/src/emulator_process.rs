//! The emulator as a child process, and its admin API.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
    process::{ChildStdout, Command, ExitStatus, Stdio},
    time::Duration,
};

use acs_emulator::{AccessKey, KeySlot};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::{task, time::timeout};

use crate::process::Process;

/// How long it may take until it serves. Usually a few milliseconds.
const SERVES_WITHIN: Duration = Duration::from_secs(30);

/// A running emulator. Dropping it kills it.
pub struct EmulatorProcess {
    process: Process,
    announced: Announced,
}

/// What it says on standard output.
struct Announced {
    admin_url: String,
    connection_string: String,
}

/// What the emulator says of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it would be accepted now.
    pub valid: bool,
    /// The reason, in a sentence.
    pub explanation: String,
}

/// A call that the emulator was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSeen {
    /// The emulator's name of what was asked for.
    pub operation: String,
    /// SHA-256 of the token that it issued, in lower-case hexadecimal.
    pub token_sha256: Option<String>,
}

impl EmulatorProcess {
    /// Starts an emulator on free ports and waits until it serves. It makes its own keys.
    ///
    /// # Errors
    /// When it cannot be started, or ends or says nothing instead of serving.
    pub async fn start(binary: &Path, arguments: &[&str], log: &Path) -> Result<Self> {
        let mut command = Command::new(binary);
        command
            .args(["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"])
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?);
        let mut process = Process::spawn("the emulator", command)?;
        let stdout = process.take_stdout().context("the emulator has no standard output")?;
        let announced = timeout(SERVES_WITHIN, task::spawn_blocking(|| announced(stdout)))
            .await
            .with_context(|| format!("the emulator does not serve within {SERVES_WITHIN:?}"))??
            .with_context(|| {
                let log = fs::read_to_string(log).unwrap_or_default();
                format!("the emulator ended before it served:\n{log}")
            })?;
        Ok(Self { process, announced })
    }

    /// The way in for its clients. It holds the key.
    pub fn connection_string(&self) -> &str {
        &self.announced.connection_string
    }

    /// Where its admin API is, with a slash at the end.
    pub fn admin_url(&self) -> &str {
        &self.announced.admin_url
    }

    /// The ids of the identities that are alive.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn identities(&self) -> Result<Vec<String>> {
        let state = self.get("state").await?;
        let identities = state["identities"].as_array().context("no identities")?;
        Ok(identities.iter().map(|identity| text(&identity["id"])).collect())
    }

    /// What was called about an identity, oldest first.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn calls_about(&self, identity: &str) -> Result<Vec<CallSeen>> {
        let calls = self.get("calls").await?;
        let calls = calls["calls"].as_array().context("no calls")?;
        let about = calls.iter().filter(|call| call["identity"] == identity);
        let seen = about.map(|call| CallSeen {
            operation: text(&call["operation"]),
            token_sha256: call["tokenSha256"].as_str().map(str::to_owned),
        });
        Ok(seen.collect())
    }

    /// Whether it accepts a token.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn judge(&self, token: &str) -> Result<Verdict> {
        let url = format!("{}tokens/validate", self.admin_url());
        let body = json!({"token": token});
        let answer = reqwest::Client::new().post(url).json(&body).send().await?;
        let verdict: Value = answer.error_for_status()?.json().await?;
        Ok(Verdict {
            valid: verdict["state"] == "valid",
            explanation: text(&verdict["explanation"]),
        })
    }

    /// Replaces an access key, as regenerating it in Azure does.
    ///
    /// # Errors
    /// When it does not answer, or refuses the key.
    pub async fn replace_key(&self, slot: KeySlot, key: &AccessKey) -> Result<()> {
        let slot = match slot {
            KeySlot::Primary => "primary",
            KeySlot::Secondary => "secondary",
        };
        let url = format!("{}keys/{slot}", self.admin_url());
        let body = json!({"key": key.text()});
        let answer = reqwest::Client::new().put(url).json(&body).send().await?;
        answer.error_for_status()?;
        Ok(())
    }

    /// Whether it is running.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Asks it to end with SIGTERM, and waits for that.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self, within: Duration) -> Result<ExitStatus> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.ended(within).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let answer = reqwest::get(format!("{}{path}", self.admin_url())).await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Waits for both lines. `None`: it ended without them.
fn announced(stdout: ChildStdout) -> Option<Announced> {
    let mut admin_url = None;
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        match line.split_once('=')? {
            ("ACS_EMULATOR_ADMIN_URL", url) => admin_url = Some(url.to_owned()),
            ("COMMUNICATION_SERVICES_CONNECTION_STRING", connection_string) => {
                return Some(Announced {
                    admin_url: admin_url?,
                    connection_string: connection_string.to_owned(),
                });
            }
            _ => {}
        }
    }
    None
}
