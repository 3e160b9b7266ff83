//! The real decisions, explored exhaustively.
//!
//! [`decide`](acs_operator::decide::decide) and [`advance`](acs_operator::decide::advance) run in a small world of an API
//! server ([`api_server`]), ACS ([`service`]) and one or two processes of the operator ([`replica`], [`requests`],
//! [`task`]). Every
//! order of their requests, of what the watches show, of kills, lost answers, refusals, and of what people, backups and time
//! do meanwhile ([`edits`]) is tried; in every state that can be reached the invariants have to hold ([`properties`]), and
//! from every state the world has to come to rest where its users want it once nothing goes wrong any more ([`settle`]).
//!
//! What users can rely on in numbers and words is told by [`stories`]: one way each through the same world.
//!
//! # What the model takes for granted
//! - A process that lost its lease finishes the request and the create that are under way, and starts nothing. A call to
//!   ACS, and the token that answers a revocation, is sent while the lease is held or not at all.
//! - A process takes at least two seconds to start.
//! - A watch shows every change, late or not, but never an older state after a newer one; the cache of a process has its own
//!   writes at once.
//! - Rate limits and connections are not part of it, nor are two objects with one identity.
//!
//! # Two sizes
//! `make test` explores a small space, `make model` a large one, and prints how many states it has. The faults of [`bugs`]
//! are put in on purpose, and each has to be found.

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
mod stories;
mod task;
mod world;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Path};

use self::bugs::Bug;
use self::edits::Edit;
use self::exploration::{Action, Exploration, State};
use self::world::{Mishap, World, wish};

/// How much is explored.
#[derive(Clone, Copy)]
enum Size {
    Small,
    Large,
}

impl Size {
    fn of<T>(self, small: T, large: T) -> T {
        match self {
            Self::Small => small,
            Self::Large => large,
        }
    }
}

/// From an object that nobody has looked at yet.
fn creation(size: Size) -> Exploration {
    Exploration {
        name: "creation",
        start: World::new(wish(), 1, None),
        edits: &[Edit::Delete, Edit::Recreate, Edit::AskRevocation],
        most_edits: 2,
        most_mishaps: size.of(1, 2),
        most_wakes: size.of(1, 2),
    }
}

/// The same with two processes.
fn take_over(size: Size) -> Exploration {
    Exploration {
        name: "take-over",
        start: World::new(wish(), 2, None),
        edits: &[Edit::Delete, Edit::TakeOver, Edit::Recreate],
        most_edits: size.of(2, 3),
        most_mishaps: size.of(0, 1),
        most_wakes: 1,
    }
}

/// Creates that can be repeated.
fn custom_ids(size: Size) -> Exploration {
    let mut start = World::new(wish(), 1, None);
    start.service.custom_ids = true;
    Exploration {
        name: "custom ids",
        start,
        edits: &[Edit::Delete, Edit::Recreate, Edit::AskReplacement],
        most_edits: 2,
        most_mishaps: size.of(1, 2),
        most_wakes: 1,
    }
}

/// The same with two processes.
fn custom_ids_and_take_over(size: Size) -> Exploration {
    let mut start = World::new(wish(), 2, None);
    start.service.custom_ids = true;
    Exploration {
        name: "custom ids, take-over",
        start,
        edits: &[Edit::Delete, Edit::Recreate, Edit::TakeOver],
        most_edits: 2,
        most_mishaps: size.of(0, 1),
        most_wakes: 1,
    }
}

/// From an object that is as it should be: whatever can happen to it and to its Secret.
fn life(size: Size) -> Exploration {
    Exploration {
        name: "life",
        start: settled(1),
        edits: &Edit::LIFE,
        most_edits: size.of(1, 2),
        most_mishaps: 1,
        most_wakes: 1,
    }
}

/// A process takes over an object that changes.
fn life_and_take_over(size: Size) -> Exploration {
    Exploration {
        name: "life, take-over",
        start: settled(2),
        edits: &[
            Edit::TakeOver,
            Edit::OtherScopes,
            Edit::AskRevocation,
            Edit::AskReplacement,
            Edit::TimePasses,
            Edit::Delete,
        ],
        most_edits: 2,
        most_mishaps: size.of(0, 1),
        most_wakes: size.of(0, 1),
    }
}

/// An object that was brought to where it should be.
fn settled(processes: usize) -> World {
    let mut world = World::new(wish(), processes, None);
    settle::go_on(&mut world, |_| Mishap::None);
    world
}

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
            holds_everywhere(&$exploration(Size::Small), Size::Small);
        }

        #[test]
        #[ignore = "takes minutes: `make model`"]
        fn $large() {
            holds_everywhere(&$exploration(Size::Large), Size::Large);
        }
    )*};
}

explorations! {
    a_creation_leaves_one_identity_or_counted_orphans_whatever_happens, large_creation: creation;
    a_creation_that_another_process_takes_over_does_so_too, large_take_over: take_over;
    with_custom_ids_nothing_is_lost_either, large_custom_ids: custom_ids;
    with_custom_ids_another_process_finds_what_was_made, large_custom_ids_and_take_over: custom_ids_and_take_over;
    an_object_comes_back_to_what_is_wanted_whatever_happens_to_it, large_life: life;
    an_object_that_another_process_takes_over_does_so_too, large_life_and_take_over: life_and_take_over;
}

/// Where a fault shows.
fn exploration_for(bug: Bug) -> Exploration {
    use Edit::{AskRevocation, Delete, DeleteSecret, ForeignSecret, NoToken, OtherScopes, TakeOver, TimePasses};
    let with = |exploration: Exploration, edits: &'static [Edit], most_mishaps: u8| Exploration {
        edits,
        most_edits: u8::try_from(edits.len()).unwrap(),
        most_mishaps,
        ..exploration
    };
    let mut exploration = match bug {
        Bug::NoFence | Bug::NoWithdrawal => with(take_over(Size::Small), &[TakeOver], 0),
        Bug::NoFinalizer | Bug::ReleasedTooEarly => with(creation(Size::Small), &[Delete], 0),
        Bug::IdRecordedLate | Bug::SettledAttemptForgotten | Bug::NotCounted | Bug::BlindRetry => {
            with(creation(Size::Small), &[], 1)
        }
        Bug::NoUidPrecondition => with(life(Size::Small), &[NoToken, DeleteSecret, ForeignSecret], 0),
        Bug::SecretOverwritten => with(life(Size::Small), &[DeleteSecret, ForeignSecret], 0),
        Bug::NoPauseAfterRevocation | Bug::RevocationSkipped => with(life(Size::Small), &[AskRevocation], 0),
        Bug::LeaseIgnored => with(life_and_take_over(Size::Small), &[TakeOver, OtherScopes, TimePasses], 0),
        Bug::SecretLeftBehind => with(life(Size::Small), &[NoToken], 0),
    };
    exploration.start.bug = Some(bug);
    exploration
}

#[test]
fn every_fault_that_is_put_in_is_found() {
    let not_found: Vec<_> = Bug::ALL
        .into_iter()
        .filter(|bug| {
            let (found, summary) = explore(&exploration_for(*bug), Size::Small);
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
