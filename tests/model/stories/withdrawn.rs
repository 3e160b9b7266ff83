//! Requests that are taken back or changed after they were carried out, or half carried out: what was done is not forgotten, not by
//! another process either.

use acs_operator::decide::{Decision, Step};
use jiff::SignedDuration;

use super::super::edits::Edit;
use super::super::world::{Mishap, World};
use super::{changed, identity, message, ready, revocations, run, token, user};

/// The world goes on up to such a step, to whose request `mishap` happens.
fn up_to(world: &mut World, is_it: fn(&Step) -> bool, mishap: Mishap) {
    for _ in 0..20 {
        world.show_object(0);
        world.show_secrets(0);
        let found = matches!(world.decision(0), Some(Decision::Do(step)) if is_it(&step));
        world.proceed(0, if found { mishap } else { Mishap::None });
        if found {
            return;
        }
    }
    unreachable!("there is no such step");
}

fn is_revocation(step: &Step) -> bool {
    matches!(step, Step::RevokeTokens { .. })
}

fn is_announcement(step: &Step) -> bool {
    matches!(step, Step::AnnounceRevocation { .. })
}

fn is_issue(step: &Step) -> bool {
    matches!(step, Step::IssueToken { .. })
}

fn is_deletion(step: &Step) -> bool {
    matches!(step, Step::DeleteIdentity { .. })
}

/// Whether the token in the Secret can be used.
fn can_be_used(world: &World) -> bool {
    !world.service.tokens[&token(world, "alice").sha256].revoked
}

#[test]
fn a_revocation_that_was_withdrawn_leaves_a_token_that_can_be_used_whoever_carried_it_out() {
    for mishap in [Mishap::None, Mishap::AnswerLost, Mishap::Killed] {
        let mut world = changed(&[Edit::AskRevocation]);
        up_to(&mut world, is_revocation, mishap);
        world.api.change_user(|user| user.requests.revoke = None);
        assert!(!can_be_used(&world), "{mishap:?}");
        let steps = run(&mut world);
        assert_eq!(ready(&world), ("True", "TokenIssued"), "{mishap:?}");
        assert!(can_be_used(&world), "{mishap:?}");
        let repeated = usize::from(mishap != Mishap::None);
        assert_eq!(
            revocations(&steps),
            repeated,
            "{mishap:?}: it is repeated where nobody knows what came of it"
        );
    }
}

#[test]
fn a_revocation_that_was_announced_is_carried_out_even_if_it_is_withdrawn_before() {
    let mut world = changed(&[Edit::AskRevocation]);
    up_to(&mut world, is_announcement, Mishap::None);
    world.api.change_user(|user| user.requests.revoke = None);
    let steps = run(&mut world);
    assert_eq!(revocations(&steps), 1);
    assert_eq!(ready(&world), ("True", "TokenIssued"));
}

#[test]
fn a_time_for_older_tokens_that_moves_on_before_there_is_a_new_token_does_not_end_that() {
    let mut world = changed(&[Edit::EndOldTokens]);
    up_to(&mut world, is_revocation, Mishap::None);
    up_to(&mut world, is_issue, Mishap::NotDone);
    while world.replicas[0].run.is_some() {
        world.proceed(0, Mishap::None);
    }
    world.now += SignedDuration::from_hours(1);
    Edit::EndOldTokens.happen(&mut world);
    let steps = run(&mut world);
    let issues = steps.iter().filter(|step| is_issue(step)).count();
    assert_eq!((revocations(&steps), issues), (1, 1), "{steps:#?}");
    assert!(can_be_used(&world));
}

