//! A world in which objects are brought into states and looked at with kubectl.

use std::time::{Duration, Instant};

use acs_operator::api::Reason;
use acs_operator_testbed::{World, WorldSettings, identity};
use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::page::{Shown, normalised, section};

/// So long nothing may change before what is printed counts as final, where the page says something else.
const CALM: Duration = Duration::from_secs(3);

/// A world, and what of it was shown.
pub struct Stage<'a> {
    pub world: World,
    committed: &'a str,
    shown: Vec<Shown>,
}

impl<'a> Stage<'a> {
    pub async fn new(settings: WorldSettings, committed: &'a str) -> Result<Self> {
        Ok(Self {
            world: World::start(settings).await?,
            committed,
            shown: Vec::new(),
        })
    }

    pub async fn create(&self, name: &str, spec: Value) -> Result<()> {
        self.world.create(name, spec).await.map(|_| ())
    }

    /// A user with a token, Ready. Gives its identity.
    pub async fn user(&self, name: &str) -> Result<String> {
        self.create(name, wants_token()).await?;
        let user = self.world.until_reason(name, Reason::TokenIssued.as_str()).await?;
        identity(&user).context("Ready without an identity")
    }

    pub async fn patch(&self, name: &str, patch: Value) -> Result<()> {
        self.world.patch(name, patch).await.map(|_| ())
    }

    pub async fn annotate(&self, name: &str, key: &str, value: &str) -> Result<()> {
        let annotations = json!({format!("acs-operator.dev/{key}"): value});
        self.patch(name, json!({"metadata": {"annotations": annotations}}))
            .await
    }

    pub async fn patch_secret(&self, name: &str, patch: Value) -> Result<()> {
        let (secrets, params) = (self.world.secrets(), PatchParams::default());
        secrets.patch(name, &params, &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// An object that begins its life with the record of an identity, as a copy or out of a backup.
    pub async fn create_with_identity(&self, name: &str, id: &str) -> Result<()> {
        let identity = json!({"id": id, "ownerUid": "of another object"});
        let record = Patch::Merge(json!({"status": {"observedGeneration": 1, "identity": identity}}));
        let create = async || {
            self.create(name, wants_token()).await?;
            let params = PatchParams::default();
            self.world.users().patch_status(name, &params, &record).await?;
            Ok(())
        };
        self.world.operator_paused(create).await
    }

    /// Waits until the object has the reason and kubectl shows its event, and takes down what kubectl prints: what the
    /// page says, or else what does not change any more.
    pub async fn show(&mut self, name: &str, reason: Reason, situation: &'static str) -> Result<()> {
        let reached = self.world.until_reason(name, reason.as_str()).await;
        reached.context(situation)?;
        let mut printed = String::new();
        let mut since = Instant::now();
        while !self.committed.contains(&section(situation, &printed)) {
            let is_final = since.elapsed() > CALM;
            if is_final && tells(&printed, reason) {
                break;
            }
            ensure!(since.elapsed() < 4 * CALM, "no event tells of {reason}:\n{printed}");
            sleep(Duration::from_millis(50)).await;
            let now = self.describe(name)?;
            if now != printed {
                (printed, since) = (now, Instant::now());
            }
        }
        self.shown.push(Shown {
            reason,
            situation,
            printed,
        });
        Ok(())
    }

    /// Waits until kubectl shows an event with these words.
    pub async fn told(&self, name: &str, words: &str) -> Result<()> {
        let is_told = async || Ok(events(&self.describe(name)?).contains(words));
        self.world
            .eventually(&format!("no event says {words:?}"), is_told)
            .await
    }

    /// All that was shown.
    pub fn shown(self) -> Vec<Shown> {
        self.shown
    }

    fn describe(&self, name: &str) -> Result<String> {
        let namespace = &self.world.namespace;
        let described = ["describe", "communicationuser", name, "--namespace", namespace];
        Ok(normalised(&self.world.control_plane.kubectl(described)?, namespace))
    }
}

/// What most objects ask for.
pub fn wants_token() -> Value {
    json!({"token": {"scopes": ["chat", "voip"]}})
}

/// Whether an event tells of the reason. What is merely under way is told only where a write was refused.
fn tells(printed: &str, reason: Reason) -> bool {
    let event = match reason {
        Reason::Progressing => "WriteRefused",
        reason => reason.as_str(),
    };
    events(printed).contains(event)
}

fn events(printed: &str) -> &str {
    printed.split_once("Events:").unwrap_or_default().1
}
