//! Brings users into each reason that does not take a connection of their own.

use std::{sync::Arc, time::Duration};

use acs_emulator::{AccessKey, DeletedIdentity, Fault, KeySlot, Operation};
use acs_operator::api::Reason;
use acs_operator_testbed::World;
use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use super::page::Shown;
use super::stage::{Stage, beside, wants_token, wants_token_of};
use crate::settings;

/// A key of an ACS resource that is not in the operator's connection string.
const ANOTHER_KEY: &str = "YW5vdGhlciBrZXkgdGhhdCBub2JvZHkgaGFzIGdpdmVuIGF3YXk=";

/// Identities of an ACS resource that is not the emulator's.
const FOREIGN_ID: &str = "8:acs:11111111-2222-3333-4444-555555555555_0000000a-1b2c-3d4e-5f60-718293a4b5c6";
const ANOTHER_FOREIGN_ID: &str = "8:acs:11111111-2222-3333-4444-555555555555_0000000b-1b2c-3d4e-5f60-718293a4b5c6";

const JSON: (&str, &str) = ("content-type", "application/json");

/// All states, each with an object that is in it.
pub async fn all(committed: &Arc<str>) -> Result<Vec<Shown>> {
    let (most, short_lived, not_served, unconnected) = tokio::try_join!(
        beside(committed, in_a_usual_world),
        beside(committed, with_tokens_of_half_a_minute),
        beside(committed, in_a_namespace_that_is_not_served),
        beside(committed, without_a_connection),
    )?;
    Ok([most?, short_lived?, not_served?, unconnected?]
        .into_iter()
        .flatten()
        .collect())
}

async fn in_a_usual_world(committed: Arc<str>) -> Result<Vec<Shown>> {
    let mut stage = Stage::new(settings(), committed).await?;
    at_rest(&mut stage).await?;
    disturbed(&mut stage).await?;
    refused_by_the_cluster(&mut stage).await?;
    about_identities(&mut stage).await?;
    refused_by_acs(&mut stage).await?;
    Ok(stage.shown())
}

async fn at_rest(stage: &mut Stage) -> Result<()> {
    stage.user("alice").await?;
    let situation = "A token was asked for, and is there.";
    stage.show("alice", Reason::TokenIssued, situation).await?;

    stage.create("recorder", json!({})).await?;
    let situation = "Nothing but an identity was asked for.";
    stage.show("recorder", Reason::IdentityCreated, situation).await?;

    stage.user("paused").await?;
    stage.patch("paused", json!({"spec": {"suspend": true}})).await?;
    let situation = "`spec.suspend` was set after the token was issued.";
    stage.show("paused", Reason::Suspended, situation).await
}

async fn disturbed(stage: &mut Stage) -> Result<()> {
    let lost = Fault::cut_after_processing().on(Operation::Create);
    stage.world.acs().inject(lost.once());
    stage.user("bob").await?;
    let situation = "The same, after the answer to the first attempt to create an identity was lost.";
    stage.show("bob", Reason::TokenIssued, situation).await?;

    stage.user("carol").await?;
    let fewer = json!({"spec": {"token": {"scopes": ["chat"]}}});
    stage.patch("carol", fewer).await?;
    stage.told("carol", "ScopesNarrowed").await?;
    let situation = "The same, after a scope was removed.";
    stage.show("carol", Reason::TokenIssued, situation).await?;
    stage
        .annotate("carol", "revoke-requested-at", "a laptop was lost")
        .await?;
    stage.told("carol", "holds a valid token for chat.").await?;
    let edit = json!({"stringData": {"endpoint": "https://elsewhere.example.com"}});
    stage.patch_secret("carol", edit).await?;
    stage.told("carol", "been changed by someone").await?;
    let secrets = stage.world.secrets();
    secrets.delete("carol", &DeleteParams::default()).await?;
    stage.told("carol", "been deleted by someone").await?;
    stage.patch("carol", json!({"metadata": {"finalizers": null}})).await?;
    stage.told("carol", "FinalizerRestored").await?;
    let situation = "The same, after all tokens were revoked, the Secret was edited and then deleted, and the finalizer was \
                     taken off.";
    stage.show("carol", Reason::TokenIssued, situation).await
}

