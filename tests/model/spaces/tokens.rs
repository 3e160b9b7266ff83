//! Tokens that end before their time.

use jiff::SignedDuration;

use super::{Size, settled};
use crate::edits::Edit;
use crate::exploration::Exploration;
use crate::settle::Known;
use crate::world::{World, wish};

/// Revocations that are asked for, taken back and asked for again.
pub fn revocations(size: Size) -> Exploration {
    Exploration {
        name: "revocations",
        start: settled(1),
        edits: &[
            Edit::AskRevocation,
            Edit::WithdrawRevocation,
            Edit::RepeatRevocation,
            Edit::AskRenewal,
            Edit::Suspend,
            Edit::Resume,
            Edit::NoToken,
        ],
        most_edits: size.of(2, 3),
        repeats: size.of(false, true),
        most_mishaps: 1,
        most_wakes: size.of(0, 1),
        known: Known::default(),
    }
}

/// The same of a replacement, of which a revocation is a part.
pub fn replacements(size: Size) -> Exploration {
    Exploration {
        name: "replacements",
        start: settled(1),
        edits: &[
            Edit::AskReplacement,
            Edit::WithdrawReplacement,
            Edit::AskRevocation,
            Edit::Suspend,
            Edit::Resume,
            Edit::NoToken,
        ],
        most_edits: size.of(2, 3),
        repeats: size.of(false, true),
        most_mishaps: 1,
        most_wakes: size.of(0, 1),
        known: Known::default(),
    }
}

/// Tokens that a connection does not take any more.
pub fn old_tokens(size: Size) -> Exploration {
    Exploration {
        name: "old tokens",
        start: grown(1),
        edits: &[
            Edit::RotateKey,
            Edit::EndOldTokens,
            Edit::EndOldTokensLater,
            Edit::TimePasses,
            Edit::AskRevocation,
            Edit::WithdrawRevocation,
            Edit::Suspend,
            Edit::Resume,
            Edit::DeleteSecret,
            Edit::NoToken,
            Edit::TokenAgain,
        ],
        most_edits: size.of(2, 3),
        repeats: false,
        most_mishaps: size.of(0, 1),
        most_wakes: size.of(0, 1),
        known: Known::default(),
    }
}

/// The same with two processes.
pub fn old_tokens_and_take_over(size: Size) -> Exploration {
    Exploration {
        name: "old tokens, take-over",
        start: grown(2),
        edits: &[Edit::TakeOver, Edit::RotateKey, Edit::EndOldTokens, Edit::TimePasses],
        most_edits: size.of(2, 3),
        repeats: false,
        most_mishaps: size.of(0, 1),
        most_wakes: 0,
        known: Known::default(),
    }
}

/// The same while the identity is created.
pub fn new_and_old_tokens(size: Size) -> Exploration {
    Exploration {
        name: "new and old tokens",
        start: World::new(wish(), 1, None),
        edits: &[Edit::EndOldTokens, Edit::RotateKey, Edit::NoToken, Edit::TokenAgain],
        most_edits: size.of(2, 3),
        repeats: false,
        most_mishaps: size.of(0, 1),
        most_wakes: size.of(0, 1),
        known: Known::default(),
    }
}

/// The same an hour later.
fn grown(processes: usize) -> World {
    let mut world = settled(processes);
    world.now += SignedDuration::from_hours(1);
    world
}
