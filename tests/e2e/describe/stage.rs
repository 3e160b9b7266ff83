//! A world in which objects are brought into states and looked at with kubectl.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use acs_operator::api::Reason;
use acs_operator_testbed::{Resource, World, WorldSettings, has_reason, identity, message};
use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::{
    runtime::Handle,
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};

use super::page::{Kind, Shown, normalised, section};

/// So long nothing may change before what is printed counts as final, where the page says something else.
const CALM: Duration = Duration::from_secs(15);

/// How often kubectl is asked.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A world, and what of it was shown.
pub struct Stage {
    pub world: World,
    committed: Arc<str>,
    shown: Vec<Shown>,
    names: Vec<(String, &'static str)>,
}

impl Stage {
    pub async fn new(settings: WorldSettings, committed: Arc<str>) -> Result<Self> {
        let world = World::start(settings).await?;
        let names = vec![(world.namespace.clone(), "contact-center")];
        Ok(Self {
            world,
            committed,
            shown: Vec::new(),
            names,
        })
    }

    /// A word of this run, and what stands for it on the page.
    pub fn name(&mut self, word: &str, stands: &'static str) {
        self.names.push((word.to_owned(), stands));
    }

    /// Another ACS resource, with a host on the page.
    pub async fn resource(&mut self, host: &'static str) -> Result<Resource> {
        let resource = self.world.another_resource().await?;
        let url = resource.url();
        let of_this_run = url.trim_start_matches("http://").trim_end_matches('/');
        self.name(of_this_run, host);
        Ok(resource)
    }

    pub async fn create(&self, name: &str, spec: Value) -> Result<()> {
        self.world.create(name, spec).await.map(|_| ())
    }

    /// A user whose connection is yet to come, and then counts it from the beginning.
    pub async fn create_before_its_connection(&self, name: &str, spec: Value) -> Result<()> {
        self.create(name, spec).await?;
        let told = Reason::ConnectionNotFound.as_str();
        self.world.until_reason(name, told).await.map(drop)
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

    /// Shows a CommunicationUser that comes to have this reason.
    pub async fn show(&mut self, name: &str, reason: Reason, situation: &'static str) -> Result<()> {
        self.show_of(Kind::User, name, reason, situation).await
    }

    /// Shows an object that comes to have this reason, as soon as kubectl tells of it what the page says, or else what does
    /// not change any more.
    pub async fn show_of(&mut self, kind: Kind, name: &str, reason: Reason, situation: &'static str) -> Result<()> {
        self.reached(kind, name, reason.as_str()).await.context(situation)?;
        let mut printed = String::new();
        let mut since = Instant::now();
        while !self.committed.contains(&section(situation, &printed)) {
            let is_final = since.elapsed() > CALM;
            if is_final && tells(kind, &printed, reason) {
                break;
            }
            ensure!(since.elapsed() < 4 * CALM, "no event tells of {reason}:\n{printed}");
            sleep(LOOK_EVERY).await;
            let now = self.describe(kind, name).await?;
            if now != printed {
                (printed, since) = (now, Instant::now());
            }
        }
        self.shown.push(Shown {
            kind,
            reason,
            situation,
            printed,
        });
        Ok(())
    }

    async fn reached(&self, kind: Kind, name: &str, reason: &str) -> Result<()> {
        let world = &self.world;
        match kind {
            Kind::User => world.until_reason(name, reason).await.map(drop),
            Kind::Connection => world.until_connection_reason(name, reason).await.map(drop),
            Kind::ClusterConnection => {
                let all = world.cluster_connections();
                world.until_is(&all, name, reason, has_reason(reason)).await.map(drop)
            }
        }
    }

    /// Waits until the Ready condition of a CommunicationConnection says this.
    pub async fn said(&self, connection: &str, words: &str) -> Result<()> {
        let until = self
            .world
            .until_connection(connection, words, |it| message(it).contains(words));
        until.await.map(drop)
    }

    /// Waits until kubectl shows an event with these words.
    pub async fn told(&self, name: &str, words: &str) -> Result<()> {
        let is_told = async || Ok(events(&self.describe(Kind::User, name).await?).contains(words));
        self.world
            .eventually(&format!("no event says {words:?}"), is_told)
            .await
    }

    /// All that was shown.
    pub fn shown(self) -> Vec<Shown> {
        self.shown
    }

    async fn describe(&self, kind: Kind, name: &str) -> Result<String> {
        let mut arguments = vec!["describe", kind.name(), name];
        if kind != Kind::ClusterConnection {
            arguments.extend(["--namespace", &self.world.namespace]);
        }
        let described = self.world.control_plane.kubectl_meanwhile(&arguments).await?;
        let names = self.names.iter().map(|(name, stands)| (name.as_str(), *stands));
        Ok(normalised(&described, names))
    }
}

/// Plays on a thread of its own: what blocks it, as a control plane that starts, keeps no other play from its deadlines.
pub fn beside<P>(committed: &Arc<str>, play: impl FnOnce(Arc<str>) -> P + Send + 'static) -> JoinHandle<P::Output>
where
    P: Future<Output: Send + 'static>,
{
    let (runtime, committed) = (Handle::current(), Arc::clone(committed));
    spawn_blocking(move || runtime.block_on(play(committed)))
}

/// What most objects ask for.
pub fn wants_token() -> Value {
    json!({"token": {"scopes": ["chat", "voip"]}})
}

/// The same through a CommunicationConnection of the namespace.
pub fn wants_token_of(connection: &str) -> Value {
    json!({"connectionRef": {"name": connection}, "token": {"scopes": ["chat", "voip"]}})
}

/// Whether an event tells of the reason. What is merely under way is told only where a write was refused.
fn tells(kind: Kind, printed: &str, reason: Reason) -> bool {
    let event = match (kind, reason) {
        (Kind::User, Reason::Progressing) => "WriteRefused",
        (_, Reason::Progressing) => return true,
        (_, reason) => reason.as_str(),
    };
    events(printed).contains(event)
}

fn events(printed: &str) -> &str {
    printed.split_once("Events:").unwrap_or_default().1
}
