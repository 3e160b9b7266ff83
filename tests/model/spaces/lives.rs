//! What is done to an object that is as it should be.

use super::{Size, settled};
use crate::edits::Edit;
use crate::exploration::Exploration;
use crate::settle::Known;

/// From an object that is as it should be: whatever can happen to it and to its Secret.
pub fn life(size: Size) -> Exploration {
    Exploration {
        name: "life",
        start: settled(1),
        edits: &Edit::LIFE,
        most_edits: size.of(1, 2),
        repeats: size.of(false, true),
        most_mishaps: 1,
        most_wakes: 1,
        known: Known::default(),
    }
}

/// A process takes over an object that changes.
pub fn life_and_take_over(size: Size) -> Exploration {
    Exploration {
        name: "life, take-over",
        start: settled(2),
        edits: size.of(
            &[
                Edit::TakeOver,
                Edit::OtherScopes,
                Edit::AskRevocation,
                Edit::AskReplacement,
            ],
            &[
                Edit::TakeOver,
                Edit::OtherScopes,
                Edit::AskRevocation,
                Edit::AskReplacement,
                Edit::TimePasses,
                Edit::Delete,
            ],
        ),
        most_edits: 2,
        repeats: false,
        most_mishaps: size.of(0, 1),
        most_wakes: 0,
        known: Known::default(),
    }
}

/// What a spec says, or fails to say, of what is to be kept.
pub fn specs(size: Size) -> Exploration {
    Exploration {
        name: "specs",
        start: settled(1),
        edits: &[
            Edit::InvalidSpec,
            Edit::MendSpec,
            Edit::Retain,
            Edit::Pin,
            Edit::Suspend,
            Edit::NoToken,
            Edit::AskReplacement,
            Edit::AskAbandonment,
            Edit::WithdrawAbandonment,
            Edit::StripFinalizers,
            Edit::Restore,
            Edit::Delete,
        ],
        most_edits: size.of(2, 3),
        repeats: size.of(false, true),
        most_mishaps: 0,
        most_wakes: size.of(0, 1),
        known: Known::default(),
    }
}

/// Another object holds the same identity for a while.
pub fn rivals(size: Size) -> Exploration {
    Exploration {
        name: "rivals",
        start: settled(1),
        edits: &[
            Edit::RivalAppears,
            Edit::RivalGoes,
            Edit::AskReplacement,
            Edit::AskRevocation,
            Edit::LoseIdentity,
            Edit::TimePasses,
            Edit::Delete,
            Edit::Recreate,
        ],
        most_edits: size.of(2, 3),
        repeats: size.of(false, true),
        most_mishaps: 0,
        most_wakes: size.of(0, 1),
        known: Known::default(),
    }
}

/// A Secret that somebody keeps damaging.
pub fn secrets(size: Size) -> Exploration {
    Exploration {
        name: "secrets",
        start: settled(1),
        edits: &[
            Edit::DeleteSecret,
            Edit::DamageToken,
            Edit::DamageValue,
            Edit::Unlabel,
            Edit::Disown,
            Edit::ForeignSecret,
            Edit::Rename,
            Edit::NoToken,
            Edit::TokenAgain,
            Edit::Suspend,
            Edit::TimePasses,
        ],
        most_edits: size.of(2, 3),
        repeats: size.of(false, true),
        most_mishaps: 0,
        most_wakes: size.of(0, 1),
        known: Known::default(),
    }
}
