//! Under the preview version of the API a create carries a custom id, so a repeat of it returns the same identity.

use acs_emulator::{Choices, CustomIdAfterDelete, CustomIdRepeat, Fault, Operation, TokenState};
use acs_operator_testbed::{CEILING, Moment, Stop, World, identity, ready};
use serde_json::json;

use crate::alice::{alice_with, annotate, calls, status};
use crate::settings;

async fn world_with(choices: Choices) -> World {
    let mut settings = settings();
    settings.arguments = vec!["--default-connection-service-api-version=2025-03-02-preview".into()];
    settings.emulator.choices = choices;
    World::start(settings).await.unwrap()
}

async fn begin(world: &World) {
    let spec = json!({"token": {"scopes": ["voip"]}});
    world.create("alice", spec).await.unwrap();
}

/// Kills the operator after ACS made an identity and before that is recorded.
async fn killed_between_create_and_record(world: &mut World) {
    let create = Stop::at(Moment::After, |request| request.upstream == "ACS");
    world.traffic.reset(Some(create));
    begin(world).await;
    world.traffic.stopped(CEILING).await.unwrap();
    world.operator.kill();
    world.traffic.reset(None);
    assert_eq!(world.acs().identities().len(), 1, "made, and recorded nowhere");
}

async fn nothing_is_left_or_suspected(world: &World) {
    world.until_gone("alice").await.unwrap();
    world.quiet().await;
    assert!(world.acs().identities().is_empty(), "{:#?}", world.calls());
    let suspected = world.operator.metric("acs_operator_suspected_orphans_total").await;
    assert_eq!(suspected.unwrap().to_string(), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_leaves_no_orphan_however_acs_answers_the_repeat() {
    for custom_id_repeat in [CustomIdRepeat::Created, CustomIdRepeat::Ok] {
        let world = world_with(Choices {
            custom_id_repeat,
            ..Choices::default()
        })
        .await;
        world
            .acs()
            .inject(Fault::cut_after_processing().on(Operation::Create).once());
        begin(&world).await;
        let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
        assert_eq!(world.acs().identities().len(), 1, "{custom_id_repeat:?}");
        assert_eq!(status(&alice).identity.as_ref().unwrap().suspected_orphans, None);
        assert_eq!(calls(&world), [Operation::Create], "{custom_id_repeat:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_create_and_record_a_successor_finds_the_identity_again() {
    let mut world = world_with(Choices::default()).await;
    killed_between_create_and_record(&mut world).await;
    world.operator.restart().unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(identity(&alice), Some(world.acs().identities()[0].id.clone()));
    assert_eq!(world.acs().identities().len(), 1);
    assert_eq!(status(&alice).identity.as_ref().unwrap().suspected_orphans, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_create_and_record_and_then_deleted_it_leaves_nothing_and_suspects_nothing() {
    let mut world = world_with(Choices::default()).await;
    killed_between_create_and_record(&mut world).await;
    world.delete("alice").await.unwrap();
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
    nothing_is_left_or_suspected(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_while_the_outcome_of_its_create_is_unknown_it_leaves_nothing_and_suspects_nothing() {
    let world = world_with(Choices::default()).await;
    world
        .acs()
        .inject(Fault::cut_after_processing().on(Operation::Create).once());
    // So that the deletion comes before the create is known.
    world.acs().inject(Fault::status(503).on(Operation::Create));
    begin(&world).await;
    world.until_reason("alice", "ServiceUnavailable").await.unwrap();
    world.acs().clear_faults();
    world.delete("alice").await.unwrap();
    nothing_is_left_or_suspected(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_after_a_lost_answer_does_not_make_the_operator_forget_the_identity() {
    let world = world_with(Choices::default()).await;
    world
        .acs()
        .inject(Fault::cut_after_processing().on(Operation::Create).once());
    world.acs().inject(Fault::status(400).on(Operation::Create));
    begin(&world).await;
    world.until_reason("alice", "InvalidRequest").await.unwrap();
    world.acs().clear_faults();
    world.delete("alice").await.unwrap();
    nothing_is_left_or_suspected(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_identity_is_another_one_whether_the_old_one_stays_or_what_acs_does_with_its_custom_id() {
    for (policy, custom_id_after_delete) in [
        ("Retain", CustomIdAfterDelete::New),
        ("Delete", CustomIdAfterDelete::New),
        ("Delete", CustomIdAfterDelete::Same),
        ("Delete", CustomIdAfterDelete::Refuse),
    ] {
        let context = format!("{policy} {custom_id_after_delete:?}");
        let world = world_with(Choices {
            custom_id_after_delete,
            ..Choices::default()
        })
        .await;
        let spec = json!({"identity": {"deletionPolicy": policy}, "token": {"scopes": ["voip"]}});
        let before = alice_with(&world, spec).await;
        // Twice, because what tells the second identity from the first must tell the third from the second.
        let mut seen = vec![identity(&before).unwrap()];
        for _ in 0..2 {
            annotate(&world, "replace-identity", seen.last().unwrap()).await;
            let replaced = world
                .until("alice", "replaced", |user| {
                    let other = identity(user).is_some_and(|id| !seen.contains(&id));
                    other && ready(user).is_some_and(|(ready, _)| ready == "True")
                })
                .await
                .unwrap_or_else(|error| panic!("{context}: {error:#}"));
            seen.push(identity(&replaced).unwrap());
        }
        world.quiet().await;
        let values = world.secret_values("alice").await.unwrap();
        assert_eq!(Some(&values["userId"]), seen.last(), "{context}");
        assert_eq!(
            world.acs().token_state(&values["token"]),
            TokenState::Valid,
            "{context}"
        );
        let (left, made) = if policy == "Retain" { (3, 2) } else { (1, 4) };
        assert_eq!(world.acs().identities().len(), left, "{context}");
        assert_eq!(calls(&world).len(), made, "{context}: {:?}", calls(&world));
    }
}
