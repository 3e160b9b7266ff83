//! The processes that the story is about, and questions to them.

use std::{env, path::PathBuf, time::Duration};

use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{ControlPlane, EmulatorProcess, Operator};
use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::time::{Instant, sleep};

use crate::{screen::Screen, shell::Shell};

/// The namespace of the samples.
pub const NAMESPACE: &str = "contact-center";

/// How long the demo waits for anything that the operator has to do. The longest is a renewal, which takes twenty seconds.
const CEILING: Duration = Duration::from_mins(1);

/// How long a process may take to end after SIGTERM. Usually some milliseconds.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// Everything that runs. Dropping it ends all of it, the operator first.
pub struct Stage<'a> {
    pub screen: &'a Screen,
    pub shell: Shell,
    pub client: Client,
    pub operator: Operator,
    pub emulator: EmulatorProcess,
    pub control_plane: ControlPlane,
}

impl Stage<'_> {
    /// Shows a command, runs it and shows what it printed.
    pub async fn run(&self, line: &str) -> Result<()> {
        self.shell.run(self.screen, line).await
    }

    /// Text below or above a command.
    pub fn say(&self, text: &str) -> Result<()> {
        self.screen.say(text)
    }

    /// The CommunicationUsers of the samples.
    pub fn users(&self) -> Api<CommunicationUser> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// The Secrets of the samples.
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Waits until something is found. `what` completes the sentence "no … within a minute".
    ///
    /// # Errors
    /// When it isn't in time, or one of the processes ended.
    pub async fn until<T>(&self, what: &str, find: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
        let deadline = Instant::now() + CEILING;
        loop {
            if let Some(found) = find().await? {
                return Ok(found);
            }
            self.all_running()?;
            if Instant::now() > deadline {
                bail!("no {what} within {} s", CEILING.as_secs());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// What went wrong, and what the operator said before.
    pub fn with_log(&self, error: &Error) -> Error {
        anyhow!(
            "{error:#}\n\nThe log of the operator ends with\n{}",
            self.operator.log_tail()
        )
    }

    /// # Errors
    /// When a process ended by itself.
    pub fn all_running(&self) -> Result<()> {
        ensure!(self.operator.is_running(), "the operator ended by itself");
        ensure!(self.emulator.is_running(), "the emulator ended by itself");
        ensure!(self.control_plane.is_running(), "the control plane ended by itself");
        Ok(())
    }

    /// Asks all processes to end, and waits for that.
    ///
    /// # Errors
    /// When the operator doesn't end as it should.
    pub async fn close(&mut self) -> Result<()> {
        self.screen.heading("The end")?;
        let status = self.operator.stop(STOPS_WITHIN).await?;
        ensure!(status.success(), "the operator ended with {status} after SIGTERM");
        self.say("The operator was asked to stop (SIGTERM), finished what it was doing and ended with exit code 0.")?;
        self.emulator.stop(STOPS_WITHIN).await?;
        Ok(())
    }
}

/// A program of this workspace, which cargo puts into the directory above that of the examples.
pub fn program(name: &str) -> Result<PathBuf> {
    let here = env::current_exe().context("find the running program")?;
    let directory = here.ancestors().nth(2).context("the demo is in no build directory")?;
    let program = directory.join(name);
    ensure!(
        program.is_file(),
        "there is no {}: run `make demo`, which builds it",
        program.display()
    );
    Ok(program)
}
