//! What an object says of itself while no new token can be had.

use acs_operator::decide::{
    Bottleneck, Decision, Failure, FailureKind, InLine, Operation, Outcome, Step, advance, decide,
};
use jiff::SignedDuration;

use super::super::edits::Edit;
use super::super::world::{Mishap, World, wish};
use super::{changed, message, ready, run, run_with, spent};

/// Lets the world go on while no token is issued.
fn run_without_service(world: &mut World) {
    run_with(world, |_, step| match step {
        Some(Step::IssueToken { .. }) => Mishap::NotDone,
        _ => Mishap::None,
    });
}

/// Lets the world go on to the step that `is_it` knows, which is about to be done.
fn until_step(world: &mut World, is_it: fn(&Step) -> bool) -> Box<Step> {
    loop {
        match world.decision(0) {
            Some(Decision::Do(step)) if is_it(&step) => return step,
            Some(Decision::Do(_)) => world.proceed(0, Mishap::None),
            next => panic!("{next:?}"),
        }
    }
}

#[test]
fn a_call_that_was_sent_before_acs_was_back_and_failed_after_it_is_made_again_at_once() {
    let mut world = changed(&[Edit::TimePasses]);
    let step = until_step(&mut world, |step| matches!(step, Step::IssueToken { .. }));
    let sent = world.now;
    let after = |seconds| sent + SignedDuration::from_secs(seconds);
    let failure = Failure {
        kind: FailureKind::Transient { until: None },
        operation: Operation::Issue,
        words: "no answer within 30 s".to_owned(),
    };
    let mut o = world.replicas[0].run.as_ref().unwrap().o.clone();
    o.this_run.step_begun = Some(sent);
    let mut o = advance(o, &step, Outcome::Failed(failure), after(30));
    let next = decide(&o, after(30));
    assert!(!leads_to_a_token(&next), "{next:?}");
    o.connection.repaired = Some(after(10));
    let next = decide(&o, after(30));
    assert!(leads_to_a_token(&next), "{next:?}");
    // It was good before, too.
    o.connection.repaired = Some(after(-10));
    let next = decide(&o, after(30));
    assert!(!leads_to_a_token(&next), "{next:?}");
}

/// Whether a token is issued next, at once or once it is known that its Secret may be written.
fn leads_to_a_token(decision: &Decision) -> bool {
    let Decision::Do(step) = decision else { return false };
    matches!(**step, Step::TrySecret { .. } | Step::IssueToken { .. })
}

/// Puts the object in line for hours.
fn queue(world: &mut World, hours: i64) {
    queue_behind(world, Bottleneck::RateLimits, hours);
}

fn queue_behind(world: &mut World, behind: Bottleneck, hours: i64) {
    let turn = world.now + SignedDuration::from_hours(hours);
    world.replicas[0].in_line = Some(InLine { turn, behind });
}

#[test]
fn a_late_renewal_keeps_the_object_ready_until_the_token_expires() {
    let mut world = changed(&[Edit::TimePasses]);
    run_without_service(&mut world);
    assert_eq!(ready(&world), ("True", "RenewalDelayed"));
    world.now += SignedDuration::from_hours(8);
    run_without_service(&mut world);
    assert_eq!(ready(&world), ("False", "TokenExpired"));
    world.now += SignedDuration::from_hours(1);
    run(&mut world);
    assert_eq!(ready(&world), ("True", "TokenIssued"));
}

#[test]
fn an_object_in_line_says_so_and_is_not_ready_once_its_token_has_expired() {
    let mut world = changed(&[Edit::TimePasses]);
    queue(&mut world, 10);
    run(&mut world);
    assert_eq!(ready(&world), ("True", "RenewalDelayed"));
    assert!(message(&world).contains("its renewal is delayed: the next call to ACS waits for its turn"));
    world.now += SignedDuration::from_hours(8);
    run(&mut world);
    assert_eq!(ready(&world), ("False", "TokenExpired"));
    assert!(message(&world).contains("there is no new one: the next call to ACS waits for its turn"));
    assert_eq!(world.traffic, spent(0, 2));
    world.now += SignedDuration::from_hours(2);
    run(&mut world);
    assert_eq!(ready(&world), ("True", "TokenIssued"));
}

#[test]
fn a_new_object_in_line_says_so_and_is_created_at_its_turn() {
    let mut world = World::new(wish(), 1, None);
    queue(&mut world, 2);
    run(&mut world);
    assert_eq!(ready(&world), ("False", "Throttled"));
    assert!(message(&world).starts_with("The next call to ACS waits for its turn"));
    assert_eq!(world.traffic, spent(0, 1));
    world.now += SignedDuration::from_hours(2);
    run(&mut world);
    assert_eq!(ready(&world), ("True", "TokenIssued"));
}

