//! The Secret, and what its token is worth.

use std::fmt::Write;

use acs_operator_testbed::Verdict;
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::stage::Stage;

/// What one version of a Secret holds. The token stays in here.
pub struct Contents {
    pub uid: String,
    pub expires: String,
    token: String,
}

impl Contents {
    /// Reads the Secret `alice`.
    pub async fn read(stage: &Stage<'_>) -> Result<Self> {
        let secret = stage.secrets().get("alice").await?;
        let data = secret.data.context("the Secret alice is empty")?;
        let value = |key: &str| {
            let bytes = data
                .get(key)
                .with_context(|| format!("the Secret alice has no {key}"))?;
            Ok::<_, anyhow::Error>(String::from_utf8(bytes.0.clone())?)
        };
        Ok(Self {
            uid: secret.metadata.uid.context("the Secret alice has no uid")?,
            expires: value("expiresOn")?,
            token: value("token")?,
        })
    }

    /// The token's SHA-256, which tells tokens apart and opens nothing.
    pub fn sha256(&self) -> String {
        let mut text = String::new();
        for byte in Sha256::digest(self.token.as_bytes()) {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// The beginning of that, for people.
    pub fn fingerprint(&self) -> String {
        let mut text = self.sha256();
        text.truncate(12);
        text
    }

    /// What the emulator says of the token.
    pub async fn judged(&self, stage: &Stage<'_>) -> Result<Verdict> {
        stage.emulator.judge(&self.token).await
    }
}

pub async fn tell(stage: &Stage<'_>, alice: &str) -> Result<()> {
    stage.screen.chapter("Its Secret")?;
    stage
        .say("A workload mounts this Secret, and needs no key of ACS. The annotations are the record of the token.")?;
    stage.run("kubectl -n contact-center describe secret alice").await?;
    let contents = Contents::read(stage).await?;
    let verdict = contents.judged(stage).await?;
    ensure!(verdict.valid, "the emulator says of the token: {}", verdict.explanation);
    stage.say(&format!(
        "The token has {} characters and the SHA-256 {}…. The emulator was asked about it:\n\
         \"{}\" It is a token of {alice}.",
        contents.token.len(),
        contents.fingerprint(),
        verdict.explanation,
    ))
}
