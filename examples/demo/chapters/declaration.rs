//! From a manifest to an identity.

use acs_operator_testbed::identity;
use anyhow::{Context, Result, ensure};

use crate::stage::Stage;

/// Returns the id of alice's identity.
pub async fn tell(stage: &Stage<'_>) -> Result<String> {
    stage.screen.chapter("An identity is declared")?;
    stage.say("This is all that a team writes:")?;
    stage.run("cat deploy/samples/minimal.yaml").await?;
    stage.run("kubectl create namespace contact-center").await?;
    stage.run("kubectl apply -f deploy/samples/minimal.yaml").await?;
    stage
        .run("kubectl -n contact-center wait --for=condition=Ready --timeout=60s acsu/alice")
        .await?;
    let alice = stage.users().get("alice").await?;
    let alice = identity(&alice).context("alice is Ready and has no identity in its status")?;
    made_by_one_call(stage, &alice).await?;

    stage.say("Two more, one of them an identity without a token:")?;
    stage
        .run("kubectl apply -f deploy/samples/everything.yaml -f deploy/samples/identity-only.yaml")
        .await?;
    stage
        .run("kubectl -n contact-center wait --for=condition=Ready --timeout=60s acsu --all")
        .await?;
    stage.run("kubectl get acsu -A").await?;
    stage.say("The id in the status is who alice is in calls and chats, and it can be searched for:")?;
    stage
        .run(&format!(
            "kubectl get acsu -A --field-selector status.identity.id={alice}"
        ))
        .await?;
    Ok(alice)
}

async fn made_by_one_call(stage: &Stage<'_>, alice: &str) -> Result<()> {
    let identities = stage.emulator.identities().await?;
    ensure!(
        identities == [alice],
        "the emulator has {identities:?} instead of {alice}"
    );
    let calls = stage.emulator.calls_about(alice).await?;
    ensure!(calls.len() == 1, "alice took the calls {calls:?} instead of one");
    stage.say(
        "The emulator knows this identity now: one call made it, together with its first token. Before that call the\n\
         operator wrote down what it was about to do, so that killing it at any moment loses no identity unnoticed.",
    )
}
