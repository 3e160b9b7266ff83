//! After the story: everything goes on, for the newcomer to play with.

use std::{future::Future, time::Duration};

use acs_operator_testbed::ControlPlane;
use anyhow::Result;
use tokio::time::sleep;

use crate::{interruption::Request, stage::Stage};

/// How often to look whether everything still runs.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Says how to take part, and waits for the request to stop.
///
/// # Errors
/// When a process ends by itself.
pub async fn until(stage: &Stage<'_>, stop: impl Future<Output = Request>) -> Result<()> {
    stage.screen.heading("Your turn")?;
    stage.say("All of it goes on running until Ctrl-C here. In another terminal, in this directory:")?;
    stage.say(&access(&stage.control_plane))?;
    stage.say(&suggestions(stage)?)?;
    tokio::select! {
        _ = stop => Ok(()),
        gone = someone_ends(stage) => gone,
    }
}

fn access(control_plane: &ControlPlane) -> String {
    format!(
        "export KUBECONFIG={} KUBECACHEDIR={}\nalias kubectl={}",
        control_plane.kubeconfig().display(),
        control_plane.kubectl_cache().display(),
        control_plane.kubectl_program().display(),
    )
}

fn suggestions(stage: &Stage<'_>) -> Result<String> {
    let emulator = format!("curl {}state", stage.emulator.admin_url());
    let metrics = format!("curl http://{}/metrics", stage.operator.admin_address()?);
    let log = format!("tail -f {}", stage.operator.log_path().display());
    let suggestions = [
        (
            "kubectl apply -f deploy/samples",
            "declare identities (the Pod stays Pending: no nodes)",
        ),
        (
            "kubectl get acsu -A -w",
            "watch tokens being renewed; Ctrl-C ends the watch",
        ),
        (
            "kubectl -n contact-center delete secret alice",
            "it comes back, with a new token",
        ),
        ("kubectl -n contact-center describe acsu alice", "all about one"),
        (
            "kubectl -n contact-center delete acsu alice",
            "identity and Secret go too",
        ),
        ("kubectl explain acsu.spec.token", "what the fields mean"),
        (emulator.as_str(), "what the emulator holds"),
        (metrics.as_str(), "what the operator counts"),
        (log.as_str(), "what the operator says"),
    ];
    let lines = suggestions.map(|(command, meaning)| format!("{command:<52}  # {meaning}"));
    Ok(lines.join("\n"))
}

async fn someone_ends(stage: &Stage<'_>) -> Result<()> {
    loop {
        stage.all_running()?;
        sleep(LOOK_EVERY).await;
    }
}
