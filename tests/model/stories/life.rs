//! What is asked of a settled object: renewal, revocation, another identity.

use acs_operator::api::{DeletionPolicy, names::finalizer};
use acs_operator::decide::{Step, Wish};
use jiff::SignedDuration;

use super::super::edits::Edit;
use super::super::world::{Mishap, Traffic, World, wish};
use super::{changed, identities, identity, ready, revocations, run, run_with, spent, token, user};

#[test]
fn a_renewal_takes_one_call_two_writes_and_a_look_at_what_it_replaces() {
    let mut world = changed(&[Edit::TimePasses]);
    run(&mut world);
    let look = Traffic {
        reads: 1,
        ..spent(1, 2)
    };
    assert_eq!(world.traffic, look);
}

#[test]
fn a_restart_with_nothing_due_does_nothing_and_forgets_nothing() {
    let mut world = changed(&[]);
    assert!(world.replicas[0].memories.is_empty());
    world.restart(0);
    run(&mut world);
    world.now += SignedDuration::from_hours(12);
    run(&mut world);
    assert_eq!(world.traffic, spent(0, 0));
}

#[test]
fn a_revocation_revokes_once_and_hands_out_a_new_token_two_seconds_later() {
    let mut world = changed(&[Edit::AskRevocation]);
    let before = world.now;
    let steps = run(&mut world);
    assert_eq!((revocations(&steps), world.traffic.calls), (1, 2));
    let record = token(&world, "alice");
    assert_eq!(record.issued, before + SignedDuration::from_secs(2));
    assert_eq!(record.request.revoke.as_deref(), Some("request 1"));
    let status = &user(&world).status;
    assert_eq!(status.last_handled_revoke_at.as_deref(), Some("request 1"));
    let told = status.token.as_ref().unwrap().revocation_time.as_ref();
    assert_eq!(told.unwrap().0, before);
    world.restart(0);
    assert_eq!(run(&mut world), [], "a request that is met stays met");
}

#[test]
fn an_identity_without_a_token_can_be_revoked_too() {
    let mut world = World::new(Wish { token: None, ..wish() }, 1, None);
    run(&mut world);
    Edit::AskRevocation.happen(&mut world);
    assert_eq!(revocations(&run(&mut world)), 1);
    assert_eq!(run(&mut world), []);
    assert_eq!(ready(&world), ("True", "IdentityCreated"));
}

#[test]
fn a_token_removed_from_the_spec_goes_with_its_secret_and_is_revoked_every_time() {
    let mut world = changed(&[]);
    for _ in 0..2 {
        Edit::NoToken.happen(&mut world);
        assert_eq!(revocations(&run(&mut world)), 1);
        assert!(world.api.secrets.is_empty());
        assert_eq!(user(&world).status.token, None);
        Edit::TokenAgain.happen(&mut world);
        run(&mut world);
        assert_eq!(ready(&world), ("True", "TokenIssued"));
    }
}

#[test]
fn other_scopes_or_another_lifetime_mean_a_new_token_and_nothing_else_does() {
    let calls_for = |change: fn(&mut Wish)| {
        let mut world = changed(&[]);
        world.change_wish(change);
        run(&mut world);
        world.traffic.calls
    };
    let shorter = |wish: &mut Wish| wish.token.as_mut().unwrap().lifetime = SignedDuration::from_hours(2);
    assert_eq!(calls_for(shorter), 1);
    assert_eq!(calls_for(|wish| wish.token.as_mut().unwrap().scopes.truncate(1)), 1);
    assert_eq!(calls_for(|wish| wish.deletion_policy = Some(DeletionPolicy::Retain)), 0);
    assert_eq!(calls_for(|wish| "other".clone_into(&mut wish.secret.name)), 0);
}

#[test]
fn a_stripped_finalizer_is_put_back_while_an_identity_is_recorded() {
    let mut world = changed(&[Edit::StripFinalizers]);
    run(&mut world);
    assert_eq!(world.traffic, spent(0, 1));
    assert_eq!(user(&world).finalizers, [finalizer::IDENTITY]);
}

#[test]
fn an_identity_that_an_older_object_holds_is_left_to_it() {
    let mut world = changed(&[Edit::TimePasses]);
    Edit::RivalAppears.happen(&mut world);
    run(&mut world);
    assert_eq!(world.traffic.calls, 0);
    assert_eq!(ready(&world), ("False", "IdentityInUse"));
}

#[test]
fn an_identity_is_replaced_on_request() {
    let mut world = changed(&[Edit::AskReplacement]);
    let old = identity(&world);
    run(&mut world);
    assert_eq!(identities(&world), (1, 0));
    assert!(!world.service.identities.contains_key(&old));
    assert_eq!(token(&world, "alice").identity, identity(&world));
}

#[test]
fn an_identity_that_acs_lost_is_said_to_be_gone_while_its_token_seems_valid_and_is_replaced_on_request() {
    for notice in [Edit::TimePasses, Edit::AskRenewal] {
        let mut world = changed(&[Edit::LoseIdentity, notice]);
        run(&mut world);
        assert!(token(&world, "alice").expires > world.now);
        assert_eq!(ready(&world), ("False", "IdentityGone"), "{notice:?}");
        Edit::AskReplacement.happen(&mut world);
        run(&mut world);
        assert_eq!(ready(&world), ("True", "TokenIssued"), "{notice:?}");
    }
}

#[test]
fn a_pinned_identity_is_not_replaced() {
    let mut world = changed(&[Edit::AskReplacement]);
    let id = identity(&world);
    world.change_wish(|wish| wish.pinned_id = Some(id.clone()));
    run(&mut world);
    assert_eq!(world.traffic, spent(0, 1));
    assert_eq!(identity(&world), id);
    assert_eq!(ready(&world), ("False", "InvalidRequest"));
}

#[test]
fn with_custom_ids_an_identity_is_replaced_by_another_one_though_the_old_one_stays_wherever_the_process_is_killed() {
    let retained = Wish {
        deletion_policy: Some(DeletionPolicy::Retain),
        ..wish()
    };
    let mut world = World::new(retained, 1, None);
    world.service.custom_ids = true;
    run(&mut world);
    let old = identity(&world);
    Edit::AskReplacement.happen(&mut world);
    world.traffic = Traffic::default();
    let requests = |world: &World| world.traffic.calls + world.traffic.writes;
    let killed_at = |number: Option<u32>| {
        let mut world = world.clone();
        run_with(&mut world, |world, _: Option<&Step>| {
            if number == Some(requests(world)) {
                Mishap::Killed
            } else {
                Mishap::None
            }
        });
        assert_eq!(identities(&world), (2, 0), "killed at {number:?}");
        assert_ne!(identity(&world), old, "killed at {number:?}");
        assert_eq!(
            token(&world, "alice").identity,
            identity(&world),
            "killed at {number:?}"
        );
        requests(&world)
    };
    let whole = killed_at(None);
    for number in 0..whole {
        killed_at(Some(number));
    }
}