#[test]
fn a_new_object_that_waits_because_the_creates_of_others_fail_says_so_and_announces_nothing() {
    let mut world = World::new(wish(), 1, None);
    queue_behind(&mut world, Bottleneck::DoubtfulCreates, 2);
    let steps = run(&mut world);
    assert!(
        steps.iter().all(|step| matches!(step, Step::WriteStatus { .. })),
        "{steps:?}"
    );
    assert_eq!(ready(&world), ("False", "ServiceUnavailable"));
    assert!(
        message(&world).starts_with("The create waits for its turn"),
        "{}",
        message(&world)
    );
}

#[test]
fn an_announced_create_in_line_says_so_and_does_not_hurry() {
    let mut world = World::new(wish(), 1, None);
    world.show_object(0);
    world.proceed(0, Mishap::AnswerLost);
    queue(&mut world, 2);
    let turn = world.replicas[0].in_line;
    world.replicas[0].run.as_mut().unwrap().o.this_run.in_line = turn;
    let steps = run(&mut world);
    assert!(
        steps.iter().all(|step| matches!(step, Step::WriteStatus { .. })),
        "{steps:?}"
    );
    assert_eq!(ready(&world), ("False", "Throttled"));
    world.now += SignedDuration::from_hours(2);
    run(&mut world);
    assert_eq!(ready(&world), ("True", "TokenIssued"));
}

#[test]
fn a_revocation_does_not_wait_for_what_keeps_a_new_token_from_being_issued() {
    let mut world = changed(&[Edit::TimePasses]);
    let failure = Failure {
        kind: FailureKind::Transient {
            until: Some(world.now + SignedDuration::from_hours(1)),
        },
        operation: Operation::Issue,
        words: "503".to_owned(),
    };
    let step = until_step(&mut world, |step| matches!(step, Step::IssueToken { .. }));
    let mut o = world.replicas[0].run.as_ref().unwrap().o.clone();
    o = advance(o, &step, Outcome::Failed(failure), world.now);
    assert!(!leads_to_a_token(&decide(&o, world.now)));
    o.user.requests.revoke = Some("now".to_owned());
    let next = decide(&o, world.now);
    assert!(
        matches!(&next, Decision::Do(step) if matches!(**step, Step::AnnounceRevocation { .. })),
        "{next:?}"
    );
}

#[test]
fn a_look_at_the_secret_before_a_revocation_is_not_repeated_at_once_where_it_fails_and_status_says_so() {
    let mut world = changed(&[Edit::AskRevocation]);
    world.show_object(0);
    let is_look = |step: &Step| matches!(step, Step::LookAtSecret { .. });
    let step = until_step(&mut world, is_look);
    let (o, now) = (world.replicas[0].run.as_ref().unwrap().o.clone(), world.now);
    let after = |operation| {
        let failure = Failure {
            kind: FailureKind::Transient { until: None },
            operation,
            words: "could not read Secret alice: 503".to_owned(),
        };
        advance(o.clone(), &step, Outcome::Failed(failure), now)
    };
    let next = |o, now| match decide(o, now) {
        Decision::Do(step) => *step,
        settled @ Decision::Settled { .. } => panic!("{settled:?}"),
    };
    let failed = after(Operation::Look);
    let Step::WriteStatus { status, .. } = next(&failed, now) else {
        panic!("{:?}", next(&failed, now))
    };
    let message = &status.conditions[0].message;
    assert!(message.starts_with("Could not read Secret alice: 503"), "{message}");
    assert!(is_look(&next(&failed, now + SignedDuration::from_secs(1))));
    // Nothing else that is wrong with the Secret keeps a revocation waiting.
    assert!(is_look(&next(&after(Operation::Write), now)));
}

#[test]
fn a_token_is_replaced_a_minute_after_a_revocation_without_an_answer_and_after_no_other() {
    for (mishap, tokens) in [(Mishap::None, 1), (Mishap::AnswerLost, 2)] {
        let mut world = changed(&[Edit::AskRevocation]);
        let is_met = std::cell::Cell::new(false);
        let steps = run_with(&mut world, |_, step| match step {
            Some(Step::RevokeTokens { .. }) if !is_met.replace(true) => mishap,
            _ => Mishap::None,
        });
        let issued = steps.iter().filter(|step| matches!(step, Step::IssueToken { .. }));
        assert_eq!(issued.count(), tokens, "{mishap:?}: {steps:?}");
        assert!(
            world.replicas[0]
                .memories
                .values()
                .all(|memory| memory.revoke_in_doubt.is_none())
        );
    }
}
