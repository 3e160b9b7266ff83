//! The story, a chapter a file.

mod cluster;
mod connection;
mod declaration;
mod deletion;
mod events;
mod operator;
mod renewal;
mod repair;
mod revocation;
mod secret;

use acs_operator_testbed::ControlPlane;
use anyhow::Result;

use crate::{screen::Screen, stage::Stage};

/// Tells all of it; what it set up goes on running.
///
/// # Errors
/// When anything is not as told.
pub async fn tell(screen: &Screen) -> Result<Stage<'_>> {
    screen.say(
        "acs-operator keeps identities and tokens of Azure Communication Services (ACS) in Kubernetes.\n\
         All you see is run now, on this machine only, without Azure and without a cluster.",
    )?;
    let control_plane: ControlPlane = cluster::tell(screen).await?;
    let stage = operator::tell(screen, control_plane).await?;
    match on(&stage).await {
        Ok(()) => Ok(stage),
        Err(error) => Err(stage.with_log(&error)),
    }
}

/// The chapters that have everything they need.
async fn on(stage: &Stage<'_>) -> Result<()> {
    let alice = declaration::tell(stage).await?;
    secret::tell(stage, &alice).await?;
    renewal::tell(stage, &alice).await?;
    revocation::tell(stage).await?;
    repair::tell(stage).await?;
    events::tell(stage).await?;
    connection::tell(stage).await?;
    deletion::tell(stage, &alice).await
}
