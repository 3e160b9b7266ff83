//! The API server tells of changes late, so that the operator looks at what was: it never does anything twice for that.

use std::time::Duration;

use acs_emulator::{Operation, TokenState};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{CEILING, Moment, World, identity, ready};
use serde_json::json;

use crate::settings;

/// A world whose tokens live so long that some are renewed while a test waits.
async fn short_lived() -> World {
    let mut settings = settings();
    settings.emulator.token_ttl = Some(Duration::from_secs(9));
    World::start(settings).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_events_are_held_back_one_identity_is_made_and_each_renewal_is_made_once() {
    let world = short_lived().await;
    let create = world
        .traffic
        .hold(Moment::Before, |request| request.path.ends_with("/identities"));
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    create.caught(CEILING).await.unwrap();
    // From here on it sees nothing but what it writes itself.
    world.gate.hold_events();
    create.release();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    let two_renewals = async || Ok(world.resource.count(Operation::Issue) >= 2);
    world.eventually("it does not renew", two_renewals).await.unwrap();
    let renewals = world.resource.count(Operation::Issue);
    assert!(renewals <= 3, "{:#?}", world.calls());
    world.gate.release_events();

    world.quiet().await;
    assert!(
        world.resource.count(Operation::Issue) <= renewals + 1,
        "{:#?}",
        world.calls()
    );
    assert_eq!(world.acs().identities().len(), 1);
    let now = world.users().get("alice").await.unwrap();
    assert_eq!(identity(&now), identity(&alice));
    let counted = now
        .status
        .and_then(|status| status.identity)
        .and_then(|identity| identity.suspected_orphans);
    assert_eq!(counted.unwrap_or(0), 0);
    let token = world.secret_values("alice").await.unwrap()["token"].clone();
    assert_eq!(world.acs().token_state(&token), TokenState::Valid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_for_while_events_were_held_back_is_done_once_when_they_come() {
    let world = World::start(settings()).await.unwrap();
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    world.gate.hold_events();
    let before = world.acs().last_call();
    world
        .patch(
            "alice",
            json!({"metadata": {"annotations": {"acs-operator.dev/renew-requested-at": "now"}}}),
        )
        .await
        .unwrap();
    world
        .patch("alice", json!({"spec": {"token": {"scopes": ["chat"]}}}))
        .await
        .unwrap();
    world
        .create("bob", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    assert!(world.calls_since(before).is_empty());
    world.gate.release_events();

    let has_chat = |user: &CommunicationUser| {
        let token = user.status.as_ref().and_then(|status| status.token.as_ref());
        token.is_some_and(|token| token.scopes.iter().any(|scope| scope.as_str() == "chat"))
            && ready(user).is_some_and(|(is, _)| is == "True")
    };
    world.until("alice", "with the other scope", has_chat).await.unwrap();
    world.until_reason("bob", "TokenIssued").await.unwrap();
    world.quiet().await;
    let calls = world.calls_since(before);
    let count = |operation| calls.iter().filter(|call| call.operation == operation).count();
    assert_eq!(count(Operation::Create), 1, "{calls:#?}");
    // The events of the two edits may be told together, or one after the other.
    assert!((1..=2).contains(&count(Operation::Issue)), "{calls:#?}");
}
