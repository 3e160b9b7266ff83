//! A token is renewed without anybody doing anything.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;

use super::secret::Contents;
use crate::stage::Stage;

pub async fn tell(stage: &Stage<'_>, alice: &str) -> Result<()> {
    stage.screen.chapter("A renewal, by itself")?;
    let old = Contents::read(stage).await?;
    let wait = due(stage).await?.duration_since(now()).as_secs().max(0);
    stage.say(&format!(
        "The token of alice expires at {}. It is renewed after two thirds of its life, a little\n\
         earlier for some than for others: hers in about {wait} s. Nobody does anything but wait.",
        old.expires
    ))?;
    let new = stage
        .until("renewal of the token of alice", async || {
            let contents = Contents::read(stage).await?;
            Ok((contents.sha256() != old.sha256()).then_some(contents))
        })
        .await?;

    stage.say(&format!(
        "         {:<22}token (SHA-256)\nbefore   {:<22}{}…\nnow      {:<22}{}…",
        "expires",
        old.expires,
        old.fingerprint(),
        new.expires,
        new.fingerprint(),
    ))?;
    ensure!(new.uid == old.uid, "the Secret was replaced instead of updated");
    let verdict = new.judged(stage).await?;
    ensure!(
        verdict.valid,
        "the emulator says of the new token: {}",
        verdict.explanation
    );
    took_one_call(stage, alice, [&old, &new]).await?;
    stage.say(
        "The identity and the Secret are the same, so a Pod that mounts it reads the new token from the same file.\n\
         It took one call to ACS; until the next renewal there will be none.",
    )?;
    stage.run("kubectl -n contact-center get acsu alice").await
}

/// The call that issued the new token is the next one after that for the old token.
async fn took_one_call(stage: &Stage<'_>, alice: &str, tokens: [&Contents; 2]) -> Result<()> {
    let calls = stage.emulator.calls_about(alice).await?;
    let issued = |contents: &Contents| {
        let sha256 = Some(contents.sha256());
        calls.iter().position(|call| call.token_sha256 == sha256)
    };
    let [old, new] = tokens.map(issued);
    ensure!(
        old.is_some() && old.map(|old| old + 1) == new,
        "the renewal took other calls than one: {calls:#?}"
    );
    Ok(())
}

/// When the token of alice is due for renewal.
async fn due(stage: &Stage<'_>) -> Result<Timestamp> {
    let status = stage.users().get("alice").await?.status;
    let token = status.and_then(|status| status.token).context("alice has no token")?;
    let due = token.renewal_time.context("the token of alice has no renewal time")?;
    Ok(due.0)
}

#[expect(clippy::disallowed_methods, reason = "only to tell the reader how long it takes")]
fn now() -> Timestamp {
    Timestamp::now()
}