#[test]
fn a_secret_of_somebody_else_does_not_keep_old_tokens_from_being_revoked() {
    for restart in [false, true] {
        let mut world = changed(&[Edit::DeleteSecret, Edit::ForeignSecret]);
        run(&mut world);
        assert_eq!(ready(&world), ("False", "SecretConflict"));
        Edit::TimePasses.happen(&mut world);
        Edit::EndOldTokens.happen(&mut world);
        if restart {
            world.restart(0);
        }
        assert_eq!(revocations(&run(&mut world)), 1, "restart: {restart}");
        assert_eq!(ready(&world), ("False", "SecretConflict"));
        assert_eq!(revocations(&run(&mut world)), 0, "restart: {restart}");
    }
}

#[test]
fn a_revocation_without_a_known_result_makes_a_suspended_object_not_ready() {
    for mishap in [Mishap::AnswerLost, Mishap::Killed] {
        let mut world = changed(&[Edit::AskRevocation]);
        up_to(&mut world, is_revocation, mishap);
        Edit::Suspend.happen(&mut world);
        run(&mut world);
        assert_eq!(ready(&world), ("False", "Suspended"), "{mishap:?}");
        world.restart(0);
        run(&mut world);
        assert_eq!(ready(&world), ("False", "Suspended"), "{mishap:?}");
    }
}

#[test]
fn a_replacement_that_was_withdrawn_after_the_deletion_leaves_no_object_ready_on_a_gone_identity() {
    for mishap in [Mishap::None, Mishap::AnswerLost, Mishap::Killed] {
        let mut world = changed(&[Edit::AskReplacement]);
        let id = identity(&world);
        up_to(&mut world, is_deletion, mishap);
        world.api.change_user(|user| user.requests.replace = None);
        run(&mut world);
        assert_eq!(ready(&world), ("False", "IdentityGone"), "{mishap:?}");
        assert!(
            message(&world).contains(&format!("replace-identity={id}")),
            "{mishap:?}"
        );
        Edit::AskReplacement.happen(&mut world);
        run(&mut world);
        assert_eq!(ready(&world), ("True", "TokenIssued"), "{mishap:?}");
        assert!(can_be_used(&world) && identity(&world) != id, "{mishap:?}");
    }
}

#[test]
fn the_same_holds_where_no_token_is_wanted() {
    for mishap in [Mishap::None, Mishap::AnswerLost, Mishap::Killed] {
        let mut world = changed(&[Edit::NoToken]);
        run(&mut world);
        Edit::AskReplacement.happen(&mut world);
        up_to(&mut world, is_deletion, mishap);
        world.api.change_user(|user| user.requests.replace = None);
        run(&mut world);
        world.restart(0);
        run(&mut world);
        assert_eq!(ready(&world), ("False", "IdentityGone"), "{mishap:?}");
        Edit::AskReplacement.happen(&mut world);
        run(&mut world);
        assert_eq!(ready(&world), ("True", "IdentityCreated"), "{mishap:?}");
    }
}

#[test]
fn a_token_from_before_a_revocation_that_comes_back_from_a_backup_is_replaced() {
    let mut world = changed(&[]);
    let before = world.api.secrets["alice"].clone();
    Edit::AskRevocation.happen(&mut world);
    run(&mut world);
    world.api.change_secret("alice", |secret| {
        secret.written = before.written;
        secret.token_intact = true;
    });
    run(&mut world);
    assert_eq!(ready(&world), ("True", "TokenIssued"));
    assert!(can_be_used(&world));
    assert_eq!(user(&world).status.last_handled_revoke_at.as_deref(), Some("request 1"));
}

#[test]
fn two_revocations_within_a_second_are_told_apart() {
    let mut world = changed(&[Edit::AskRevocation]);
    up_to(&mut world, is_revocation, Mishap::Killed);
    let first = user(&world).status.token.clone().unwrap().revocation_time;
    world.now -= jiff::SignedDuration::from_mins(5);
    world
        .api
        .change_user(|user| user.requests.revoke = Some("again".to_owned()));
    run(&mut world);
    let last = user(&world).status.token.clone().unwrap().revocation_time;
    assert!(last > first, "a clock that was set back makes no older revocation");
    assert!(can_be_used(&world));
}
