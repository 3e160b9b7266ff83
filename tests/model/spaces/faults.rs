//! Where each fault that is put in on purpose shows.

use super::{Size, adoption, changing_versions, creation, life_and_take_over, take_over};
use crate::bugs::Bug;
use crate::edits::Edit;
use crate::exploration::Exploration;

/// Where a fault shows.
pub fn of(bug: Bug) -> Exploration {
    use Edit::{
        AskAbandonment, AskReplacement, AskRevocation, Delete, DeleteSecret, Disconnect, EndOldTokens, ForeignSecret,
        InvalidSpec, MoveConnection, NoToken, OtherScopes, Pin, Reject, Retain, RivalAppears, RotateKey, Suspend,
        SuspendConnection, TakeOver, TimePasses, UseCustomIds, WithdrawReplacement, WithdrawRevocation,
    };
    let with = |exploration: Exploration, edits: &'static [Edit], most_mishaps: u8| Exploration {
        edits,
        most_edits: u8::try_from(edits.len()).unwrap(),
        most_mishaps,
        repeats: true,
        ..exploration
    };
    let life = |edits: &'static [Edit]| with(super::life(Size::Small), edits, 0);
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
        Bug::VersionIgnored => with(changing_versions(Size::Small), &[UseCustomIds], 1),
        Bug::NoUidPrecondition => life(&[NoToken, DeleteSecret, ForeignSecret]),
        Bug::SecretOverwritten => life(&[DeleteSecret, ForeignSecret]),
        Bug::NoPauseAfterRevocation | Bug::RevocationSkipped => life(&[AskRevocation]),
        Bug::SecondRevocationSkipped => life(&[AskRevocation, OtherScopes]),
        Bug::LeaseIgnored => with(life_and_take_over(Size::Small), &[TakeOver, OtherScopes, TimePasses], 0),
        Bug::SecretLeftBehind => life(&[NoToken]),
        Bug::SecretReleased => life(&[Delete]),
        Bug::IdentityDeleted => life(&[TimePasses]),
        Bug::IdentityDeletedForInvalidSpec | Bug::InvalidSpecIgnored => life(&[InvalidSpec, TimePasses]),
        Bug::WithdrawnRevocationForgotten => with(super::life(Size::Small), &[AskRevocation, WithdrawRevocation], 1),
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
