//! When faults stop, everything comes to where it should be in a bounded number of steps, and stays there (invariants 5 and
//! 6). Checked from every state by going on in one fixed order.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex};

use acs_operator::decide::{FailureKind, Trouble, User};
use jiff::SignedDuration;

use super::edits::Edit;
use super::exploration::hash_printed;
use super::properties::is_ready;
use super::replica::Due;
use super::terms::{Standing, Terms};
use super::wishes::{is_as_wished, is_as_wished_or_told};
use super::world::{Mishap, Traffic, World};

/// More requests than any way to the desired state needs.
const MOST_STEPS: usize = 60;

/// More back-offs than any way needs; what is tried for ever (a Secret that is somebody else's) is not to be waited for.
const MOST_WAITS: usize = 6;

/// Waits up to this long are back-offs; longer ones are for a renewal.
const BACK_OFF: SignedDuration = SignedDuration::from_hours(1);

/// Worlds that are known to come to rest where they should. Many ways lead through the same worlds, so that most need not
/// be followed to their end.
#[derive(Clone, Default)]
pub struct Known {
    free: Arc<Mutex<HashSet<u64>>>,
    hindered: Arc<Mutex<HashSet<u64>>>,
}

/// Why a world does not come to rest where it should, if it does not: with what ACS refuses now, and without.
pub fn does_not_converge(world: &World, known: &Known) -> Option<&'static str> {
    let mut world = world.clone();
    world.traffic = Traffic::default();
    // A withdrawal that is refused is repeated for ever.
    if is_hindered(&world) && world.replicas.iter().all(|replica| replica.task.is_none()) {
        let why = goes_wrong(&world, &known.hindered, |world| is_as_wished_or_told(world).err());
        if why.is_some() {
            return why;
        }
    }
    set_free(&mut world);
    goes_wrong(&world, &known.free, rests_as_wished)
}

/// Follows a world to where it rests or is known, and asks there whether something is wrong.
fn goes_wrong(
    world: &World,
    known: &Mutex<HashSet<u64>>,
    verdict: impl FnOnce(&mut World) -> Option<&'static str>,
) -> Option<&'static str> {
    let mut world = world.clone();
    let (mut way, mut waits) = (Vec::new(), 0);
    loop {
        let place = fingerprint(&world);
        if known.lock().unwrap().contains(&place) {
            break;
        }
        way.push(place);
        if way.len() > MOST_STEPS {
            return Some("it does not come to rest");
        }
        if !go_on_once(&mut world, &mut waits, |_| Mishap::None) {
            if let Some(why) = verdict(&mut world) {
                return Some(why);
            }
            break;
        }
        world.traffic = Traffic::default();
    }
    known.lock().unwrap().extend(way);
    None
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash_printed(world, &mut hasher);
    hasher.finish()
}

/// What is wrong with a world that rests, and with how a new process goes on from there.
fn rests_as_wished(world: &mut World) -> Option<&'static str> {
    let leader = world.leader();
    if waits_for_a_change(world) {
        if let Err(why) = is_as_wished_or_told(world) {
            return Some(why);
        }
        // What was refused for good is tried once more by a new process.
        world.restart(leader);
        if !go_on(world, |_| Mishap::None) {
            return Some("it does not come to rest");
        }
    }
    if let Err(why) = is_as_wished(world) {
        return Some(why);
    }
    let user = world.api.user.as_ref();
    let may_be_told_otherwise = |user: &User| {
        // What is wrong, or left alone, may be looked at again.
        user.wish.as_ref().is_ok_and(|wish| wish.suspend) || !is_ready(user)
    };
    let quiet = user.is_some_and(may_be_told_otherwise);
    // A new process finds nothing to do.
    world.restart(leader);
    world.traffic = Traffic::default();
    go_on(world, |_| Mishap::None);
    if quiet {
        return is_as_wished(world).err();
    }
    (world.traffic != Traffic::default()).then_some("a restart with nothing due makes requests")
}

/// Whether ACS, or the connection, refuses something for now.
fn is_hindered(world: &World) -> bool {
    world.service.key_refused || world.service.refuses.is_some() || is_hindered_by(&world.terms)
}

fn is_hindered_by(terms: &Terms) -> bool {
    terms.standing != Standing::Ready || terms.is_foreign()
}

fn set_free(world: &mut World) {
    (world.service.key_refused, world.service.refuses) = (false, None);
    if is_hindered_by(&world.terms) {
        Edit::Connect.happen(world);
        Edit::MoveConnectionBack.happen(world);
    }
}

/// Whether the leader believes that nothing but a change of the object helps, because of what ACS refused.
fn waits_for_a_change(world: &World) -> bool {
    let mut memories = world.replicas[world.leader()].memories.values();
    let refused = |trouble: &Trouble| matches!(trouble.failure.kind, FailureKind::Rejected | FailureKind::NotOwned);
    memories.any(|memory| memory.trouble.as_ref().is_some_and(refused))
}

/// How a world goes on from here without faults, step by step.
pub fn story(world: &World) -> String {
    let mut world = world.clone();
    set_free(&mut world);
    let mut story = String::new();
    go_on(&mut world, |world| {
        let next = world.decision(world.leader());
        story.extend([world.now.to_string(), " ".to_owned(), brief(&next), "\n".to_owned()]);
        Mishap::None
    });
    story
}

/// The beginning of what a value prints.
pub fn brief(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take(160).collect()
}

/// Goes on until nothing is left to do; whether that point is reached. `fate` is shown the world before every step, and says
/// what happens to its request.
pub fn go_on(world: &mut World, mut fate: impl FnMut(&World) -> Mishap) -> bool {
    let mut waits = 0;
    (0..MOST_STEPS).any(|_| !go_on_once(world, &mut waits, &mut fate))
}

/// One step of it; whether there was one to do.
fn go_on_once(world: &mut World, waits: &mut usize, mut fate: impl FnMut(&World) -> Mishap) -> bool {
    let leader = world.leader();
    let late = (0..world.replicas.len()).find(|number| world.replicas[*number].task.is_some());
    if let Some(number) = late {
        let mishap = fate(world);
        world.proceed_task(number, mishap);
        return true;
    }
    world.show_object(leader);
    world.show_secrets(leader);
    let replica = &world.replicas[leader];
    let due = match replica.due {
        Due::Now => true,
        Due::At(at) => at <= world.now,
        Due::Never => false,
    };
    if replica.run.is_none() && !due {
        let before = world.api.clone();
        world.api.collect_garbage();
        if world.api != before {
            return true;
        }
        match replica.due {
            Due::At(at) if at.duration_since(world.now) < BACK_OFF && *waits < MOST_WAITS => world.now = at,
            _ => return false,
        }
        *waits += 1;
    }
    let mishap = fate(world);
    world.proceed(leader, mishap);
    true
}
