//! What users can rely on in numbers and words: single ways through the world. That nothing is lost on any other way,
//! wherever a process is killed, is what the explorations check.

mod creation;
mod deletion;
mod life;
mod outage;
mod secrets;
mod withdrawn;

use acs_operator::api::ConditionType;
use acs_operator::decide::{Decision, Step, TokenRecord, User};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::edits::Edit;
use super::settle;
use super::spaces::settled;
use super::world::{Mishap, Traffic, World, identity_id};

/// Lets the world come to rest; every step that was done.
fn run(world: &mut World) -> Vec<Step> {
    run_with(world, |_, _| Mishap::None)
}

/// The same, with what happens to the request of each step; `None`: that of the task of a create.
fn run_with(world: &mut World, fate: impl Fn(&World, Option<&Step>) -> Mishap) -> Vec<Step> {
    run_timed(world, fate).into_iter().map(|(step, _)| step).collect()
}

/// The same, with the time of each step.
fn run_timed(world: &mut World, fate: impl Fn(&World, Option<&Step>) -> Mishap) -> Vec<(Step, Timestamp)> {
    let mut steps = Vec::new();
    let rests = settle::go_on(world, |world| {
        let leader = world.leader();
        if world.replicas[leader].task.is_some() {
            return fate(world, None);
        }
        match world.decision(leader) {
            Some(Decision::Do(step)) => {
                let mishap = fate(world, Some(&step));
                steps.push((*step, world.now));
                mishap
            }
            _ => Mishap::None,
        }
    });
    assert!(rests, "it does not come to rest");
    assert!(world.breaches.is_empty(), "{:?}", world.breaches);
    steps
}

/// A settled object an hour after its creation, to which `edits` happen.
fn changed(edits: &[Edit]) -> World {
    let mut world = settled(1);
    world.traffic = Traffic::default();
    world.now += SignedDuration::from_hours(1);
    for edit in edits {
        edit.happen(&mut world);
    }
    world
}

/// That many calls and writes, without a look at a Secret.
fn spent(calls: u32, writes: u32) -> Traffic {
    Traffic {
        calls,
        writes,
        reads: 0,
    }
}

fn user(world: &World) -> &User {
    world.api.user.as_ref().unwrap()
}

/// Status and reason of Ready.
fn ready(world: &World) -> (&str, &str) {
    let ready = verdict(world);
    (&ready.status, &ready.reason)
}

/// The message of Ready.
fn message(world: &World) -> &str {
    &verdict(world).message
}

fn verdict(world: &World) -> &Condition {
    ConditionType::Ready.find(&user(world).status.conditions).unwrap()
}

/// How many identities live in ACS, and how many attempts are suspected to have left one.
fn identities(world: &World) -> (usize, usize) {
    (world.service.identities.len(), world.counted.len())
}

/// The recorded identity.
fn identity(world: &World) -> String {
    identity_id(world.api.user.as_ref()).unwrap().to_owned()
}

/// The record of the token in a Secret.
fn token<'a>(world: &'a World, name: &str) -> &'a TokenRecord {
    &world.api.secrets[name].written.as_ref().unwrap().record
}

fn revocations(steps: &[Step]) -> usize {
    steps
        .iter()
        .filter(|step| matches!(step, Step::RevokeTokens { .. }))
        .count()
}
