//! The wanted access token.

use std::time::Duration;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::{
    duration::{DurationError, DurationText},
    rules,
    text_enum::text_enum,
};

/// The wanted access token.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::RENEW_BEFORE, validation = rules::RENEW_BEFORE_LEAVES_USE)]
pub struct TokenSpec {
    /// What the token is good for, one to five of chat, chat.join, chat.join.limited, voip and voip.join. A change issues
    /// a new token at once; older tokens keep scopes that were removed until they expire or are revoked.
    #[schemars(length(min = 1, max = 5))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub scopes: Vec<Scope>,

    /// How long a token is valid: 1h to 24h in whole minutes, for example 24h, 90m or 1h30m. Default 24h. A change issues
    /// a new token at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = TokenSpec::DEFAULT_LIFETIME_TEXT))]
    #[x_kube(validation = rules::LIFETIME)]
    pub lifetime: Option<DurationText>,

    /// How long before its expiry a token is renewed, in whole minutes, for example 8h or 20m: at least 15m, and at most
    /// the lifetime less 30m. Default: a third of the lifetime that ACS really gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<DurationText>,
}

impl TokenSpec {
    /// Lifetime of a token when the manifest names none.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_hours(24);
    const DEFAULT_LIFETIME_TEXT: &str = "24h";

    /// The lifetime to ask for.
    ///
    /// # Errors
    /// When the stored text is not a duration. The range is the schema's business, and ACS's.
    pub fn lifetime(&self) -> Result<Duration, DurationError> {
        self.lifetime
            .as_ref()
            .map_or(Ok(Self::DEFAULT_LIFETIME), DurationText::to_duration)
    }

    /// The wanted distance of the renewal from the expiry, if the manifest names one.
    ///
    /// # Errors
    /// When the stored text is not a duration.
    pub fn renew_before(&self) -> Result<Option<Duration>, DurationError> {
        self.renew_before.as_ref().map(DurationText::to_duration).transpose()
    }
}

text_enum! {
    /// What a token is good for.
    Scope {
        /// Full access to chat.
        Chat = "chat",
        /// Chat without creating or deleting threads.
        ChatJoin = "chat.join",
        /// Like `chat.join`, without adding or removing participants.
        ChatJoinLimited = "chat.join.limited",
        /// Full access to calling.
        Voip = "voip",
        /// Joining calls without starting them.
        VoipJoin = "voip.join",
    }
    /// Not a scope that this version knows.
    else Unknown
}
