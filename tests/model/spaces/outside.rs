//! What ACS and the connection do.

use super::{Size, settled};
use crate::edits::Edit;
use crate::exploration::Exploration;
use crate::settle::Known;

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
