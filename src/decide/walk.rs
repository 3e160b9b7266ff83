//! Walks the real decisions through a small world of an API server and ACS, killing the process around every request.

mod life;
mod world;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use uuid::Uuid;

use self::life::wish_for;
use self::world::{Kill, Killed, World, blank};
use super::*;
use crate::api::{CreateAttempt, DeletionPolicy, Reason, Scope, SecretKeys};

fn wish() -> Wish {
    Wish {
        token: Some(TokenWish {
            scopes: vec![Scope::Chat, Scope::Voip],
            lifetime: SignedDuration::from_hours(24),
            renew_before: None,
        }),
        secret: SecretWish {
            name: "alice".into(),
            keys: SecretKeys::default(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        },
        pinned_id: None,
        deletion_policy: None,
        suspend: false,
    }
}

fn created() -> World {
    let mut world = World::with_user(wish());
    world.run();
    world
}

fn marked_for_deletion() -> World {
    let mut world = created();
    world.delete();
    (world.acs_calls, world.writes) = (0, 0);
    world
}

/// Runs a scenario whole, then again with the process killed before and after each of its requests; by the process that
/// knows the object, and by one that has just started.
fn with_every_kill(scenario: impl Fn() -> World) {
    with_every_kill_of(&scenario);
    with_every_kill_of(&|| {
        let mut world = scenario();
        world.restart();
        world
    });
}

fn with_every_kill_of(scenario: &dyn Fn() -> World) {
    let mut whole = scenario();
    whole.run();
    whole.check("no kill");
    for number in 0..whole.requests() {
        for kill in [Kill::Before(number), Kill::After(number)] {
            let mut world = scenario();
            world.kill = Some(kill);
            world.run();
            world.check(&format!("{kill:?}"));
            if world.user.is_some() {
                assert_eq!(world.ready().0, "True", "{kill:?}");
            }
        }
    }
}

#[test]
fn a_create_takes_one_call_and_four_writes() {
    let world = created();
    assert_eq!((world.acs_calls, world.writes), (1, 4));
    assert_eq!(world.ready(), ("True".into(), "TokenIssued".into()));
}

#[test]
fn an_identity_without_a_token_takes_one_call_and_two_writes() {
    let mut world = World::with_user(Wish { token: None, ..wish() });
    world.run();
    assert_eq!((world.acs_calls, world.writes), (1, 2));
    assert_eq!(world.ready(), ("True".into(), "IdentityCreated".into()));
}

#[test]
fn a_renewal_takes_one_call_and_two_writes() {
    let mut world = created();
    (world.acs_calls, world.writes) = (0, 0);
    world.now += SignedDuration::from_hours(16);
    world.run();
    assert_eq!((world.acs_calls, world.writes), (1, 2));
}

#[test]
fn a_restart_with_nothing_due_does_nothing() {
    let mut world = created();
    (world.acs_calls, world.writes) = (0, 0);
    world.restart();
    world.run();
    world.now += SignedDuration::from_hours(13);
    world.run();
    assert_eq!((world.acs_calls, world.writes), (0, 0));
}

#[test]
fn a_create_killed_anywhere_leaves_one_identity_or_a_counted_orphan() {
    with_every_kill(|| World::with_user(wish()));
}

#[test]
fn a_deletion_killed_anywhere_leaves_nothing() {
    with_every_kill(marked_for_deletion);
}

#[test]
fn a_deletion_takes_one_call_and_two_writes() {
    let mut world = marked_for_deletion();
    world.run();
    assert_eq!((world.acs_calls, world.writes), (1, 2));
    assert!(world.user.is_none() && world.identities.is_empty());
}

#[test]
fn an_object_deleted_while_its_create_is_killed_anywhere_leaves_nothing_uncounted() {
    for number in 0..5 {
        for kill in [Kill::Before(number), Kill::After(number)] {
            let mut world = World::with_user(wish());
            world.kill = Some(kill);
            let mut o = world.observe(blank()).unwrap();
            while let Decision::Do(step) = decide(&o, world.now) {
                match world.perform(&o, &step) {
                    Ok(outcome) => o = advance(o, &step, outcome, world.now),
                    Err(Killed) => break,
                }
            }
            world.delete();
            world.run();
            world.check(&format!("{kill:?}"));
        }
    }
}

#[test]
fn with_custom_ids_a_deletion_finds_and_deletes_what_an_unknown_attempt_made() {
    let mut world = World::with_user(wish());
    world.custom_ids = true;
    world.kill = Some(Kill::After(1));
    let mut o = world.observe(blank()).unwrap();
    while let Decision::Do(step) = decide(&o, world.now) {
        let Ok(outcome) = world.perform(&o, &step) else { break };
        o = advance(o, &step, outcome, world.now);
    }
    assert_eq!(world.identities.len(), 1, "made, and recorded nowhere");
    world.delete();
    world.run();
    assert!(world.user.is_none());
    assert_eq!((world.identities.len(), world.suspected), (0, 0));
}

#[test]
fn a_lost_answer_is_counted_before_the_next_create() {
    let mut world = World::with_user(wish());
    world.acs_fails = vec![FailureKind::InDoubt];
    world.run();
    assert_eq!((world.identities.len(), world.suspected), (2, 1));
    world.check("after a lost answer");
}

#[test]
fn a_refused_create_leaves_nothing_to_suspect() {
    for kind in [
        FailureKind::NotSent,
        FailureKind::Throttled { until: None },
        FailureKind::CredentialRejected,
    ] {
        let mut world = World::with_user(wish());
        world.acs_fails = vec![kind];
        world.run();
        assert_eq!((world.identities.len(), world.suspected), (1, 0));
        assert_eq!(world.ready().0, "True");
    }
}

#[test]
fn a_rejected_create_stalls_until_the_spec_changes() {
    let mut world = World::with_user(wish());
    world.acs_fails = vec![FailureKind::Rejected];
    world.run();
    assert_eq!(world.ready(), ("False".into(), "InvalidRequest".into()));
    let calls = world.acs_calls;
    world.run();
    assert_eq!(world.acs_calls, calls);
    wish_for(&mut world, |wish| {
        wish.token.as_mut().unwrap().scopes = vec![Scope::Chat];
    });
    world.run();
    assert_eq!(world.ready(), ("True".into(), "TokenIssued".into()));
}

#[test]
fn a_retained_identity_outlives_its_object() {
    let mut world = World::with_user(Wish {
        deletion_policy: Some(DeletionPolicy::Retain),
        ..wish()
    });
    world.run();
    world.delete();
    world.run();
    assert!(world.user.is_none() && world.secrets.is_empty());
    assert_eq!(world.identities.len(), 1);
}

#[test]
fn a_copy_with_another_uid_is_not_blamed_for_the_attempt_of_its_original() {
    let mut world = World::with_user(wish());
    let attempt = CreateAttempt {
        owner_uid: "another".into(),
        attempt: Uuid::new_v4(),
    };
    world.user.as_mut().unwrap().attempt = Some(attempt);
    world.run();
    assert_eq!((world.identities.len(), world.suspected), (1, 0));
}

#[test]
fn a_late_renewal_keeps_the_object_ready_until_the_token_expires() {
    let mut world = created();
    let outage = FailureKind::Transient { until: None };
    world.now += SignedDuration::from_hours(16);
    let mut o = world.observe(blank()).unwrap();
    let step = Step::IssueToken {
        id: String::new(),
        order: TokenOrder {
            scopes: vec![],
            lifetime: SignedDuration::ZERO,
            request: TokenRequest::default(),
        },
        cause: IssueCause::Renewal,
    };
    let failure = Failure {
        kind: outage,
        operation: Operation::Issue,
        words: "503 from ACS".into(),
    };
    o = advance(o, &step, Outcome::Failed(failure), world.now);
    let verdict = |o: &Observed, now| match decide(o, now) {
        Decision::Do(step) => match *step {
            Step::WriteStatus { status, .. } => {
                (status.conditions[0].status.clone(), status.conditions[0].reason.clone())
            }
            other => panic!("{other:?}"),
        },
        Decision::Settled { .. } => panic!("nothing to say"),
    };
    assert_eq!(
        verdict(&o, world.now),
        ("True".into(), Reason::RenewalDelayed.as_str().into())
    );
    let after_expiry = world.now + SignedDuration::from_hours(8);
    o.memory.trouble.as_mut().unwrap().retry_at = Some(after_expiry + SignedDuration::from_secs(1));
    assert_eq!(
        verdict(&o, after_expiry),
        ("False".into(), Reason::TokenExpired.as_str().into())
    );
}

#[test]
fn a_token_that_had_expired_on_arrival_never_makes_an_object_ready_and_never_loops() {
    let mut world = World::with_user(Wish {
        token: Some(TokenWish {
            lifetime: SignedDuration::from_hours(-1),
            ..wish().token.unwrap()
        }),
        ..wish()
    });
    world.run();
    assert_eq!(world.ready(), ("False".into(), "TokenExpired".into()));
    let calls = world.acs_calls;
    world.run();
    assert_eq!(world.acs_calls, calls);
}

#[test]
fn an_identity_that_is_gone_is_said_so_even_while_its_token_seems_valid() {
    let mut world = created();
    world.now += SignedDuration::from_hours(16);
    world.acs_fails = vec![FailureKind::Gone];
    world.run();
    assert_eq!(world.ready(), ("False".into(), "IdentityGone".into()));
}

#[test]
fn an_identity_that_cannot_be_recorded_is_tried_again_ever_more_rarely() {
    let mut o = World::with_user(wish()).observe(blank()).unwrap();
    let mut now = World::with_user(wish()).now;
    let mut waits = Vec::new();
    for _ in 0..6 {
        // Create, withdraw, settle in status: what a policy that refuses only the id makes of it.
        let attempt = Uuid::new_v4();
        let announce = Step::Announce { attempt };
        let mut user = o.user.clone();
        user.attempt = Some(CreateAttempt {
            owner_uid: user.uid.clone(),
            attempt,
        });
        o = advance(o, &announce, Outcome::Announced(Box::new(user)), now);
        let create = Step::CreateIdentity { attempt, token: None };
        let failure = Failure {
            kind: FailureKind::WriteRefused,
            operation: Operation::Create,
            words: "refused".into(),
        };
        o = advance(o, &create, Outcome::Withdrawn { failure }, now);
        while let Decision::Do(step) = decide(&o, now) {
            let Step::WriteStatus { status, .. } = &*step else {
                panic!("{step:?} without a pause");
            };
            let mut user = o.user.clone();
            user.status = (**status).clone();
            o = advance(o, &step, Outcome::StatusWritten(Box::new(user)), now);
        }
        let Decision::Settled { wake_at: Some(at) } = decide(&o, now) else {
            panic!("nothing wakes it");
        };
        waits.push(at.duration_since(now));
        now = at;
    }
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0]), "{waits:?}");
}

