//! When faults stop, everything comes to where it should be in a bounded number of steps, and stays there (invariants 5 and
//! 6). Checked from every state by going on in one fixed order.

use acs_operator::decide::User;
use jiff::SignedDuration;

use super::properties::{is_as_wished, is_ready};
use super::replica::Due;
use super::world::{Mishap, Traffic, World};

/// More requests than any way to the desired state needs.
const MOST_STEPS: usize = 60;

/// More back-offs than any way needs; what is tried for ever (a Secret that is somebody else's) is not to be waited for.
const MOST_WAITS: usize = 6;

/// Waits up to this long are back-offs; longer ones are for a renewal.
const BACK_OFF: SignedDuration = SignedDuration::from_hours(1);

/// Why a world does not come to rest where it should, if it does not.
pub fn does_not_converge(world: &World) -> Option<&'static str> {
    let mut world = world.clone();
    world.service.key_refused = false;
    if !go_on(&mut world, |_| Mishap::None) {
        return Some("it does not come to rest");
    }
    if let Err(why) = is_as_wished(&world) {
        return Some(why);
    }
    // What is wrong, or suspended, may be looked at again and told otherwise.
    let suspended = |user: &User| user.wish.as_ref().is_ok_and(|wish| wish.suspend);
    if world
        .api
        .user
        .as_ref()
        .is_some_and(|user| suspended(user) || !is_ready(user))
    {
        return None;
    }
    // A new process finds nothing to do.
    let leader = world.leader();
    world.restart(leader);
    world.traffic = Traffic::default();
    go_on(&mut world, |_| Mishap::None);
    (world.traffic != Traffic::default()).then_some("a restart with nothing due makes requests")
}

/// How a world goes on from here without faults, step by step.
pub fn story(world: &World) -> String {
    let mut world = world.clone();
    world.service.key_refused = false;
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
    let leader = world.leader();
    let mut waits = 0;
    for _ in 0..MOST_STEPS {
        let late = (0..world.replicas.len()).find(|number| world.replicas[*number].task.is_some());
        if let Some(number) = late {
            let mishap = fate(world);
            world.proceed_task(number, mishap);
            continue;
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
                continue;
            }
            match replica.due {
                Due::At(at) if at.duration_since(world.now) < BACK_OFF && waits < MOST_WAITS => world.now = at,
                _ => return true,
            }
            waits += 1;
        }
        let mishap = fate(world);
        world.proceed(leader, mishap);
    }
    false
}
