//! From an object that nobody has looked at yet.

use std::cell::Cell;

use acs_operator::api::CreateAttempt;
use acs_operator::decide::{Decision, FailureKind, Step, TokenWish, Wish};
use jiff::SignedDuration;
use uuid::Uuid;

use super::super::edits::Edit;
use super::super::world::{Mishap, Traffic, World, wish};
use super::{identities, ready, run, run_timed, run_with, spent, user};

fn new() -> World {
    World::new(wish(), 1, None)
}

fn with_custom_ids() -> World {
    let mut world = new();
    world.service.custom_ids = true;
    world
}

/// The answer to the first create is lost.
fn with_a_lost_answer(world: &mut World) {
    let lost = Cell::new(false);
    run_with(world, |_, step| match step {
        Some(Step::CreateIdentity { .. }) if !lost.replace(true) => Mishap::AnswerLost,
        _ => Mishap::None,
    });
}

#[test]
fn a_create_takes_one_call_and_four_writes() {
    let mut world = new();
    run(&mut world);
    assert_eq!(world.traffic, spent(1, 4));
    assert_eq!(ready(&world), ("True", "TokenIssued"));
}

#[test]
fn an_identity_without_a_token_takes_one_call_and_two_writes() {
    let mut world = World::new(Wish { token: None, ..wish() }, 1, None);
    run(&mut world);
    assert_eq!(world.traffic, spent(1, 2));
    assert_eq!(ready(&world), ("True", "IdentityCreated"));
}

#[test]
fn a_revocation_that_is_there_at_the_start_is_met_by_the_first_token() {
    for token in [wish().token, None] {
        let mut world = World::new(Wish { token, ..wish() }, 1, None);
        Edit::AskRevocation.happen(&mut world);
        run(&mut world);
        assert_eq!(world.traffic.calls, 1, "the create and no revocation");
        assert_eq!(user(&world).status.last_handled_revoke_at.as_deref(), Some("request 1"));
    }
}

#[test]
fn a_lost_answer_is_counted_once_before_the_next_create() {
    let mut world = new();
    with_a_lost_answer(&mut world);
    assert_eq!(identities(&world), (2, 1));
    let told = user(&world).status.identity.as_ref().unwrap().suspected_orphans;
    assert_eq!(told, Some(1));
    assert_eq!(ready(&world), ("True", "TokenIssued"));
}

#[test]
fn an_announcement_whose_answer_was_lost_suspects_nothing() {
    let mut world = new();
    let lost = Cell::new(false);
    run_with(&mut world, |_, step| match step {
        Some(Step::Announce(_)) if !lost.replace(true) => Mishap::AnswerLost,
        _ => Mishap::None,
    });
    assert_eq!(identities(&world), (1, 0));
}

/// Neither the watch nor an answer has told of the first announcement when the second is refused for what the first one wrote.
#[test]
fn an_announcement_that_was_carried_out_unnoticed_suspects_nothing_when_the_next_one_meets_it() {
    let mut world = new();
    world.proceed(0, Mishap::AnswerLost);
    let announced = user(&world).attempt.clone();
    assert!(announced.is_some());
    loop {
        match world.decision(0) {
            Some(Decision::Do(step)) if matches!(*step, Step::Announce(_)) => break,
            Some(Decision::Do(_)) => world.proceed(0, Mishap::NotDone),
            _ => world.now += SignedDuration::from_secs(1),
        }
    }
    world.proceed(0, Mishap::None);
    assert_eq!(user(&world).attempt, announced, "it is refused");
    run(&mut world);
    assert_eq!(identities(&world), (1, 0));
}

#[test]
fn a_refused_create_leaves_nothing_to_suspect() {
    for refusal in [
        FailureKind::NotSent,
        FailureKind::Throttled { until: None },
        FailureKind::CredentialRejected,
    ] {
        let mut world = new();
        world.service.refusal = Some(refusal.clone());
        run(&mut world);
        assert_eq!(world.traffic.calls, 2, "{refusal:?}: refused once, then created");
        assert_eq!(identities(&world), (1, 0), "{refusal:?}");
        assert_eq!(ready(&world), ("True", "TokenIssued"), "{refusal:?}");
    }
}

