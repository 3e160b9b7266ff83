//! A Kubernetes API server.

use acs_operator_testbed::ControlPlane;
use anyhow::Result;
use tokio::task;

use crate::screen::Screen;

pub async fn tell(screen: &Screen) -> Result<ControlPlane> {
    screen.chapter("A Kubernetes API server")?;
    screen.say(
        "etcd and kube-apiserver, the real ones, with the controllers that clean up. There are no nodes: Pods never run.",
    )?;
    let control_plane = task::spawn_blocking(ControlPlane::start).await??;
    screen.say(format_args!(
        "Kubernetes {} is ready at {}.",
        control_plane.version(),
        control_plane.server()
    ))?;
    Ok(control_plane)
}
