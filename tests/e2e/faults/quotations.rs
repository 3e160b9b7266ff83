//! An admission policy that refuses a change to a Secret may quote what is in it. Nobody is told that: each of these worlds looks for
//! it in logs, statuses, events and metrics when it ends.

use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{World, WorldSettings, message};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Error,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::policy::{OPERATOR, Policy, WORDS};
use crate::alice::{alice_in, annotate, notes, until_renewed};
use crate::{settings, world};

const LEFT_OUT: &str = "its words may quote the Secret, so they are left out";

/// What a policy has to say of the value that is stored under a key.
fn quoting(key: &str) -> String {
    format!("'{WORDS}: ' + string(oldObject.data['{key}'])")
}

/// The Secrets of a world as the operator sees them.
async fn seen_by_operator(world: &World) -> Api<Secret> {
    let operator = world.control_plane.operator_client().await.unwrap();
    Api::namespaced(operator, &world.namespace)
}

/// A change by the operator that has no effect. The policy says what is secret, to whoever listens.
async fn relabel(secrets: &Api<Secret>, name: &str, value: &str) -> Result<(), Error> {
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let params = PatchParams::default().dry_run();
    quoted(secrets.patch(name, &params, &label).await.map(drop), value)
}

fn quoted(refused: Result<(), Error>, value: &str) -> Result<(), Error> {
    if let Err(Error::Api(status)) = &refused
        && status.message.contains(WORDS)
    {
        let encoded = json!(ByteString(value.into()));
        let is_quoted = [value, encoded.as_str().unwrap()]
            .iter()
            .any(|value| status.message.contains(value));
        assert!(is_quoted, "it quotes nothing: {status:?}");
    }
    refused
}

fn is_told_without(words: &str) -> impl Fn(&CommunicationUser) -> bool {
    move |user| message(user).contains(words)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_that_a_renewal_would_replace_is_not_told() {
    let world = world().await;
    alice_in(&world).await;
    let (secrets, token) = (
        seen_by_operator(&world).await,
        world.secret_values("alice").await.unwrap(),
    );
    let attempt = async || relabel(&secrets, "alice", &token["token"]).await;
    let updates = ("", "secrets", "UPDATE");
    let policy =
        Policy::refuse_in_these_words(&world, &world.namespace, OPERATOR, updates, &quoting("token"), attempt).await;
    annotate(&world, "renew-requested-at", "now").await;
    world.until("alice", "told", is_told_without(LEFT_OUT)).await.unwrap();
    policy.lift().await;
    until_renewed(&world, "alice", "now").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_in_a_secret_that_may_not_be_deleted_is_not_told() {
    let world = world().await;
    alice_in(&world).await;
    let (secrets, token) = (
        seen_by_operator(&world).await,
        world.secret_values("alice").await.unwrap(),
    );
    let attempt = async || {
        let deleted = secrets.delete("alice", &DeleteParams::default().dry_run()).await;
        quoted(deleted.map(drop), &token["token"])
    };
    let deletes = ("", "secrets", "DELETE");
    let policy =
        Policy::refuse_in_these_words(&world, &world.namespace, OPERATOR, deletes, &quoting("token"), attempt).await;
    world.delete("alice").await.unwrap();
    let is_told = async || Ok(world.operator.log().contains(LEFT_OUT));
    world.eventually("nothing is told", is_told).await.unwrap();
    policy.lift().await;
    world.until_gone("alice").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_credential_in_a_secret_that_may_not_be_held_is_not_told() {
    let world = World::start(WorldSettings {
        connected: false,
        ..settings()
    })
    .await
    .unwrap();
    let connection = world.acs().connection_string();
    world
        .put_credential("acs", &[("connectionString", &connection)])
        .await
        .unwrap();
    let secrets = seen_by_operator(&world).await;
    let attempt = async || relabel(&secrets, "acs", &connection).await;
    let (updates, words) = (("", "secrets", "UPDATE"), quoting("connectionString"));
    let policy = Policy::refuse_in_these_words(&world, &world.namespace, OPERATOR, updates, &words, attempt).await;
    let auth: Value = json!({"connectionString": {"secretRef": {"name": "acs"}}});
    world.connect("contoso", json!({"auth": auth})).await.unwrap();
    let of_contoso = json!({"connectionRef": {"name": "contoso"}, "token": {"scopes": ["voip"]}});
    world.create("alice", of_contoso).await.unwrap();
    let is_told = async || Ok(world.operator.log().contains(LEFT_OUT));
    world.eventually("nothing is told", is_told).await.unwrap();
    policy.lift().await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
    // Events are looked through with the log, at the end of the world.
    let are_written = async || Ok(!notes(&world, "TokenIssued").await?.is_empty());
    world.eventually("no event is written", are_written).await.unwrap();
}
