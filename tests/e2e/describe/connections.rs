//! Brings connections of both kinds into each reason, and the users that have them.

use std::sync::Arc;

use acs_emulator::{AccessKey, KeySlot, Operation};
use acs_operator::api::{CommunicationConnection, Reason};
use acs_operator_testbed::Resource;
use anyhow::Result;
use jiff::Timestamp;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::page::{Kind, Shown};
use super::stage::{Stage, beside, wants_token, wants_token_of};
use super::users::throttled;
use crate::settings;

/// A key of no resource.
const NO_KEY: &str = "YW5vdGhlciBrZXkgdGhhdCBub2JvZHkgaGFzIGdpdmVuIGF3YXk=";

const FABRIKAM: &str = "fabrikam.communication.azure.com";

/// All states, each with an object that is in it.
pub async fn all(committed: &Arc<str>) -> Result<Vec<Shown>> {
    let (own, shared, strict) = tokio::try_join!(
        beside(committed, of_a_namespace),
        beside(committed, of_a_cluster),
        beside(committed, where_not_every_host_is_allowed),
    )?;
    Ok([own?, shared?, strict?].concat())
}

async fn of_a_namespace(committed: Arc<str>) -> Result<Vec<Shown>> {
    let mut settings = settings();
    settings.connected = false;
    let mut stage = Stage::new(settings, committed).await?;
    let fabrikam = stage.resource(FABRIKAM).await?;
    accepted(&mut stage, &fabrikam).await?;
    without_a_credential(&mut stage).await?;
    refused(&mut stage).await?;
    held_up(&mut stage, &fabrikam).await?;
    adopting(&mut stage).await?;
    out_of_reach(&mut stage).await?;
    Ok(stage.shown())
}

async fn accepted(stage: &mut Stage, fabrikam: &Resource) -> Result<()> {
    stage
        .create_before_its_connection("alice", wants_token_of("contoso"))
        .await?;
    connected(stage, "contoso").await?;
    stage.world.until_reason("alice", Reason::TokenIssued.as_str()).await?;
    let situation = "The Secret holds a connection string, and a user has this connection.";
    show(stage, "contoso", Reason::CredentialAccepted, situation).await?;

    stage
        .create_before_its_connection("bob", wants_token_of("fabrikam"))
        .await?;
    let (first, second) = (fabrikam.key(KeySlot::Primary), fabrikam.key(KeySlot::Secondary));
    let keys = [("primaryKey", first.as_str()), ("secondaryKey", &second)];
    stage.world.put_credential("fabrikam", &keys).await?;
    let of_both = json!({"name": "fabrikam", "keys": ["primaryKey", "secondaryKey"]});
    let spec = json!({"endpoint": fabrikam.url(), "auth": {"accessKey": {"secretRef": of_both}}});
    stage.world.connect("fabrikam", spec).await?;
    stage.world.until_reason("bob", Reason::TokenIssued.as_str()).await?;
    fabrikam.replace_key(KeySlot::Primary, AccessKey::parse(NO_KEY)?);
    stage.annotate("bob", "renew-requested-at", "now").await?;
    stage.said("fabrikam", "refused").await?;
    let situation = "The Secret holds both keys of the ACS resource, and the first was regenerated in Azure.";
    show(stage, "fabrikam", Reason::CredentialAccepted, situation).await?;

    stage
        .create_before_its_connection("carol", wants_token_of("outlived"))
        .await?;
    connected(stage, "outlived").await?;
    stage.world.until_reason("carol", Reason::TokenIssued.as_str()).await?;
    stage
        .world
        .secrets()
        .delete("outlived", &DeleteParams::default())
        .await?;
    stage.said("outlived", "until the operator restarts").await?;
    let situation = "Someone deleted the Secret.";
    show(stage, "outlived", Reason::CredentialAccepted, situation).await?;

    stage
        .create_before_its_connection("judy", wants_token_of("leaked"))
        .await?;
    connected(stage, "leaked").await?;
    stage.world.until_reason("judy", Reason::TokenIssued.as_str()).await?;
    let now = json!({"spec": {"tokensValidFrom": Timestamp::from_second(stage.world.acs().now().as_second() + 1)?}});
    stage.world.patch_connection("leaked", now).await?;
    stage.told("judy", "tokensValidFrom").await?;
    let situation = "The same, after `spec.tokensValidFrom` of its connection was set to a time after its first token.";
    stage.show("judy", Reason::TokenIssued, situation).await
}

async fn without_a_credential(stage: &mut Stage) -> Result<()> {
    stage
        .create_before_its_connection("dave", wants_token_of("keyless"))
        .await?;
    stage.world.connect("keyless", by_connection_string("keyless")).await?;
    let situation = "There is no such Secret.";
    show(stage, "keyless", Reason::CredentialMissing, situation).await?;
    let situation = "Its CommunicationConnection has no Secret.";
    stage.show("dave", Reason::ConnectionNotReady, situation).await?;

    let text = stage.world.resource.connects(KeySlot::Primary);
    stage
        .world
        .put_credential("misnamed", &[("connectionstring", &text)])
        .await?;
    stage
        .world
        .connect("misnamed", by_connection_string("misnamed"))
        .await?;
    let situation = "The Secret has the credential under another key.";
    show(stage, "misnamed", Reason::CredentialMissing, situation).await
}