async fn refused_by_the_cluster(stage: &mut Stage) -> Result<()> {
    stage.user("frozen").await?;
    stage.patch_secret("frozen", json!({"immutable": true})).await?;
    let shorter = json!({"spec": {"token": {"lifetime": "2h"}}});
    stage.patch("frozen", shorter).await?;
    let situation = "The Secret was made immutable; then tokens with another lifetime were asked for.";
    stage.show("frozen", Reason::Progressing, situation).await?;

    let foreign: Secret = serde_json::from_value(json!({"metadata": {"name": "taken"}}))?;
    let secrets = stage.world.secrets();
    secrets.create(&PostParams::default(), &foreign).await?;
    stage.create("taken", wants_token()).await?;
    let situation = "A Secret of that name was there before.";
    stage.show("taken", Reason::SecretConflict, situation).await?;

    stage.create("elsewhere", wants_token_of("contoso")).await?;
    let situation = "`spec.connectionRef` names a connection that the namespace does not have.";
    stage.show("elsewhere", Reason::ConnectionNotFound, situation).await
}

async fn about_identities(stage: &mut Stage) -> Result<()> {
    let adopter = json!({"identity": {"id": FOREIGN_ID}});
    stage.create("adopter", adopter).await?;
    let situation = "`spec.identity.id` names an identity, through a connection that lets nobody adopt one.";
    stage.show("adopter", Reason::AdoptionNotAllowed, situation).await?;

    let id = stage.user("original").await?;
    a_second_after("original", &stage.world).await?;
    stage.create_with_identity("copy", &id).await?;
    let situation = "The object is a copy, with status, of another one in the same cluster.";
    stage.show("copy", Reason::IdentityInUse, situation).await?;

    stage.create_with_identity("stranger", ANOTHER_FOREIGN_ID).await?;
    let situation = "The object came out of a backup, and its identity is one of another ACS resource.";
    stage.show("stranger", Reason::ResourceMismatch, situation).await?;

    let id = stage.user("deserted").await?;
    stage.world.resource.delete_identity(&id).await?;
    stage.annotate("deserted", "renew-requested-at", "now").await?;
    let situation = "Someone deleted the identity in ACS; the next renewal finds out.";
    stage.show("deserted", Reason::IdentityGone, situation).await?;

    // What ACS says of a deleted identity is not documented, so an emulator can be told what to say.
    let documented = stage.world.acs().choices();
    let mut disowning = documented.clone();
    disowning.deleted_identity = DeletedIdentity::NotOwned;
    stage.world.acs().set_choices(disowning);
    let id = stage.user("disowned").await?;
    stage.world.resource.delete_identity(&id).await?;
    stage.annotate("disowned", "renew-requested-at", "now").await?;
    let situation = "ACS says of an identity that this very ACS resource made that it is not one of the resource.";
    stage.show("disowned", Reason::IdentityNotOwned, situation).await?;
    stage.world.acs().set_choices(documented);
    Ok(())
}

