//! What is explored, in two sizes.

use acs_operator::decide::Wish;
use jiff::SignedDuration;
use uuid::Uuid;

use super::bugs::Bug;
use super::edits::Edit;
use super::exploration::Exploration;
use super::settle::{self, Known};
use super::terms::RESOURCE;
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

/// ACS or the connection refuses everything for a while.
pub fn refusals(size: Size) -> Exploration {
    Exploration {
        name: "refusals",
        start: settled(1),
        edits: &[
            Edit::Reject,
            Edit::Disclaim,
            Edit::Throttle,
            Edit::Accept,
            Edit::Disconnect,
            Edit::Connect,
            Edit::RegenerateKey,
            Edit::TimePasses,
            Edit::OtherScopes,
            Edit::AskRevocation,
            Edit::WithdrawRevocation,
            Edit::AskReplacement,
            Edit::DeleteSecret,
            Edit::Delete,
        ],
        most_edits: size.of(2, 3),
        repeats: size.of(false, true),
        most_mishaps: 0,
        most_wakes: size.of(0, 1),
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

/// What becomes of a connection touches its objects.
pub fn connections(size: Size) -> Exploration {
    Exploration {
        name: "connections",
        start: settled(1),
        edits: &[
            Edit::Disconnect,
            Edit::DropConnection,
            Edit::SuspendConnection,
            Edit::NewConnection,
            Edit::Connect,
            Edit::MoveConnection,
            Edit::MoveConnectionBack,
            Edit::TimePasses,
            Edit::AskRevocation,
            Edit::AskReplacement,
            Edit::NoToken,
            Edit::Delete,
        ],
        most_edits: size.of(2, 3),
        repeats: false,
        most_mishaps: 0,
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
pub fn adoptable() -> World {
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

/// The same an hour later.
fn grown(processes: usize) -> World {
    let mut world = settled(processes);
    world.now += SignedDuration::from_hours(1);
    world
}

/// An object that was brought to where it should be.
pub fn settled(processes: usize) -> World {
    let mut world = World::new(wish(), processes, None);
    settle::go_on(&mut world, |_| Mishap::None);
    world
}

/// Where a fault shows.
pub fn of(bug: Bug) -> Exploration {
    use Edit::{
        AskAbandonment, AskReplacement, AskRevocation, Delete, DeleteSecret, Disconnect, EndOldTokens, ForeignSecret,
        InvalidSpec, MoveConnection, NoToken, OtherScopes, Pin, Reject, Retain, RivalAppears, RotateKey, Suspend,
        SuspendConnection, TakeOver, TimePasses, WithdrawReplacement, WithdrawRevocation,
    };
    let with = |exploration: Exploration, edits: &'static [Edit], most_mishaps: u8| Exploration {
        edits,
        most_edits: u8::try_from(edits.len()).unwrap(),
        most_mishaps,
        repeats: true,
        ..exploration
    };
    let life = |edits: &'static [Edit]| with(life(Size::Small), edits, 0);
    let mut exploration = match bug {
        Bug::RetiredKeyIgnored => life(&[RotateKey]),
        Bug::ValidFromIgnored => life(&[EndOldTokens]),
        Bug::ConnectionSuspensionIgnored => life(&[SuspendConnection, TimePasses]),
        Bug::BrokenConnectionUsed => life(&[Disconnect, TimePasses]),
        Bug::ForeignResourceIgnored => life(&[MoveConnection, TimePasses]),
        Bug::AdoptionNotAsked => with(adoption(Size::Small), &[], 0),
        Bug::NoFence | Bug::NoWithdrawal => with(take_over(Size::Small), &[TakeOver], 0),
        Bug::NoFinalizer | Bug::ReleasedTooEarly => with(creation(Size::Small), &[Delete], 0),
        Bug::IdRecordedLate | Bug::SettledAttemptForgotten | Bug::NotCounted | Bug::BlindRetry => {
            with(creation(Size::Small), &[], 1)
        }
        Bug::NoUidPrecondition => life(&[NoToken, DeleteSecret, ForeignSecret]),
        Bug::SecretOverwritten => life(&[DeleteSecret, ForeignSecret]),
        Bug::NoPauseAfterRevocation | Bug::RevocationSkipped => life(&[AskRevocation]),
        Bug::SecondRevocationSkipped => life(&[AskRevocation, OtherScopes]),
        Bug::LeaseIgnored => with(life_and_take_over(Size::Small), &[TakeOver, OtherScopes, TimePasses], 0),
        Bug::SecretLeftBehind => life(&[NoToken]),
        Bug::SecretReleased => life(&[Delete]),
        Bug::IdentityDeleted => life(&[TimePasses]),
        Bug::IdentityDeletedForInvalidSpec | Bug::InvalidSpecIgnored => life(&[InvalidSpec, TimePasses]),
        Bug::WithdrawnRevocationForgotten => with(self::life(Size::Small), &[AskRevocation, WithdrawRevocation], 1),
        Bug::WithdrawnReplacementForgotten => life(&[AskReplacement, WithdrawReplacement]),
        Bug::OldIdUsed => life(&[AskReplacement, TimePasses]),
        Bug::SuspensionIgnored => life(&[Suspend, TimePasses]),
        Bug::PolicyIgnored => life(&[Retain, Delete]),
        Bug::AbandonmentIgnored => life(&[AskAbandonment, Delete]),
        Bug::PinIgnored => life(&[Pin, AskReplacement]),
        Bug::RivalIgnored => life(&[RivalAppears, Delete]),
        Bug::NoBackOff => life(&[Reject, TimePasses]),
        Bug::SuspendedIsReady => life(&[Suspend, DeleteSecret]),
    };
    exploration.start.bug = Some(bug);
    exploration
}
