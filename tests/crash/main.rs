//! The crash matrix: the operator is killed with SIGKILL around its mutating requests, to the API server and to ACS, and
//! another one takes over.
//!
//! Each [scenario](scenario) is run once undisturbed, which tells its requests; then once for each
//! [place](kill_point): before a request is forwarded, and after it was carried out with its answer withheld; some are killed
//! again in the same way while they recover. When all is settled again, every [invariant](invariants) has to hold.
//!
//! `make test` kills once around each kind of request of each family of scenarios, `make crash` around every request.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test panics and prints"
)]

mod invariants;
mod kill_point;
mod report;
mod runner;
mod scenario;
mod seen;
mod subject;

use std::{collections::BTreeSet, sync::Mutex};

use futures::{StreamExt, stream};

use kill_point::KillPoint;
use scenario::{Family, Setting};

/// So many worlds at a time: most of the time each waits for something.
const WORLDS: usize = 4;

/// The same of one family, beside which others are tested. A world that is a whole cluster has a control plane of its own.
fn worlds_of(family: Family) -> usize {
    if family == Family::Cluster { 1 } else { 2 }
}

/// Kills around each kind of request that the scenarios of a family make, and at least once in each scenario.
async fn survives(family: Family) {
    let known = Mutex::new(BTreeSet::new());
    // Of a namespace other controllers delete what they find at the same time: which requests come is a matter of luck.
    let scenarios = family.scenarios().into_iter();
    let scenarios = scenarios.filter(|scenario| !scenario.act.takes_the_namespace());
    let runs = scenarios.map(async |scenario| {
        let outcome = runner::run(&scenario, |points| {
            let in_the_middle = points[points.len() / 2].clone();
            let mut known = known.lock().unwrap();
            let (is_deleted, is_repeatable) = (scenario.meanwhile.is_some(), scenario.setting == Setting::CustomIds);
            let is_new = |point: &KillPoint| known.insert((point.kind(), is_deleted, is_repeatable));
            let new: Vec<_> = points.into_iter().filter(KillPoint::is_sure).filter(is_new).collect();
            if new.is_empty() { vec![in_the_middle] } else { new }
        });
        let outcome = outcome.await;
        println!("{}", report::row(&outcome));
        outcome
    });
    let outcomes: Vec<_> = stream::iter(runs).buffer_unordered(worlds_of(family)).collect().await;
    let remarks = report::remarks(&outcomes);
    assert!(remarks.is_empty(), "{remarks}\n{}", report::sum(&outcomes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_is_created_a_user_has_one_identity_or_every_other_one_is_counted() {
    survives(Family::Birth).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_a_token_is_renewed_revoked_or_moved_the_secret_holds_a_valid_one_and_only_revoked_ones_end() {
    survives(Family::Life).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_a_damaged_secret_is_mended_it_is_as_declared_in_the_end() {
    survives(Family::Secret).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_all_tokens_of_a_connection_are_replaced_each_is_replaced_and_none_handed_out_is_lost() {
    survives(Family::Connection).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_during_a_deletion_nothing_is_left_in_the_cluster_or_in_acs() {
    survives(Family::Death).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_is_created_with_a_custom_id_a_user_has_one_identity_and_no_other_is_suspected() {
    survives(Family::CustomIds).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_service_of_a_whole_cluster_its_connections_and_their_secrets_are_held_as_long_as_needed() {
    survives(Family::Cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_while_it_recovers_a_user_has_one_identity_or_every_other_one_is_counted() {
    survives(Family::Recovery).await;
}

/// All of it; with names in the environment variable `SCENARIOS`, separated by commas, only those.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `make crash`"]
async fn everything_survives_a_kill_around_every_request() -> Result<(), &'static str> {
    #[allow(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
    let wanted = std::env::var("SCENARIOS").unwrap_or_default();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.split(',').any(|wanted| wanted.trim() == name);
    let scenarios: Vec<_> = Family::ALL
        .into_iter()
        .flat_map(Family::scenarios)
        .filter(|scenario| is_wanted(scenario.name))
        .collect();
    assert!(!scenarios.is_empty(), "no scenario is called {wanted}");
    let runs = scenarios.iter().map(|scenario| runner::run(scenario, |points| points));
    println!("{}", report::header());
    let outcomes = stream::iter(runs).buffer_unordered(WORLDS);
    let told = outcomes.inspect(|outcome| println!("{}", report::row(outcome)));
    let outcomes: Vec<_> = told.collect().await;
    println!("{}\n{}\n", report::remarks(&outcomes), report::sum(&outcomes));
    let is_kept = outcomes.iter().all(|outcome| outcome.breaches.is_empty());
    if is_kept { Ok(()) } else { Err("an invariant is broken") }
}