async fn refused_by_acs(stage: &mut Stage) -> Result<()> {
    let words =
        r#"{"error":{"code":"ValidationError","message":"Invalid scopes - Scopes requested are not allowed."}}"#;
    let rejection = Fault::respond(400, &[JSON], words).on(Operation::Create);
    stage.world.acs().inject(rejection.once());
    stage.create("refused", wants_token()).await?;
    let situation = "ACS refuses the request.";
    stage.show("refused", Reason::InvalidRequest, situation).await?;

    stage.user("changed").await?;
    stage.world.acs().inject(outage().on(Operation::Issue));
    let fewer = json!({"spec": {"token": {"scopes": ["chat"]}}});
    stage.patch("changed", fewer).await?;
    let situation = "ACS is down when a token with other scopes is due.";
    stage.show("changed", Reason::ServiceUnavailable, situation).await?;
    stage.world.acs().clear_faults();

    stage.user("leaver").await?;
    let key = stage.world.acs().access_key(KeySlot::Primary);
    let other_key = AccessKey::parse(ANOTHER_KEY)?;
    stage.world.acs().replace_key(KeySlot::Primary, other_key);
    // Whether a call or a proof finds out first, nobody can say: so another user's call does.
    stage.annotate("alice", "renew-requested-at", "now").await?;
    let delayed = Reason::RenewalDelayed.as_str();
    stage.world.until_reason("alice", delayed).await?;
    stage.create("locked-out", wants_token()).await?;
    let situation = "The access key was regenerated in Azure, and the operator has the old one.";
    stage.show("locked-out", Reason::ConnectionNotReady, situation).await?;
    stage.world.delete("leaver").await?;
    let situation = "The object is deleted, and ACS refuses the operator's access key.";
    stage.show("leaver", Reason::DeletionBlocked, situation).await?;
    stage.world.acs().replace_key(KeySlot::Primary, key);
    stage.world.until_gone("leaver").await?;
    let recovered = Reason::TokenIssued.as_str();
    stage.world.until_reason("locked-out", recovered).await?;

    // The last ones: every create waits from now on.
    let throttled = throttled().on(Operation::Create);
    stage.world.acs().inject(throttled.once());
    stage.create("throttled", wants_token()).await?;
    let situation = "ACS answers that there were too many requests.";
    stage.show("throttled", Reason::Throttled, situation).await?;
    stage.create("next-in-line", wants_token()).await?;
    let situation = "Another request was answered like that a moment ago, so this one is not sent yet.";
    stage.show("next-in-line", Reason::Throttled, situation).await
}

async fn with_tokens_of_half_a_minute(committed: Arc<str>) -> Result<Vec<Shown>> {
    let mut settings = settings();
    settings.emulator.token_ttl = Some(Duration::from_secs(30));
    let mut stage = Stage::new(settings, committed).await?;
    stage.user("alice").await?;
    stage.world.acs().inject(outage().on(Operation::Issue));
    let situation = "ACS is down when the renewal is due.";
    stage.show("alice", Reason::RenewalDelayed, situation).await?;
    let situation = "It stays down until the token has expired.";
    stage.show("alice", Reason::TokenExpired, situation).await?;
    Ok(stage.shown())
}

async fn in_a_namespace_that_is_not_served(committed: Arc<str>) -> Result<Vec<Shown>> {
    let mut settings = settings();
    settings.served_namespace = Some("another-namespace".to_owned());
    let mut stage = Stage::new(settings, committed).await?;
    stage.create("alice", wants_token()).await?;
    let situation = "The default connection serves other namespaces.";
    stage.show("alice", Reason::ConnectionNotAllowed, situation).await?;
    Ok(stage.shown())
}

async fn without_a_connection(committed: Arc<str>) -> Result<Vec<Shown>> {
    let mut settings = settings();
    settings.connected = false;
    let mut stage = Stage::new(settings, committed).await?;
    stage.create("alice", wants_token()).await?;
    let situation = "There is no default connection.";
    stage.show("alice", Reason::ConnectionNotFound, situation).await?;
    Ok(stage.shown())
}

fn outage() -> Fault {
    let words = r#"{"error":{"code":"ServiceUnavailable","message":"The service is temporarily unavailable."}}"#;
    Fault::respond(503, &[JSON], words)
}

pub(super) fn throttled() -> Fault {
    let words = r#"{"error":{"code":"TooManyRequests","message":"Too many requests."}}"#;
    Fault::respond(429, &[JSON, ("retry-after", "300")], words)
}

/// Returns when whatever is created is younger than the object: creation times are whole seconds.
async fn a_second_after(name: &str, world: &World) -> Result<()> {
    let created = world.users().get(name).await?.metadata.creation_timestamp;
    let is_past = async || {
        let now = world.acs().now().as_second();
        Ok(created.as_ref().is_some_and(|created| now > created.0.as_second()))
    };
    world.eventually("the clock stands still", is_past).await
}