#[test]
fn a_rejected_create_stalls_until_the_spec_changes() {
    let mut world = new();
    world.service.refusal = Some(FailureKind::Rejected);
    run(&mut world);
    assert_eq!(ready(&world), ("False", "InvalidRequest"));
    world.traffic = Traffic::default();
    world.now += SignedDuration::from_hours(100);
    run(&mut world);
    assert_eq!(world.traffic, spent(0, 0));
    Edit::OtherScopes.happen(&mut world);
    run(&mut world);
    assert_eq!(ready(&world), ("True", "TokenIssued"));
    assert_eq!(identities(&world), (1, 0));
}

#[test]
fn an_identity_that_cannot_be_recorded_is_tried_again_ever_more_rarely() {
    let mut world = new();
    let steps = run_timed(&mut world, |world, step| {
        let recorded = world.replicas[0]
            .task
            .as_ref()
            .is_some_and(|task| task.withdraws.is_none());
        if step.is_none() && recorded {
            Mishap::Refused
        } else {
            Mishap::None
        }
    });
    let creates = steps
        .iter()
        .filter(|(step, _)| matches!(step, Step::CreateIdentity { .. }));
    let times: Vec<_> = creates.map(|(_, at)| *at).collect();
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1].duration_since(pair[0])).collect();
    assert!(
        waits.len() > 4 && waits.windows(2).all(|pair| pair[1] > pair[0]),
        "{waits:?}"
    );
    assert_eq!(identities(&world), (0, 0), "every one was deleted again");
}

#[test]
fn a_copy_with_another_uid_is_not_blamed_for_the_attempt_of_its_original() {
    let mut world = new();
    let attempt = CreateAttempt {
        owner_uid: "another".to_owned(),
        attempt: Uuid::from_u128(1),
        custom_id: false,
    };
    world.api.change_user(|user| user.attempt = Some(attempt));
    run(&mut world);
    assert_eq!(identities(&world), (1, 0));
}

#[test]
fn a_token_that_had_expired_on_arrival_never_makes_an_object_ready_and_never_loops() {
    let token = wish().token.map(|token| TokenWish {
        lifetime: SignedDuration::from_hours(-1),
        ..token
    });
    let mut world = World::new(Wish { token, ..wish() }, 1, None);
    let began = world.now;
    run(&mut world);
    assert_eq!(ready(&world), ("False", "TokenExpired"));
    let passed = world.now.duration_since(began).as_secs();
    assert!(passed >= 30, "it is tried again");
    assert!(i64::from(world.traffic.calls) <= 1 + passed / 30, "{passed} s");
}

#[test]
fn with_custom_ids_a_lost_answer_suspects_nothing() {
    let mut world = with_custom_ids();
    with_a_lost_answer(&mut world);
    assert_eq!(identities(&world), (1, 0));
}

#[test]
fn an_unknown_attempt_is_counted_unless_it_and_the_next_one_carry_a_custom_id() {
    for (before, after) in [(false, true), (true, false), (true, true)] {
        let mut world = new();
        world.service.custom_ids = before;
        world.proceed(0, Mishap::None);
        world.proceed(0, Mishap::Killed);
        world.service.custom_ids = after;
        run(&mut world);
        let expected = if before && after { (1, 0) } else { (2, 1) };
        assert_eq!(identities(&world), expected, "custom ids: {before}, then {after}");
        assert_eq!(ready(&world), ("True", "TokenIssued"));
    }
}

#[test]
fn an_attempt_is_sent_as_it_was_announced_or_not_at_all() {
    for before in [false, true] {
        let mut world = new();
        world.service.custom_ids = before;
        world.proceed(0, Mishap::AnswerLost);
        world.service.custom_ids = !before;
        run(&mut world);
        assert_eq!(identities(&world), (1, 0), "custom ids before: {before}");
        let (_, made_by) = world.service.identities.iter().next().unwrap();
        let announced = user(&world).attempt.clone().unwrap();
        assert_eq!((announced.attempt, announced.custom_id), (*made_by, !before));
    }
}

#[test]
fn with_custom_ids_a_refusal_after_a_lost_answer_leaves_the_attempt_in_doubt() {
    for refusal in [FailureKind::Rejected, FailureKind::Throttled { until: None }] {
        let mut world = with_custom_ids();
        // The call whose answer is lost is carried out: the one after it is refused.
        world.service.refusal = Some(refusal.clone());
        with_a_lost_answer(&mut world);
        assert_eq!(world.service.refusal, None);
        Edit::OtherScopes.happen(&mut world);
        run(&mut world);
        assert_eq!(identities(&world), (1, 0), "{refusal:?}");
        assert_eq!(ready(&world), ("True", "TokenIssued"), "{refusal:?}");
    }
}
