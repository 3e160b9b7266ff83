//! What is explored, in two sizes.

mod faults;
mod identities;
mod lives;
mod outside;
mod tokens;

pub use self::faults::of;
pub use self::identities::{
    adoption, changing_versions, creation, custom_ids, custom_ids_and_take_over, refused_creation, refused_custom_ids,
    take_over,
};
pub use self::lives::{life, life_and_take_over, rivals, secrets, specs};
pub use self::outside::{connections, refusals};
pub use self::tokens::{new_and_old_tokens, old_tokens, old_tokens_and_take_over, replacements, revocations};

use super::settle;
use super::world::{Mishap, World, wish};

/// How much is explored.
#[derive(Clone, Copy)]
pub enum Size {
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

/// An object that was brought to where it should be.
pub fn settled(processes: usize) -> World {
    let mut world = World::new(wish(), processes, None);
    settle::go_on(&mut world, |_| Mishap::None);
    world
}
