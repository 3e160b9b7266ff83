//! What a deletion takes along, and what it leaves.

use acs_operator::api::{DeletionPolicy, Origin};
use acs_operator::decide::{
    Decision, Failure, FailureKind, Operation, Outcome, Step, Wish, advance, decide, later, resource_of,
};
use jiff::SignedDuration;

use super::super::edits::Edit;
use super::super::world::{Mishap, World, wish};
use super::{changed, identities, ready, run, spent, user};

/// A copy under another uid, as a backup makes it; the Secret of the original goes.
fn restored() -> World {
    let mut world = changed(&[Edit::Restore]);
    world.api.collect_garbage();
    world
}

#[test]
fn a_deletion_takes_one_call_and_two_writes() {
    let mut world = changed(&[Edit::Delete]);
    run(&mut world);
    assert_eq!(world.traffic, spent(1, 2));
    assert!(world.api.user.is_none() && world.api.secrets.is_empty());
    assert_eq!(identities(&world), (0, 0));
}

#[test]
fn a_retained_identity_outlives_its_object() {
    let retained = Wish {
        deletion_policy: Some(DeletionPolicy::Retain),
        ..wish()
    };
    let mut world = World::new(retained, 1, None);
    run(&mut world);
    Edit::Delete.happen(&mut world);
    run(&mut world);
    assert!(world.api.user.is_none() && world.api.secrets.is_empty());
    assert_eq!(identities(&world), (1, 0));
}

#[test]
fn a_restored_object_uses_its_identity_on_and_keeps_it_when_it_goes() {
    let mut world = restored();
    run(&mut world);
    assert_eq!(identities(&world), (1, 0));
    assert_eq!(ready(&world), ("True", "TokenIssued"));
    let identity = user(&world).status.identity.as_ref().unwrap();
    assert_eq!(identity.origin, Some(Origin::Restored));
    Edit::Delete.happen(&mut world);
    run(&mut world);
    assert!(world.api.user.is_none());
    assert_eq!(identities(&world), (1, 0));
}

#[test]
fn a_copy_that_is_deleted_before_it_was_ever_looked_at_keeps_the_identity() {
    let mut world = restored();
    Edit::Delete.happen(&mut world);
    run(&mut world);
    assert!(world.api.user.is_none());
    assert_eq!(identities(&world), (1, 0));
}

#[test]
fn with_custom_ids_a_deletion_finds_and_deletes_what_an_unknown_attempt_made() {
    let mut world = World::new(wish(), 1, None);
    world.service.custom_ids = true;
    world.proceed(0, Mishap::None);
    world.proceed(0, Mishap::Killed);
    assert_eq!(identities(&world), (1, 0), "made, and recorded nowhere");
    Edit::Delete.happen(&mut world);
    run(&mut world);
    assert!(world.api.user.is_none());
    assert_eq!(identities(&world), (0, 0));
}

/// That ACS does not know it is said once: whatever else fails until the object goes, it is not asked again.
#[test]
fn an_identity_that_is_proven_gone_stays_so_while_its_secret_cannot_be_deleted() {
    let mut world = changed(&[Edit::Delete]);
    world.show_object(0);
    let Some(Decision::Do(step)) = world.decision(0) else {
        panic!("there is something to do")
    };
    assert!(matches!(*step, Step::DeleteIdentity { .. }), "{step:?}");
    let mut o = world.observe(0).unwrap();
    let id = o.identity_id().unwrap().to_owned();
    o.connection.resource_id = resource_of(&id).map(str::to_owned);
    let failed = |kind, operation| {
        Outcome::Failed(Failure {
            kind,
            operation,
            words: "no".to_owned(),
        })
    };
    o = advance(o, &step, failed(FailureKind::NotOwned, Operation::Delete), world.now);
    o.connection.proven = Some(later(world.now, SignedDuration::from_secs(1)));
    let now = later(world.now, SignedDuration::from_secs(2));
    let Decision::Do(step) = decide(&o, now) else {
        panic!("its Secret is to be deleted")
    };
    assert!(matches!(*step, Step::DeleteSecret(_)), "{step:?}");
    o = advance(o, &step, failed(FailureKind::WriteRefused, Operation::Write), now);
    let next = decide(&o, later(now, SignedDuration::from_mins(10)));
    assert!(
        matches!(&next, Decision::Do(step) if matches!(**step, Step::DeleteSecret(_))),
        "{next:?}"
    );
}
