//! Commands, run exactly as they are shown.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use acs_operator_testbed::{ControlPlane, workspace};
use anyhow::{Context, Result, bail};
use tokio::{task, time::timeout};

use crate::screen::Screen;

/// How long a command may take. Usually a fraction of a second.
const ENDS_WITHIN: Duration = Duration::from_secs(90);

/// A shell in the root of the repository that finds `kubectl` and its cluster.
pub struct Shell {
    directory_of_kubectl: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
    /// A file with what no reader is to see, for commands that name it by this variable.
    pub credentials: PathBuf,
}

impl Shell {
    /// The shell of an administrator.
    pub fn new(control_plane: &ControlPlane) -> Self {
        let kubectl = control_plane.kubectl_program();
        Self {
            directory_of_kubectl: kubectl.parent().unwrap_or(Path::new("/")).to_owned(),
            kubeconfig: control_plane.kubeconfig().to_owned(),
            credentials: control_plane.kubeconfig().with_file_name("contoso.env"),
            cache: control_plane.kubectl_cache(),
        }
    }

    /// Shows a command, runs it and shows what it printed.
    ///
    /// # Errors
    /// When it fails or doesn't end.
    pub async fn run(&self, screen: &Screen, line: &str) -> Result<()> {
        screen.command(line)?;
        let mut command = self.command(line);
        let running = task::spawn_blocking(move || command.output());
        let output = timeout(ENDS_WITHIN, running)
            .await
            .with_context(|| format!("`{line}` has not ended after {ENDS_WITHIN:?}"))??
            .with_context(|| format!("run `{line}`"))?;
        screen.output(&String::from_utf8_lossy(&output.stdout))?;
        if !output.status.success() {
            bail!("`{line}` failed ({})", output.status);
        }
        Ok(())
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("exec 2>&1; PATH=\"$DIRECTORY_OF_KUBECTL:$PATH\"\n{line}"))
            .env("DIRECTORY_OF_KUBECTL", &self.directory_of_kubectl)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", &self.cache)
            .env("CREDENTIALS", &self.credentials)
            .current_dir(workspace())
            .stdin(Stdio::null());
        command
    }
}
