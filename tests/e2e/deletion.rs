//! An object is deleted while something is under way: nothing is left, and no token is written any more.

use acs_emulator::Operation;
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{CEILING, Hold, Matcher, Moment, Passed, World, identity};
use kube::api::ListParams;
use serde_json::json;

use crate::alice::annotate;
use crate::world;

const MOMENTS: [Moment; 2] = [Moment::Before, Moment::After];

fn is_issue(request: &Passed) -> bool {
    request.path.ends_with(":issueAccessToken")
}

fn is_revocation(request: &Passed) -> bool {
    request.path.ends_with(":revokeAccessTokens")
}

fn is_deletion_in_acs(request: &Passed) -> bool {
    request.upstream == "ACS" && request.method == "DELETE"
}

fn is_create(request: &Passed) -> bool {
    request.upstream == "ACS" && request.path == "/identities"
}

fn is_about_the_object(request: &Passed) -> bool {
    request.path.ends_with("/communicationusers/alice")
}

fn is_status_write(request: &Passed) -> bool {
    request.path.ends_with("/communicationusers/alice/status")
}

fn is_secret_write(request: &Passed) -> bool {
    request.path.contains("/secrets/") && request.method == "PATCH"
}

async fn begin(world: &World) {
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
}

async fn alice_in(world: &World) -> CommunicationUser {
    begin(world).await;
    world.until_reason("alice", "TokenIssued").await.unwrap()
}

/// Deletes alice while this request is held up, and lets it go once the operator knows of the deletion.
async fn delete_at(world: &World, hold: Hold, context: &str) {
    hold.caught(CEILING)
        .await
        .unwrap_or_else(|error| panic!("{context}: {error:#}"));
    world.delete("alice").await.unwrap();
    // The watch tells of changes in their order, so what comes later is seen later.
    let marker = world.create("marker", json!({"suspend": true})).await.unwrap();
    world.until_reason("marker", "Suspended").await.unwrap();
    let written = secret_writes(world);
    hold.release();
    world
        .until_gone("alice")
        .await
        .unwrap_or_else(|error| panic!("{context}: {error:#}"));
    world.delete(&marker.metadata.name.unwrap()).await.unwrap();
    world.until_gone("marker").await.unwrap();
    assert_eq!(
        secret_writes(world),
        written,
        "{context}: no Secret is written once the deletion is known: {:#?}",
        world.traffic.passed()
    );
    assert!(world.acs().identities().is_empty(), "{context}");
    let no_secret = async || Ok(world.secrets().list(&ListParams::default()).await?.items.is_empty());
    world
        .eventually("a Secret is left", no_secret)
        .await
        .unwrap_or_else(|error| panic!("{context}: {error:#}"));
    let suspected = world.operator.metric("acs_operator_suspected_orphans_total").await;
    assert_eq!(suspected.unwrap().to_string(), "0", "{context}");
}

/// How many writes of Secrets arrived, held up ones included.
fn secret_writes(world: &World) -> usize {
    world
        .traffic
        .passed()
        .iter()
        .filter(|request| is_secret_write(request))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_at_any_request_of_its_creation_nothing_is_left() {
    let world = world().await;
    let requests: [(&str, Matcher); 4] = [
        ("the announcement", is_about_the_object),
        ("the create", is_create),
        ("the record", is_status_write),
        ("the Secret", is_secret_write),
    ];
    for (what, matcher) in requests {
        for moment in MOMENTS {
            let hold = world.traffic.hold(moment, matcher);
            begin(&world).await;
            delete_at(&world, hold, &format!("{moment:?} {what}")).await;
        }
    }
    for moment in MOMENTS {
        // The first status write is the record, so the other one is waited for behind the Secret.
        let secret = world.traffic.hold(Moment::After, is_secret_write);
        begin(&world).await;
        secret.caught(CEILING).await.unwrap();
        let hold = world.traffic.hold(moment, is_status_write);
        secret.release();
        delete_at(&world, hold, &format!("{moment:?} the status")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_while_its_token_is_renewed_nothing_is_left() {
    let world = world().await;
    for moment in MOMENTS {
        alice_in(&world).await;
        let hold = world.traffic.hold(moment, is_issue);
        annotate(&world, "renew-requested-at", "now").await;
        delete_at(&world, hold, &format!("{moment:?} the issue")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_between_a_revocation_and_the_next_token_nothing_is_left_and_no_token_is_issued() {
    let world = world().await;
    for moment in MOMENTS {
        alice_in(&world).await;
        let before = world.acs().last_call();
        let hold = world.traffic.hold(moment, is_revocation);
        annotate(&world, "revoke-requested-at", "now").await;
        delete_at(&world, hold, &format!("{moment:?} the revocation")).await;
        let calls: Vec<_> = world
            .calls_since(before)
            .into_iter()
            .map(|call| call.operation)
            .collect();
        assert_eq!(calls, [Operation::Revoke, Operation::Delete], "{moment:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_while_its_secret_is_renamed_neither_is_left() {
    let world = world().await;
    for moment in MOMENTS {
        alice_in(&world).await;
        let hold = world.traffic.hold(moment, is_secret_write);
        world
            .patch("alice", json!({"spec": {"secret": {"name": "other"}}}))
            .await
            .unwrap();
        delete_at(&world, hold, &format!("{moment:?} the new Secret")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_while_its_identity_is_replaced_neither_is_left() {
    let world = world().await;
    let requests: [(&str, Matcher); 4] = [
        ("the deletion of the old identity", is_deletion_in_acs),
        ("the clearing of its id", is_status_write),
        ("the announcement of the new one", is_about_the_object),
        ("the create of the new one", is_create),
    ];
    for (what, matcher) in requests {
        for moment in MOMENTS {
            let alice = alice_in(&world).await;
            let hold = world.traffic.hold(moment, matcher);
            annotate(&world, "replace-identity", &identity(&alice).unwrap()).await;
            delete_at(&world, hold, &format!("{moment:?} {what}")).await;
        }
    }
}
