//! What is asked of a settled object, and what happens to its Secret.

use jiff::SignedDuration;

use super::world::{Kill, World};
use super::{created, wish, with_every_kill};
use crate::api::{DeletionPolicy, Scope};
use crate::decide::{FailureKind, Requests, User, Wish};

/// The world after `change` of a settled object, with its counters at zero.
fn changed(change: impl FnOnce(&mut World)) -> World {
    let mut world = created();
    (world.acs_calls, world.writes) = (0, 0);
    world.now += SignedDuration::from_hours(1);
    change(&mut world);
    world
}

fn edit(world: &mut World, edit: impl FnOnce(&mut User)) {
    edit(world.user.as_mut().unwrap());
}

fn ask(world: &mut World, ask: impl FnOnce(&mut Requests)) {
    edit(world, |user| ask(&mut user.requests));
}

pub(super) fn wish_for(world: &mut World, change: impl FnOnce(&mut Wish)) {
    edit(world, |user| {
        user.generation += 1;
        change(user.wish.as_mut().unwrap());
    });
}

#[test]
fn a_revocation_revokes_once_and_hands_out_a_new_token_two_seconds_later() {
    let mut world = changed(|world| ask(world, |asked| asked.revoke = Some("now".into())));
    let before = world.now;
    world.run();
    assert_eq!((world.revocations, world.acs_calls), (1, 2));
    let (_, record) = &world.secrets["alice"];
    assert!(record.issued >= before + SignedDuration::from_secs(2));
    assert_eq!(record.request.revoke.as_deref(), Some("now"));
    let status = &world.user().status;
    assert_eq!(status.last_handled_revoke_at.as_deref(), Some("now"));
    assert_eq!(
        status.token.as_ref().unwrap().revocation_time.as_ref().unwrap().0,
        before
    );
    world.run();
    assert_eq!(world.revocations, 1, "a request that is met stays met");
}

#[test]
fn a_revocation_killed_anywhere_never_revokes_the_token_that_it_handed_out() {
    with_every_kill(|| changed(|world| ask(world, |asked| asked.revoke = Some("now".into()))));
    for number in 0..5 {
        let mut world = changed(|world| ask(world, |asked| asked.revoke = Some("now".into())));
        world.kill = Some(Kill::After(number));
        world.run();
        let (_, record) = &world.secrets["alice"];
        assert!(
            record.issued >= world.revoked_at.unwrap() + SignedDuration::from_secs(2),
            "killed after {number}"
        );
    }
}

#[test]
fn a_revocation_that_is_there_at_the_start_is_met_by_the_first_token() {
    for token in [wish().token, None] {
        let mut world = World::with_user(Wish { token, ..wish() });
        ask(&mut world, |asked| asked.revoke = Some("at birth".into()));
        world.run();
        assert_eq!((world.revocations, world.acs_calls), (0, 1));
        assert_eq!(world.user().status.last_handled_revoke_at.as_deref(), Some("at birth"));
    }
}

#[test]
fn an_identity_without_a_token_can_be_revoked_too() {
    let mut world = World::with_user(Wish { token: None, ..wish() });
    world.run();
    ask(&mut world, |asked| asked.revoke = Some("now".into()));
    world.run();
    world.run();
    assert_eq!(world.revocations, 1);
    assert_eq!(world.ready(), ("True".into(), "IdentityCreated".into()));
}

#[test]
fn a_token_removed_from_the_spec_goes_with_its_secret_and_is_revoked_wherever_the_process_is_killed() {
    let scenario = || changed(|world| wish_for(world, |wish| wish.token = None));
    with_every_kill(scenario);
    for number in 0..4 {
        for kill in [Kill::Before(number), Kill::After(number)] {
            let mut world = scenario();
            world.kill = Some(kill);
            world.run();
            assert!(world.secrets.is_empty() && world.revocations >= 1, "{kill:?}");
            assert_eq!(world.user().status.token, None);
        }
    }
    let mut world = scenario();
    world.run();
    wish_for(&mut world, |wanted| wanted.token = wish().token);
    world.run();
    assert_eq!(world.ready(), ("True".into(), "TokenIssued".into()));
    wish_for(&mut world, |wish| wish.token = None);
    world.run();
    assert_eq!(world.revocations, 2, "removed once more, revoked once more");
}

