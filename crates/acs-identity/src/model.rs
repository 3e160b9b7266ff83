//! What goes into the operations and comes out of them.

use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use crate::{CustomId, IdentityId, Scope, TokenLifetime};

/// An access token and when it ends.
///
/// The token is a JWT, but its content is not a contract: go by [`expires_on`](Self::expires_on).
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The token. `Debug` does not show it.
    pub token: SecretString,
    /// When it expires, by the service's clock. The service gives fractions of a second.
    pub expires_on: Timestamp,
}

/// An identity, as a create answers it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its id.
    pub id: IdentityId,
    /// Its first token, when scopes were asked for. A token that cannot be read is `None` too: the identity exists all
    /// the same, and a token can be issued for it.
    pub token: Option<AccessToken>,
}

/// What to create.
///
/// ```
/// use acs_identity::{CreateIdentity, Scope, TokenLifetime};
///
/// let identity_only = CreateIdentity::new();
/// let with_token = CreateIdentity { lifetime: Some(TokenLifetime::MIN), ..CreateIdentity::with_scopes([Scope::Voip]) };
/// assert_ne!(identity_only.request_id, with_token.request_id);
/// ```
#[derive(Debug, Clone)]
pub struct CreateIdentity {
    /// What the first token allows; none: no token.
    pub scopes: Vec<Scope>,
    /// How long the first token lives; `None`: the service's 24 hours. Unused without scopes.
    pub lifetime: Option<TokenLifetime>,
    /// The caller's own name for the identity; needs an API version with custom ids, and makes the create repeatable.
    pub custom_id: Option<CustomId>,
    /// Sent as `x-ms-client-request-id`, so that this very attempt can be found in Azure's logs.
    pub request_id: Uuid,
}

impl CreateIdentity {
    /// An identity without a token, with a new request id.
    pub fn new() -> Self {
        Self {
            scopes: Vec::new(),
            lifetime: None,
            custom_id: None,
            request_id: Uuid::new_v4(),
        }
    }

    /// An identity with a first token, with a new request id.
    pub fn with_scopes(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self {
            scopes: scopes.into_iter().collect(),
            ..Self::new()
        }
    }
}

impl Default for CreateIdentity {
    fn default() -> Self {
        Self::new()
    }
}

/// What the service knows of an identity (preview API version only).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityDetail {
    /// Its id.
    pub id: IdentityId,
    /// The caller's own name for it, if it was created with one.
    pub custom_id: Option<String>,
    /// When a token was last issued for it.
    pub last_token_issued_at: Option<Timestamp>,
}

/// How a delete found the identity. Either way it is gone now, and its tokens with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The service has deleted it now.
    Deleted,
    /// The service did not know it (any more).
    WasGone,
}
