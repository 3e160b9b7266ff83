//! All tokens of an identity are revoked on request, and a new one is handed out.

use anyhow::{Result, ensure};

use super::secret::Contents;
use crate::stage::Stage;

pub async fn tell(stage: &Stage<'_>) -> Result<()> {
    stage.screen.chapter("A revocation")?;
    stage.say("A token leaked? An annotation revokes every token of the identity; its value is any text.")?;
    let old = Contents::read(stage).await?;
    stage
        .run("kubectl -n contact-center annotate acsu alice acs-operator.dev/revoke-requested-at=\"a laptop was lost\"")
        .await?;
    let new = stage
        .until("new token after the revocation", async || {
            let handled = stage.users().get("alice").await?.status;
            let handled = handled.and_then(|status| status.last_handled_revoke_at);
            if handled.as_deref() != Some("a laptop was lost") {
                return Ok(None);
            }
            Ok(Some(Contents::read(stage).await?))
        })
        .await?;
    let (refused, accepted) = (old.judged(stage).await?, new.judged(stage).await?);
    ensure!(!refused.valid, "the old token is still accepted");
    ensure!(accepted.valid, "the new token is refused: {}", accepted.explanation);
    stage.say(&format!(
        "Of the old token the emulator says: \"{}\"\nOf the one in the Secret now:        \"{}\"",
        refused.explanation, accepted.explanation
    ))
}