#[test]
fn an_announcement_whose_answer_was_lost_suspects_nothing() {
    let world = World::with_user(wish());
    let mut o = world.observe(blank()).unwrap();
    let attempt = Uuid::new_v4();
    let failure = Failure {
        kind: FailureKind::Transient { until: None },
        operation: Operation::Write,
        words: "no answer".into(),
    };
    o = advance(o, &Step::Announce { attempt }, Outcome::Failed(failure), world.now);
    o.user.attempt = Some(CreateAttempt {
        owner_uid: o.user.uid.clone(),
        attempt,
    });
    let later = world.now + SignedDuration::from_secs(2);
    assert!(matches!(decide(&o, later), Decision::Do(step) if matches!(*step, Step::CreateIdentity { .. })));
}

#[test]
fn an_object_in_line_says_so_and_is_not_ready_once_its_token_has_expired() {
    let mut world = created();
    world.now += SignedDuration::from_hours(16);
    world.memory.in_line = Some(world.now + SignedDuration::from_hours(10));
    world.run();
    assert_eq!(world.ready(), ("True".into(), "RenewalDelayed".into()));
    world.now += SignedDuration::from_hours(8);
    world.run();
    assert_eq!(world.ready(), ("False".into(), "TokenExpired".into()));
    world.now += SignedDuration::from_hours(2);
    world.run();
    assert_eq!(world.ready(), ("True".into(), "TokenIssued".into()));
}