#[test]
fn other_scopes_or_another_lifetime_mean_a_new_token_and_nothing_else_does() {
    let mut world = changed(|world| wish_for(world, |wish| wish.token.as_mut().unwrap().scopes = vec![Scope::Chat]));
    world.run();
    assert_eq!(world.acs_calls, 1);
    let mut world = changed(|world| {
        wish_for(world, |wish| {
            wish.token.as_mut().unwrap().lifetime = SignedDuration::from_hours(2);
        });
    });
    world.run();
    assert_eq!(world.acs_calls, 1);
    let mut world = changed(|world| wish_for(world, |wish| wish.deletion_policy = Some(DeletionPolicy::Retain)));
    world.run();
    assert_eq!(world.acs_calls, 0);
}

#[test]
fn a_renamed_secret_keeps_its_token_and_the_old_one_goes() {
    let rename = || changed(|world| wish_for(world, |wish| wish.secret.name = "other".into()));
    with_every_kill(rename);
    let mut world = rename();
    let token = world.secrets["alice"].1.sha256.clone();
    world.run();
    assert_eq!(world.acs_calls, 0);
    assert_eq!(world.secrets.keys().collect::<Vec<_>>(), ["other"]);
    assert_eq!(world.secrets["other"].1.sha256, token);
}

#[test]
fn another_layout_is_written_with_the_same_token() {
    let relabel = || {
        changed(|world| {
            wish_for(world, |wish| {
                wish.secret.labels.insert("team".into(), "support".into());
            });
        })
    };
    with_every_kill(relabel);
    let mut world = relabel();
    let token = world.secrets["alice"].1.sha256.clone();
    world.run();
    assert_eq!((world.acs_calls, world.secrets["alice"].1.sha256 == token), (0, true));
    world.run();
    assert_eq!(world.writes, 2, "the Secret and its record in status, once");
}

#[test]
fn an_edited_secret_is_put_right_with_the_same_token_and_a_damaged_token_is_replaced() {
    let mut world = changed(|world| {
        world.astray = true;
        world.touch_secret();
    });
    world.run();
    assert_eq!((world.acs_calls, world.writes), (0, 2));

    let mut world = changed(|world| {
        world.damaged = true;
        world.touch_secret();
    });
    let lost = world.secrets["alice"].1.sha256.clone();
    world.run();
    assert_eq!((world.acs_calls, world.writes), (1, 2));
    assert_ne!(world.secrets["alice"].1.sha256, lost);
}

#[test]
fn a_secret_that_changed_without_harm_is_only_recorded() {
    let mut world = changed(World::touch_secret);
    world.run();
    assert_eq!((world.acs_calls, world.writes), (0, 1));
}

#[test]
fn a_stripped_finalizer_is_put_back_while_an_identity_is_recorded() {
    let mut world = changed(|world| edit(world, |user| user.finalizers.clear()));
    world.run();
    assert_eq!((world.acs_calls, world.writes), (0, 1));
    assert_eq!(world.user().finalizers, [crate::api::names::finalizer::IDENTITY]);
}

#[test]
fn a_restored_object_uses_its_identity_on_and_keeps_it_when_it_goes() {
    let mut world = changed(|world| {
        world.secrets.clear();
        edit(world, |user| user.uid = "u-2".into());
    });
    world.run();
    assert_eq!(world.identities.len(), 1);
    assert_eq!(world.ready(), ("True".into(), "TokenIssued".into()));
    let origin = world.user().status.identity.as_ref().unwrap().origin.clone();
    assert_eq!(origin, Some(crate::api::Origin::Restored));
    world.delete();
    world.run();
    assert!(world.user.is_none());
    assert_eq!(world.identities.len(), 1);
}