async fn refused(stage: &mut Stage) -> Result<()> {
    let both = [
        ("primaryKey", NO_KEY),
        ("secondaryKey", "bm9uZSBvZiB0aGUga2V5cyBvZiB0aGF0IHJlc291cmNl"),
    ];
    stage.world.put_credential("locked", &both).await?;
    let of_both = json!({"name": "locked", "keys": ["primaryKey", "secondaryKey"]});
    let spec = json!({"endpoint": stage.world.resource.url(), "auth": {"accessKey": {"secretRef": of_both}}});
    stage.world.connect("locked", spec).await?;
    let situation = "Both keys in the Secret were regenerated in Azure.";
    show(stage, "locked", Reason::AccessDenied, situation).await?;

    let service_account = json!({"serviceAccountRef": {"name": "voice"}});
    let spec = json!({"endpoint": stage.world.resource.url(), "auth": {"workloadIdentity": service_account}});
    stage.world.connect("federated", spec).await?;
    let situation = "It is to sign in with Microsoft Entra.";
    show(stage, "federated", Reason::AccessDenied, situation).await
}

/// Connections that somebody stopped.
async fn held_up(stage: &mut Stage, fabrikam: &Resource) -> Result<()> {
    stage
        .create_before_its_connection("erin", wants_token_of("paused"))
        .await?;
    connected(stage, "paused").await?;
    stage.world.until_reason("erin", Reason::TokenIssued.as_str()).await?;
    let suspended = json!({"spec": {"suspend": true}});
    stage.world.patch_connection("paused", suspended).await?;
    let situation = "`spec.suspend` was set.";
    show(stage, "paused", Reason::Suspended, situation).await?;
    stage.annotate("erin", "renew-requested-at", "now").await?;
    let situation = "`spec.suspend` was set on its connection; then a new token was asked for.";
    stage.show("erin", Reason::Suspended, situation).await?;

    stage
        .create_before_its_connection("frank", wants_token_of("moved"))
        .await?;
    connected(stage, "moved").await?;
    stage.world.until_reason("frank", Reason::TokenIssued.as_str()).await?;
    let knows_its_resource = |it: &CommunicationConnection| {
        let status = it.status.as_ref();
        status.is_some_and(|status| status.resource_id.is_some() && status.users == Some(1))
    };
    let until = stage
        .world
        .until_connection("moved", "aware of its resource", knows_its_resource);
    until.await?;
    let text = fabrikam.connects(KeySlot::Secondary);
    stage
        .world
        .put_credential("moved", &[("connectionString", &text)])
        .await?;
    let situation = "Someone put the connection string of another ACS resource into the Secret.";
    show(stage, "moved", Reason::ResourceMismatch, situation).await?;

    stage
        .create_before_its_connection("grace", wants_token_of("leaving"))
        .await?;
    stage
        .create_before_its_connection("heidi", wants_token_of("leaving"))
        .await?;
    connected(stage, "leaving").await?;
    for user in ["grace", "heidi"] {
        stage.world.until_reason(user, Reason::TokenIssued.as_str()).await?;
    }
    stage
        .world
        .connections()
        .delete("leaving", &DeleteParams::default())
        .await?;
    stage.said("leaving", "2 users").await?;
    let situation = "It is deleted, and has users.";
    show(stage, "leaving", Reason::Progressing, situation).await?;
    stage.create("ivan", wants_token_of("leaving")).await?;
    let situation = "It was created after its connection was deleted, which waits for the users that it had.";
    stage.show("ivan", Reason::ConnectionNotReady, situation).await
}

async fn adopting(stage: &mut Stage) -> Result<()> {
    put_connection_string(stage, "adopting").await?;
    let mut spec = by_connection_string("adopting");
    spec["allowAdoption"] = true.into();
    stage.world.connect("adopting", spec).await?;
    let mut adopter = wants_token_of("adopting");
    adopter["identity"] = json!({"id": stage.world.resource.make_identity().await?});
    stage.create("adopter", adopter.clone()).await?;
    let situation = "The same, with an identity that `spec.identity.id` names and the connection lets it adopt.";
    stage.show("adopter", Reason::TokenIssued, situation).await?;
    stage.create("late-adopter", adopter).await?;
    let situation = "`spec.identity.id` names an identity that another object has adopted.";
    stage.show("late-adopter", Reason::IdentityInUse, situation).await
}

