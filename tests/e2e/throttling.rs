//! ACS answers 429. How it says so, and what it looks at first, is not documented.

use std::time::Duration;

use acs_emulator::{Choices, Limits, Operation, RetryAfter, ThrottleBody};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{World, message, ready};

use crate::alice::{alice_in, annotate, delete_behind_its_back, until_renewed};
use crate::world;

/// No token is issued.
fn exhausted() -> Limits {
    Limits {
        window: Duration::from_secs(1),
        issue: Some(0),
        ..Limits::default()
    }
}

/// Asks for a renewal and returns what is said while it is refused.
async fn refused(world: &World, request: &str) -> CommunicationUser {
    world.acs().set_limits(exhausted());
    annotate(world, "renew-requested-at", request).await;
    world.until_reason("alice", "RenewalDelayed").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_acs_throttles_the_token_stays_ready_and_is_renewed_after_few_calls() {
    let world = world().await;
    alice_in(&world).await;
    for (throttle_body, retry_after) in [
        (ThrottleBody::Envelope, RetryAfter::Seconds),
        (ThrottleBody::Empty, RetryAfter::Date),
        (ThrottleBody::Html, RetryAfter::Milliseconds),
        (ThrottleBody::Envelope, RetryAfter::None),
        (ThrottleBody::Empty, RetryAfter::None),
        (ThrottleBody::Html, RetryAfter::None),
    ] {
        let context = format!("{throttle_body:?} {retry_after:?}");
        world.acs().set_choices(Choices {
            throttle_body,
            retry_after,
            ..Choices::default()
        });
        let before = world.acs().last_call();
        let alice = refused(&world, &context).await;
        assert_eq!(ready(&alice).unwrap().0, "True", "{context}: its token is valid");
        assert!(message(&alice).contains("429"), "{context}: {}", message(&alice));
        world.acs().set_limits(Limits::default());
        until_renewed(&world, "alice", &context).await;
        let calls = world.calls_since(before);
        assert!((2..=3).contains(&calls.len()), "{context}: {calls:#?}");
        assert!(calls.iter().all(|call| call.operation == Operation::Issue), "{context}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_several_faults_ends_in_the_right_one_whichever_acs_names_first() {
    let world = world().await;
    for (check_order, first) in [
        ("signature,route,version,throttle,body,identity", "RenewalDelayed"),
        ("identity,body,throttle,version,route,signature", "IdentityGone"),
        ("throttle,identity,signature,body,route,version", "RenewalDelayed"),
    ] {
        world.acs().set_choices(Choices {
            check_order: check_order.parse().unwrap(),
            ..Choices::default()
        });
        let alice = alice_in(&world).await;
        let deleted = delete_behind_its_back(&world, &alice).await;
        world.acs().set_limits(exhausted());
        annotate(&world, "renew-requested-at", "now").await;
        world
            .until_reason("alice", first)
            .await
            .unwrap_or_else(|error| panic!("{check_order}: {error:#}"));
        world.acs().set_limits(Limits::default());
        world.until_reason("alice", "IdentityGone").await.unwrap();
        let calls = world.calls_since(deleted);
        assert!(calls.len() <= 3, "{check_order}: {calls:#?}");
        world.delete("alice").await.unwrap();
        world.until_gone("alice").await.unwrap();
    }
}
