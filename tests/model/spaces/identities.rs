//! Identities that come to be, by a create or by adoption.

use acs_operator::decide::Wish;
use uuid::Uuid;

use super::Size;
use crate::edits::Edit;
use crate::exploration::Exploration;
use crate::settle::Known;
use crate::terms::RESOURCE;
use crate::world::{World, wish};

/// From an object that nobody has looked at yet.
pub fn creation(size: Size) -> Exploration {
    Exploration {
        name: "creation",
        start: World::new(wish(), 1, None),
        edits: size.of(
            &[Edit::Delete, Edit::Recreate],
            &[Edit::Delete, Edit::Recreate, Edit::AskRevocation],
        ),
        most_edits: 2,
        repeats: false,
        most_mishaps: size.of(1, 2),
        most_wakes: size.of(1, 2),
        known: Known::default(),
    }
}

/// The same with two processes.
pub fn take_over(size: Size) -> Exploration {
    Exploration {
        name: "take-over",
        start: World::new(wish(), 2, None),
        edits: &[Edit::Delete, Edit::TakeOver, Edit::Recreate],
        most_edits: size.of(2, 3),
        repeats: false,
        most_mishaps: size.of(0, 1),
        most_wakes: size.of(1, 0),
        known: Known::default(),
    }
}

/// Creates that can be repeated.
pub fn custom_ids(size: Size) -> Exploration {
    let mut start = World::new(wish(), 1, None);
    start.service.custom_ids = true;
    Exploration {
        name: "custom ids",
        start,
        edits: &[Edit::Delete, Edit::Recreate, Edit::AskReplacement],
        most_edits: 2,
        repeats: false,
        most_mishaps: size.of(1, 2),
        most_wakes: 1,
        known: Known::default(),
    }
}

/// Creates of which some can be repeated.
pub fn changing_versions(size: Size) -> Exploration {
    Exploration {
        name: "changing versions",
        start: World::new(wish(), 1, None),
        edits: &[Edit::UseCustomIds, Edit::DropCustomIds, Edit::Delete],
        most_edits: size.of(2, 3),
        repeats: false,
        most_mishaps: size.of(1, 2),
        most_wakes: 1,
        known: Known::default(),
    }
}

/// The same with two processes.
pub fn custom_ids_and_take_over(size: Size) -> Exploration {
    let mut start = World::new(wish(), 2, None);
    start.service.custom_ids = true;
    Exploration {
        name: "custom ids, take-over",
        start,
        edits: &[Edit::Delete, Edit::Recreate, Edit::TakeOver],
        most_edits: 2,
        repeats: false,
        most_mishaps: size.of(0, 1),
        most_wakes: 1,
        known: Known::default(),
    }
}

/// The same of an object that has no identity yet.
pub fn refused_creation(size: Size) -> Exploration {
    Exploration {
        name: "refused creation",
        start: World::new(wish(), 1, None),
        edits: &[
            Edit::Reject,
            Edit::Throttle,
            Edit::Accept,
            Edit::Disconnect,
            Edit::Connect,
            Edit::InvalidSpec,
            Edit::MendSpec,
            Edit::Suspend,
            Edit::Delete,
            Edit::Recreate,
        ],
        most_edits: size.of(2, 3),
        repeats: false,
        most_mishaps: size.of(0, 1),
        most_wakes: size.of(0, 1),
        known: Known::default(),
    }
}

/// The same where creates can be repeated.
pub fn refused_custom_ids(size: Size) -> Exploration {
    let mut exploration = refused_creation(size);
    exploration.name = "refused custom ids";
    exploration.start.service.custom_ids = true;
    exploration
}

/// An identity that was there before its object.
pub fn adoption(size: Size) -> Exploration {
    Exploration {
        name: "adoption",
        start: adoptable(),
        edits: &[
            Edit::AllowAdoption,
            Edit::ForbidAdoption,
            Edit::RivalAppears,
            Edit::RivalGoes,
            Edit::Disconnect,
            Edit::Connect,
            Edit::NoToken,
            Edit::Retain,
            Edit::LoseIdentity,
            Edit::TimePasses,
            Edit::Delete,
        ],
        most_edits: size.of(2, 3),
        repeats: false,
        most_mishaps: size.of(0, 1),
        most_wakes: size.of(0, 1),
        known: Known::default(),
    }
}

/// An object that names an identity which was there before.
fn adoptable() -> World {
    let id = format!("8:acs:{RESOURCE}_0");
    let pinned = Wish {
        pinned_id: Some(id.clone()),
        ..wish()
    };
    let mut world = World::new(pinned, 1, None);
    world.service.identities.insert(id.clone(), Uuid::nil());
    world.kept.insert(id);
    world
}
