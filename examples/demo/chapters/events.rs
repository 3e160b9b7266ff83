//! What the operator tells people.

use anyhow::{Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};

use crate::stage::{NAMESPACE, Stage};

pub async fn tell(stage: &Stage<'_>) -> Result<()> {
    stage.screen.chapter("What it says about that")?;
    stage
        .say("Changes of an object's state are events. Renewals are none: nobody wants to read of those that work.")?;
    // They are written by a task of its own.
    stage
        .until("second event about alice", async || {
            Ok((about_alice(stage).await? >= 2).then_some(()))
        })
        .await?;
    stage
        .run("kubectl -n contact-center events --for communicationuser/alice")
        .await?;
    let events = about_alice(stage).await?;
    ensure!(events == 2, "there are {events} events about alice instead of two");
    Ok(())
}

async fn about_alice(stage: &Stage<'_>) -> Result<usize> {
    let events: Api<Event> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let about = ListParams::default().fields("regarding.kind=CommunicationUser,regarding.name=alice");
    Ok(events.list(&about).await?.items.len())
}
