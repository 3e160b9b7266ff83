//! What one kill is tried on: users, a connection and Secrets with names of their own, so that one world serves many kills.

use acs_emulator::{Fault, KeySlot, Operation};
use acs_operator_testbed::{Place, World, has_reason, identity};
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::scenario::{Act, Scenario, Setting};

/// A set of objects; the words of a scenario are their names within it.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Distinguishes it from all others in its world.
    pub number: usize,
    /// Which of the world's neighbours it is in; `None`: the world's own namespace.
    pub neighbour: Option<usize>,
}

/// The user that nearly every scenario is about.
pub const ALICE: &str = "alice";
/// Another user.
pub const BOB: &str = "bob";
/// The connection, where there is one.
pub const CONTOSO: &str = "contoso";
/// The Secret with the credential of the connection.
pub const CREDENTIAL: &str = "acs";
/// Another one, which the connection may come to name.
pub const OTHER_CREDENTIAL: &str = "acs-2";
/// A Secret that looks like the operator's and isn't.
pub const BYSTANDER: &str = "bystander";

impl Subject {
    /// Where its objects are.
    pub fn place<'a>(&self, world: &'a World) -> &'a Place {
        self.neighbour.map_or(world, |index| &world.neighbours[index])
    }

    /// What the names of its objects begin with.
    pub fn prefix(&self) -> String {
        format!("s{}-", self.number)
    }

    fn name(&self, word: &str) -> String {
        self.prefix() + word
    }

    /// Brings about what the scenario begins with.
    pub async fn prepare(&self, world: &World, scenario: &Scenario) -> Result<Prepared> {
        let place = self.place(world);
        let labels = json!({"app.kubernetes.io/managed-by": "acs-operator"});
        let metadata = json!({"name": self.name(BYSTANDER), "labels": labels});
        let bystander: Secret = serde_json::from_value(json!({"metadata": metadata, "stringData": {"token": "mine"}}))?;
        place.secrets().create(&PostParams::default(), &bystander).await?;
        if scenario.setting.has_connection() {
            self.put_key(world, CREDENTIAL, KeySlot::Primary).await?;
            self.connect(world, scenario.setting).await?;
        }
        for word in scenario.users {
            self.declare(world, scenario, word, json!({"token": {"scopes": ["voip"]}}))
                .await?;
        }
        for word in scenario.users {
            place.until_reason(&self.name(word), "TokenIssued").await?;
        }
        let stray = match scenario.act {
            Act::Adopt => Some(world.resource.make_identity().await?),
            _ => None,
        };
        Ok(Prepared { stray })
    }

    /// Does what sets the operator to work.
    pub async fn act(&self, world: &World, scenario: &Scenario, act: &Act, prepared: &Prepared) -> Result<()> {
        let place = self.place(world);
        let alice = self.name(ALICE);
        match act {
            Act::Declare(spec) => self.declare(world, scenario, ALICE, spec.clone()).await,
            Act::DeclareUnanswered(spec) => {
                let lost = Fault::cut_after_processing().on(Operation::Create).once();
                world.resource.inject(lost);
                self.declare(world, scenario, ALICE, spec.clone()).await
            }
            Act::Adopt => {
                let spec = json!({"identity": {"id": prepared.stray}, "token": {"scopes": ["voip"]}});
                self.declare(world, scenario, ALICE, spec).await
            }
            Act::Patch(patch) => place.patch(&alice, patch.clone()).await.map(drop),
            Act::RenameSecret => {
                let patch = json!({"spec": {"secret": {"name": self.name("other")}}});
                place.patch(&alice, patch).await.map(drop)
            }
            Act::Annotate(key) => self.annotate(world, key, "now").await,
            Act::ReplaceIdentity => {
                let user = place.users().get(&alice).await?;
                let id = identity(&user).context("alice has no identity")?;
                self.annotate(world, "replace-identity", &id).await
            }
            Act::EditSecret(patch) => {
                let params = PatchParams::default();
                let patch = Patch::Merge(patch);
                place.secrets().patch(&alice, &params, &patch).await?;
                Ok(())
            }
            Act::DeleteSecret => {
                place.secrets().delete(&alice, &DeleteParams::default()).await?;
                Ok(())
            }
            Act::RotateKey => self.put_key(world, CREDENTIAL, KeySlot::Secondary).await,
            Act::NameAnotherSecret => {
                self.put_key(world, OTHER_CREDENTIAL, KeySlot::Primary).await?;
                let auth = json!({"connectionString": {"secretRef": {"name": self.name(OTHER_CREDENTIAL)}}});
                self.patch_connection(world, scenario.setting, json!({"spec": {"auth": auth}}))
                    .await
            }
            Act::TokensValidFrom => {
                let from = json!({"spec": {"tokensValidFrom": world.resource.a_later_second().await?}});
                self.patch_connection(world, scenario.setting, from).await
            }
            Act::DeleteUsers => self.delete_users(world, scenario).await,
            Act::DeleteConnectionAndUsers => {
                let (name, params) = (self.name(CONTOSO), DeleteParams::default());
                if scenario.setting == Setting::Cluster {
                    world.cluster_connections().delete(&name, &params).await?;
                } else {
                    place.connections().delete(&name, &params).await?;
                }
                self.delete_users(world, scenario).await
            }
            Act::DeleteNamespace => {
                let namespaces: Api<Namespace> = Api::all(world.client.clone());
                namespaces.delete(&place.namespace, &DeleteParams::default()).await?;
                Ok(())
            }
        }
    }

    async fn declare(&self, world: &World, scenario: &Scenario, word: &str, mut spec: Value) -> Result<()> {
        if scenario.setting.has_connection() {
            let kind = if scenario.setting == Setting::Cluster {
                "ClusterCommunicationConnection"
            } else {
                "CommunicationConnection"
            };
            spec["connectionRef"] = json!({"kind": kind, "name": self.name(CONTOSO)});
        }
        self.place(world).create(&self.name(word), spec).await.map(drop)
    }

    async fn annotate(&self, world: &World, key: &str, value: &str) -> Result<()> {
        let annotations = json!({format!("acs-operator.dev/{key}"): value});
        let patch = json!({"metadata": {"annotations": annotations}});
        self.place(world).patch(&self.name(ALICE), patch).await.map(drop)
    }

    /// Declares the connection, and waits until it is proven.
    async fn connect(&self, world: &World, setting: Setting) -> Result<()> {
        let (place, name) = (self.place(world), self.name(CONTOSO));
        let mut spec = json!({"auth": {"connectionString": {"secretRef": {"name": self.name(CREDENTIAL)}}}});
        let is_proven = "CredentialAccepted";
        if setting == Setting::Cluster {
            spec["auth"]["connectionString"]["secretRef"]["namespace"] = json!(place.namespace);
            spec["allowedNamespaces"] = json!({"names": [place.namespace]});
            let connection = world.connect_cluster(&name, spec).await?;
            let connections = world.cluster_connections();
            place
                .until_is(&connections, &connection.name_any(), is_proven, has_reason(is_proven))
                .await?;
        } else {
            spec["allowAdoption"] = json!(true);
            if setting == Setting::CustomIds {
                spec["serviceApiVersion"] = json!("2025-03-02-preview");
            }
            place.connect(&name, spec).await?;
            place.until_connection_reason(&name, is_proven).await?;
        }
        Ok(())
    }

    async fn patch_connection(&self, world: &World, setting: Setting, patch: Value) -> Result<()> {
        let name = self.name(CONTOSO);
        if setting == Setting::Cluster {
            let connections = world.cluster_connections();
            connections
                .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                .await?;
        } else {
            self.place(world).patch_connection(&name, patch).await?;
        }
        Ok(())
    }

    async fn put_key(&self, world: &World, secret: &str, slot: KeySlot) -> Result<()> {
        let (name, string) = (self.name(secret), world.resource.connects(slot));
        let values = [("connectionString", string.as_str())];
        self.place(world).put_credential(&name, &values).await.map(drop)
    }

    async fn delete_users(&self, world: &World, scenario: &Scenario) -> Result<()> {
        // Whoever acts while the operator is dead may find nothing but what was declared.
        let declared = if scenario.users.is_empty() {
            &[ALICE]
        } else {
            scenario.users
        };
        for word in declared {
            self.place(world).delete(&self.name(word)).await?;
        }
        Ok(())
    }
}

/// What was prepared outside of Kubernetes.
#[derive(Default)]
pub struct Prepared {
    /// An identity that no object names yet.
    pub stray: Option<String>,
}