#[test]
fn a_copy_that_is_deleted_before_it_was_ever_looked_at_keeps_the_identity() {
    let mut world = changed(|world| {
        edit(world, |user| user.uid = "u-2".into());
        world.secrets.clear();
        world.delete();
    });
    world.run();
    assert!(world.user.is_none());
    assert_eq!(world.identities.len(), 1);
}

#[test]
fn an_identity_that_an_older_object_holds_is_left_to_it() {
    let mut world = changed(|world| world.rival = Some("CommunicationUser team/first".into()));
    world.now += SignedDuration::from_hours(20);
    world.run();
    assert_eq!(world.acs_calls, 0);
    assert_eq!(world.ready(), ("False".into(), "IdentityInUse".into()));
}

#[test]
fn an_identity_is_replaced_on_request_wherever_the_process_is_killed() {
    let replace = || {
        changed(|world| {
            let id = world.identities.first().cloned();
            ask(world, |asked| asked.replace = id);
        })
    };
    with_every_kill(replace);
    let mut world = replace();
    let old = world.identities.first().cloned().unwrap();
    world.run();
    assert_eq!(world.identities.len(), 1);
    assert!(!world.identities.contains(&old));
    assert_eq!(world.secrets["alice"].1.identity, *world.identities.first().unwrap());
}

#[test]
fn an_identity_that_acs_lost_is_replaced_on_request() {
    let mut world = changed(|world| ask(world, |asked| asked.renew = Some("now".into())));
    world.acs_fails = vec![FailureKind::Gone];
    world.run();
    assert_eq!(world.ready(), ("False".into(), "IdentityGone".into()));
    let old = world.identities.pop_first();
    ask(&mut world, |asked| asked.replace = old);
    world.run();
    assert_eq!(world.ready(), ("True".into(), "TokenIssued".into()));
}

#[test]
fn with_custom_ids_a_lost_answer_suspects_nothing() {
    let mut world = World::with_user(wish());
    world.custom_ids = true;
    world.acs_fails = vec![FailureKind::InDoubt];
    world.run();
    assert_eq!((world.identities.len(), world.suspected), (1, 0));
}

#[test]
fn with_custom_ids_an_identity_is_replaced_by_another_one_though_the_old_one_stays() {
    let replace = || {
        let mut world = World::with_user(Wish {
            deletion_policy: Some(DeletionPolicy::Retain),
            ..wish()
        });
        world.custom_ids = true;
        world.run();
        let id = world.identities.first().cloned();
        ask(&mut world, |asked| asked.replace = id);
        (world.acs_calls, world.writes) = (0, 0);
        world
    };
    let mut world = replace();
    let old = world.identities.first().cloned().unwrap();
    world.run();
    assert_eq!((world.identities.len(), world.suspected), (2, 0));
    assert_ne!(world.secrets["alice"].1.identity, old);
    for number in 0..world.requests() {
        for kill in [Kill::Before(number), Kill::After(number)] {
            let mut world = replace();
            world.kill = Some(kill);
            world.run();
            assert_eq!((world.identities.len(), world.suspected), (2, 0), "{kill:?}");
        }
    }
}

#[test]
fn with_custom_ids_a_refusal_after_a_lost_answer_leaves_the_attempt_in_doubt() {
    for refusal in [FailureKind::Rejected, FailureKind::Throttled { until: None }] {
        let mut world = World::with_user(wish());
        world.custom_ids = true;
        // The last one comes first.
        world.acs_fails = vec![refusal, FailureKind::InDoubt];
        world.run();
        wish_for(&mut world, |wish| {
            wish.token.as_mut().unwrap().scopes = vec![Scope::Chat];
        });
        world.run();
        assert_eq!((world.identities.len(), world.suspected), (1, 0));
    }
}
