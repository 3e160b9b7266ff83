//! What a token allows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the bearer of a token may do. Documented by Microsoft for API version 2023-10-01 and later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Chat in full.
    #[serde(rename = "chat")]
    Chat,
    /// Chat, but no creating, changing or deleting of threads.
    #[serde(rename = "chat.join")]
    ChatJoin,
    /// As [`Scope::ChatJoin`], and no adding or removing of participants.
    #[serde(rename = "chat.join.limited")]
    ChatJoinLimited,
    /// Calling in full.
    #[serde(rename = "voip")]
    Voip,
    /// Joining calls; starting them only in Rooms that the identity is invited to.
    #[serde(rename = "voip.join")]
    VoipJoin,
}

/// The text names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope; write one of chat, chat.join, chat.join.limited, voip, voip.join")]
pub struct UnknownScope;

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [
        Self::Chat,
        Self::ChatJoin,
        Self::ChatJoinLimited,
        Self::Voip,
        Self::VoipJoin,
    ];

    /// The name that the service uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::ChatJoin => "chat.join",
            Self::ChatJoinLimited => "chat.join.limited",
            Self::Voip => "voip",
            Self::VoipJoin => "voip.join",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or(UnknownScope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_one_name_in_text_and_json() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        for text in ["", "Chat", "voip ", "pstn"] {
            assert_eq!(text.parse::<Scope>(), Err(UnknownScope));
        }
    }
}
