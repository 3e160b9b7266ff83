//! What can be asked of the service.

use std::fmt;

/// An operation of the Identity API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `POST /identities`, with or without a first token.
    Create,
    /// `POST /identities/{id}/:issueAccessToken`
    Issue,
    /// `POST /identities/{id}/:revokeAccessTokens`
    Revoke,
    /// `DELETE /identities/{id}`
    Delete,
    /// `GET /identities/{id}` (preview API version only)
    Get,
    /// A [`Revoke`](Self::Revoke) that is meant to find nothing: see [`Client::probe`](crate::Client::probe). The service
    /// counts it as a revoke.
    Probe,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 6] = [
        Self::Create,
        Self::Issue,
        Self::Revoke,
        Self::Delete,
        Self::Get,
        Self::Probe,
    ];

    /// A short lower-case name, fit for a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Issue => "issue",
            Self::Revoke => "revoke",
            Self::Delete => "delete",
            Self::Get => "get",
            Self::Probe => "probe",
        }
    }

    /// What the operation does, for sentences.
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::Create => "create an identity",
            Self::Issue => "issue a token",
            Self::Revoke => "revoke the tokens of an identity",
            Self::Delete => "delete an identity",
            Self::Get => "look up an identity",
            Self::Probe => "prove the credential",
        }
    }

    /// Whether the operation is about an identity that is there already.
    pub(crate) const fn is_about_an_identity(self) -> bool {
        !matches!(self, Self::Create)
    }

    /// Whether `status` is this operation's success. Narrow on purpose: a page that some box on the way answers with
    /// 200 is not a deletion.
    pub(crate) const fn succeeds_with(self, status: u16) -> bool {
        match self {
            // 201 is the documented status; drafts of the customId version had 200 for an identity that was there.
            Self::Create => matches!(status, 200 | 201),
            Self::Issue | Self::Get => status == 200,
            Self::Revoke | Self::Delete | Self::Probe => status == 204,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
