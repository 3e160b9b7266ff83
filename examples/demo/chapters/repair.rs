//! A deleted Secret comes back, and a suspended user is left alone.

use acs_operator_testbed::ready;
use anyhow::{Result, ensure};

use super::secret::Contents;
use crate::stage::Stage;

pub async fn tell(stage: &Stage<'_>) -> Result<()> {
    stage.screen.chapter("A Secret deleted by mistake, and a pause")?;
    let old = Contents::read(stage).await?;
    stage.run("kubectl -n contact-center delete secret alice").await?;
    let new = stage
        .until("return of the Secret alice", async || {
            if stage.secrets().get_opt("alice").await?.is_none() {
                return Ok(None);
            }
            let contents = Contents::read(stage).await?;
            Ok((contents.uid != old.uid).then_some(contents))
        })
        .await?;
    let verdict = new.judged(stage).await?;
    ensure!(
        verdict.valid,
        "the emulator says of the new token: {}",
        verdict.explanation
    );
    stage.say("It is back, with a new token of the same identity.")?;

    stage
        .run("kubectl -n contact-center patch acsu queue-bot --type=merge -p '{\"spec\":{\"suspend\":true}}'")
        .await?;
    stage
        .until("suspension of queue-bot", async || {
            let reason = ready(&stage.users().get("queue-bot").await?).map(|(_, reason)| reason);
            Ok((reason.as_deref() == Some("Suspended")).then_some(()))
        })
        .await?;
    stage.run("kubectl -n contact-center get acsu queue-bot").await?;
    stage.say("Nothing is called for queue-bot until spec.suspend is false. It can still be deleted.")
}
