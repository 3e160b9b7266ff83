//! What the operator tells people.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};

use crate::stage::{NAMESPACE, Stage};

/// What happened to alice until now, without the renewal.
const EXPECTED: [&str; 4] = ["IdentityCreated", "TokenIssued", "TokensRevoked", "SecretRepaired"];

pub async fn tell(stage: &Stage<'_>) -> Result<()> {
    stage.screen.chapter("What it says about that")?;
    stage
        .say("Changes of an object's state are events. Renewals are none: nobody wants to read of those that work.")?;
    // They are written by a task of its own.
    stage
        .until("events about alice", async || {
            let reasons = about_alice(stage).await?;
            Ok(EXPECTED.iter().all(|reason| reasons.contains(*reason)).then_some(()))
        })
        .await?;
    stage
        .run("kubectl -n contact-center events --for communicationuser/alice")
        .await?;
    let reasons = about_alice(stage).await?;
    ensure!(
        reasons.len() == EXPECTED.len(),
        "there are other events about alice: {reasons:?}"
    );
    Ok(())
}

async fn about_alice(stage: &Stage<'_>) -> Result<BTreeSet<String>> {
    let events: Api<Event> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let about = ListParams::default().fields("regarding.kind=CommunicationUser,regarding.name=alice");
    let events = events.list(&about).await?;
    Ok(events.into_iter().filter_map(|event| event.reason).collect())
}
