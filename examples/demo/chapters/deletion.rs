//! An object goes, and with it all that it stood for.

use anyhow::{Result, ensure};
use kube::api::ListParams;

use super::secret::Contents;
use crate::stage::Stage;

pub async fn tell(stage: &Stage<'_>, alice: &str) -> Result<()> {
    stage.screen.chapter("A deletion")?;
    stage.say("The object stays until its identity is deleted in ACS, so that none is forgotten there.")?;
    let token = Contents::read(stage).await?;
    stage.run("kubectl -n contact-center delete acsu alice").await?;
    stage
        .until("end of the Secret alice", async || {
            Ok(stage.secrets().get_opt("alice").await?.is_none().then_some(()))
        })
        .await?;
    let identities = stage.emulator.identities().await?;
    ensure!(
        identities.iter().all(|id| id != alice),
        "the emulator still has {alice}"
    );
    let verdict = token.judged(stage).await?;
    ensure!(!verdict.valid, "a token of the deleted identity is still accepted");
    stage.say(&format!(
        "Object, identity and Secret are gone, and the token with them. The emulator says of it:\n\"{}\"",
        verdict.explanation
    ))?;

    stage.run("kubectl -n contact-center delete acsu --all").await?;
    stage.run("kubectl -n contact-center get acsu,secrets").await?;
    let secrets = stage.secrets().list(&ListParams::default()).await?.items.len();
    ensure!(secrets == 0, "there are still {secrets} Secrets");
    let identities = stage.emulator.identities().await?;
    ensure!(identities.is_empty(), "the emulator still has {identities:?}");
    stage.say("The emulator has no identity any more.")
}
