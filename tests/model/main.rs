//! The real decisions, explored exhaustively.
//!
//! [`decide`](acs_operator::decide::decide) and [`advance`](acs_operator::decide::advance) run in a small world of an API
//! server ([`api_server`]), ACS ([`service`]) and one or two processes of the operator ([`replica`], [`requests`],
//! [`task`]). Every order of their requests, of what the watches show, of kills, lost answers, refusals, and of what people,
//! backups and time do meanwhile ([`edits`]) is tried; in every state that can be reached the invariants have to hold
//! ([`properties`]), and from every state the world has to come to rest where its users want it ([`wishes`]) once nothing
//! goes wrong any more ([`settle`]).
//!
//! What users can rely on in numbers and words is told by [`stories`]: one way each through the same world.
//!
//! # What the model takes for granted
//! - A process that lost its lease finishes the request and the create that are under way, and starts nothing. A call to
//!   ACS, and the token that answers a revocation, is sent while the lease is held or not at all.
//! - A process takes at least two seconds to start.
//! - A watch shows every change, late or not, but never an older state after a newer one; the cache of a process has its own
//!   writes at once.
//! - Rate limits are not part of it. Of a connection it knows whether it can be used, of another object whether it holds the
//!   same identity, which is looked at once in a run.
//! - What was lost because somebody took the finalizer off is not the operator's fault, nor that a copy of an object does not
//!   know what its original did and had not told yet.
//!
//! # Two sizes
//! `make test` explores a small space of each kind ([`spaces`]), `make model` a large one, and prints how many states it has.
//! The faults of [`bugs`] are put in on purpose, and each has to be found.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test panics and prints"
)]

mod api_server;
mod bugs;
mod edits;
mod exploration;
mod properties;
mod replica;
mod requests;
mod service;
mod settle;
mod spaces;
mod stories;
mod task;
mod terms;
mod wishes;
mod world;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Path};

use self::bugs::Bug;
use self::exploration::{Action, Exploration, State};
use self::spaces::Size;

/// The properties that do not hold, each with the way to where it does not.
type Found = Vec<(&'static str, Path<State, Action>)>;

/// Explores until something is found, or until there is nothing more to explore: a small space breadth first, for the
/// shortest way to what is found, a large one depth first, which takes less memory.
fn explore(exploration: &Exploration, size: Size) -> (Found, String) {
    let checker = exploration
        .clone()
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures);
    match size {
        Size::Small => outcome(exploration, checker.spawn_bfs()),
        Size::Large => outcome(exploration, checker.spawn_dfs()),
    }
}

fn outcome(exploration: &Exploration, checker: impl Checker<Exploration>) -> (Found, String) {
    let (name, began) = (exploration.name, Instant::now());
    let checker = checker.join();
    let (states, depth, took) = (
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs(),
    );
    let summary = format!("{name}: {states} states, up to {depth} actions deep, in {took} s");
    (checker.discoveries().into_iter().collect(), summary)
}

fn holds_everywhere(exploration: &Exploration, size: Size) {
    let (found, summary) = explore(exploration, size);
    if let Some((property, path)) = found.into_iter().next() {
        let steps = path.into_vec();
        let story: String = steps
            .iter()
            .map(|(state, action)| state.tell(action.as_ref()))
            .collect();
        panic!("\"{property}\" does not hold:\n{story}");
    }
    println!("{summary}");
}

macro_rules! explorations {
    ($($small:ident, $large:ident: $exploration:ident;)*) => {$(
        #[test]
        fn $small() {
            holds_everywhere(&spaces::$exploration(Size::Small), Size::Small);
        }

        #[test]
        #[ignore = "takes minutes: `make model`"]
        fn $large() {
            holds_everywhere(&spaces::$exploration(Size::Large), Size::Large);
        }
    )*};
}

explorations! {
    a_creation_leaves_one_identity_or_counted_orphans_whatever_happens, large_creation: creation;
    a_creation_that_another_process_takes_over_does_so_too, large_take_over: take_over;
    a_creation_that_acs_refuses_says_so_and_leaves_nothing, large_refused_creation: refused_creation;
    with_custom_ids_nothing_is_lost_either, large_custom_ids: custom_ids;
    an_attempt_that_cannot_be_repeated_is_not_forgotten_when_the_next_one_can, large_changing_versions: changing_versions;
    with_custom_ids_another_process_finds_what_was_made, large_custom_ids_and_take_over: custom_ids_and_take_over;
    with_custom_ids_a_refusal_or_a_broken_connection_loses_nothing, large_refused_custom_ids: refused_custom_ids;
    an_object_comes_back_to_what_is_wanted_whatever_happens_to_it, large_life: life;
    an_object_that_another_process_takes_over_does_so_too, large_life_and_take_over: life_and_take_over;
    a_revocation_that_is_taken_back_leaves_no_dead_token, large_revocations: revocations;
    a_replacement_that_is_taken_back_leaves_no_object_ready_on_a_gone_identity, large_replacements: replacements;
    a_spec_decides_what_may_be_deleted_and_an_invalid_one_nothing, large_specs: specs;
    an_identity_of_two_objects_stays_with_the_older_one, large_rivals: rivals;
    what_acs_refuses_for_long_is_told_and_not_tried_in_a_loop, large_refusals: refusals;
    a_connection_is_used_for_nothing_else_than_it_is_good_for, large_connections: connections;
    a_token_that_its_connection_does_not_take_any_more_is_replaced, large_old_tokens: old_tokens;
    a_process_that_takes_over_goes_on_replacing_them, large_old_tokens_and_take_over: old_tokens_and_take_over;
    what_is_created_meanwhile_is_not_older_than_it_is, large_new_and_old_tokens: new_and_old_tokens;
    an_identity_is_adopted_with_leave_only_and_outlives_its_object, large_adoption: adoption;
    a_secret_is_put_right_as_often_as_it_is_damaged, large_secrets: secrets;
}

#[test]
fn every_fault_that_is_put_in_is_found() {
    let not_found: Vec<_> = Bug::ALL
        .into_iter()
        .filter(|bug| {
            let (found, summary) = explore(&spaces::of(*bug), Size::Small);
            for (property, path) in &found {
                println!(
                    "{bug:?}: \"{property}\" after {} actions",
                    path.clone().into_actions().len()
                );
            }
            println!("    {summary}");
            found.is_empty()
        })
        .collect();
    assert!(not_found.is_empty(), "not found: {not_found:?}");
}
