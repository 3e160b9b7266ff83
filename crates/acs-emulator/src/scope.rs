//! What a token permits.

use serde::{Deserialize, Serialize};

/// A scope of an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Full chat.
    #[serde(rename = "chat")]
    Chat,
    /// Chat without creating, changing or deleting threads.
    #[serde(rename = "chat.join")]
    ChatJoin,
    /// As `chat.join`, and without adding or removing participants.
    #[serde(rename = "chat.join.limited")]
    ChatJoinLimited,
    /// Full calling.
    #[serde(rename = "voip")]
    Voip,
    /// Calling without starting calls.
    #[serde(rename = "voip.join")]
    VoipJoin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Chat,
        Self::ChatJoin,
        Self::ChatJoinLimited,
        Self::Voip,
        Self::VoipJoin,
    ];

    /// As in requests and tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::ChatJoin => "chat.join",
            Self::ChatJoinLimited => "chat.join.limited",
            Self::Voip => "voip",
            Self::VoipJoin => "voip.join",
        }
    }

    /// Whether it came with the `join` family.
    pub(crate) fn is_join(self) -> bool {
        matches!(self, Self::ChatJoin | Self::ChatJoinLimited | Self::VoipJoin)
    }
}
