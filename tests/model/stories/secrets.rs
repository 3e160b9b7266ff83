//! What happens to the Secret of a settled object.

use super::super::edits::Edit;
use super::{changed, run, token};

#[test]
fn a_renamed_secret_keeps_its_token_and_the_old_one_goes() {
    let mut world = changed(&[Edit::Rename]);
    let before = token(&world, "alice").sha256.clone();
    run(&mut world);
    assert_eq!(world.traffic.calls, 0);
    assert_eq!(world.api.secrets.keys().collect::<Vec<_>>(), ["renamed"]);
    assert_eq!(token(&world, "renamed").sha256, before);
}

#[test]
fn another_layout_is_written_once_with_the_same_token() {
    let mut world = changed(&[Edit::Relabel]);
    let before = token(&world, "alice").sha256.clone();
    run(&mut world);
    run(&mut world);
    assert_eq!(
        (world.traffic.calls, world.traffic.writes),
        (0, 2),
        "the Secret and its record in status"
    );
    assert_eq!(token(&world, "alice").sha256, before);
}

#[test]
fn an_edited_secret_is_put_right_with_the_same_token() {
    let mut world = changed(&[Edit::DamageValue]);
    let before = token(&world, "alice").sha256.clone();
    run(&mut world);
    assert_eq!((world.traffic.calls, world.traffic.writes), (0, 2));
    assert_eq!(token(&world, "alice").sha256, before);
}

#[test]
fn a_damaged_token_is_replaced() {
    let mut world = changed(&[Edit::DamageToken]);
    let lost = token(&world, "alice").sha256.clone();
    run(&mut world);
    assert_eq!((world.traffic.calls, world.traffic.writes), (1, 2));
    assert_ne!(token(&world, "alice").sha256, lost);
}

#[test]
fn a_secret_that_changed_without_harm_is_only_recorded() {
    let mut world = changed(&[]);
    world.api.change_secret("alice", |_| {});
    run(&mut world);
    assert_eq!((world.traffic.calls, world.traffic.writes), (0, 1));
}