/// Connections to a resource that does not answer as it should.
async fn out_of_reach(stage: &mut Stage) -> Result<()> {
    let busy = stage.resource("busy.communication.azure.com").await?;
    busy.inject(throttled().on(Operation::Revoke));
    let text = busy.connects(KeySlot::Primary);
    stage
        .world
        .put_credential("busy", &[("connectionString", &text)])
        .await?;
    stage.world.connect("busy", by_connection_string("busy")).await?;
    let situation = "ACS answers that there were too many requests.";
    show(stage, "busy", Reason::Throttled, situation).await?;

    // Nothing listens there: the port is one that nobody gets by asking for a free one.
    let text = format!("endpoint=http://127.0.0.1:1;accesskey={NO_KEY}");
    stage
        .world
        .put_credential("unreached", &[("connectionString", &text)])
        .await?;
    stage
        .world
        .connect("unreached", by_connection_string("unreached"))
        .await?;
    let situation = "Nothing answers at the endpoint.";
    show(stage, "unreached", Reason::ServiceUnavailable, situation).await
}

async fn of_a_cluster(committed: Arc<str>) -> Result<Vec<Shown>> {
    let mut settings = settings();
    settings.connected = false;
    settings.cluster_wide = true;
    let mut stage = Stage::new(settings, committed).await?;
    let system = stage.world.new_place().await?;
    stage.name(&system.namespace, "acs-system");
    stage.create_before_its_connection("alice", wants_token()).await?;
    let secret = json!({"name": "contoso", "namespace": system.namespace});
    let spec = json!({
        "auth": {"connectionString": {"secretRef": secret}},
        "allowedNamespaces": {"names": [stage.world.namespace]},
    });
    stage.world.connect_cluster("default", spec).await?;
    let situation = "There is no such Secret.";
    let kind = Kind::ClusterConnection;
    stage
        .show_of(kind, "default", Reason::CredentialMissing, situation)
        .await?;
    let situation = "Its ClusterCommunicationConnection has no Secret, which only that connection says.";
    stage.show("alice", Reason::ConnectionNotReady, situation).await?;

    let text = stage.world.resource.connects(KeySlot::Primary);
    system.put_credential("contoso", &[("connectionString", &text)]).await?;
    stage.world.until_reason("alice", Reason::TokenIssued.as_str()).await?;
    let situation = "The Secret was created after the connection.";
    stage
        .show_of(kind, "default", Reason::CredentialAccepted, situation)
        .await?;

    let other = json!({"spec": {"allowedNamespaces": {"names": [system.namespace]}}});
    let connections = stage.world.cluster_connections();
    let patch = kube::api::Patch::Merge(other);
    connections
        .patch("default", &kube::api::PatchParams::default(), &patch)
        .await?;
    // Before alice asks, since users come by another watch than connections.
    stage.create("bob", wants_token()).await?;
    let situation = "The default connection, a ClusterCommunicationConnection, does not allow the namespace.";
    stage.show("bob", Reason::ConnectionNotAllowed, situation).await?;
    stage.annotate("alice", "renew-requested-at", "now").await?;
    let situation = "Its namespace was taken out of `spec.allowedNamespaces`; then a new token was asked for.";
    stage.show("alice", Reason::RenewalDelayed, situation).await?;
    Ok(stage.shown())
}

async fn where_not_every_host_is_allowed(committed: Arc<str>) -> Result<Vec<Shown>> {
    let mut settings = settings();
    settings.connected = false;
    settings.arguments.push("--allow-insecure-endpoints=false".to_owned());
    let mut stage = Stage::new(settings, committed).await?;
    stage
        .world
        .put_credential("elsewhere", &[("accessKey", NO_KEY)])
        .await?;
    let auth = json!({"accessKey": {"secretRef": {"name": "elsewhere"}}});
    let spec = json!({"endpoint": "https://contoso.example.com", "auth": auth});
    stage.world.connect("elsewhere", spec).await?;
    let situation = "The operator may not send a signature to the host of `spec.endpoint`.";
    show(&mut stage, "elsewhere", Reason::InvalidRequest, situation).await?;
    Ok(stage.shown())
}

/// A CommunicationConnection to the world's resource, and the Secret of its name.
async fn connected(stage: &Stage, name: &str) -> Result<()> {
    put_connection_string(stage, name).await?;
    stage.world.connect(name, by_connection_string(name)).await?;
    Ok(())
}

async fn put_connection_string(stage: &Stage, secret: &str) -> Result<()> {
    let text = stage.world.resource.connects(KeySlot::Primary);
    stage
        .world
        .put_credential(secret, &[("connectionString", &text)])
        .await?;
    Ok(())
}

fn by_connection_string(secret: &str) -> Value {
    json!({"auth": {"connectionString": {"secretRef": {"name": secret}}}})
}

async fn show(stage: &mut Stage, name: &str, reason: Reason, situation: &'static str) -> Result<()> {
    stage.show_of(Kind::Connection, name, reason, situation).await
}
