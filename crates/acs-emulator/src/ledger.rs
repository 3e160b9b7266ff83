//! Every token that was handed out, by its SHA-256, and what became of it. Token texts are not kept.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use ring::digest;
use serde::Serialize;

use crate::access_keys::{AccessKeys, KeySerial, KeySlot, Signer, hex};
use crate::directory::Directory;
use crate::scope::Scope;

/// For how long an expired token is remembered.
const KEEP_EXPIRED: SignedDuration = SignedDuration::from_hours(1);

/// Whether a token would be accepted now, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenState {
    /// It would be accepted.
    Valid,
    /// Its `exp` has come.
    Expired,
    /// It was issued in a second before the one in which its identity's tokens were revoked.
    Revoked,
    /// It was issued in the same second as its identity's tokens were revoked. `iat` has whole seconds, so nobody can
    /// tell whether it came before or after: it is refused, and a client that relies on it has a race.
    RevokedInSameSecond,
    /// Its identity was deleted.
    IdentityDeleted,
    /// The access key with which it was asked for has been replaced. Documented by Microsoft: regenerating a key revokes
    /// the tokens that were created with it.
    KeyReplaced,
    /// This emulator did not issue it, or it expired more than an hour ago.
    Unknown,
}

impl TokenState {
    /// The state in a sentence.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Valid => "The token is accepted.",
            Self::Expired => "The token has expired.",
            Self::Revoked => "The tokens of its identity were revoked after it was issued.",
            Self::RevokedInSameSecond => {
                "The tokens of its identity were revoked in the second in which it was issued, before or after."
            }
            Self::IdentityDeleted => "Its identity was deleted.",
            Self::KeyReplaced => "The access key with which it was asked for has been replaced.",
            Self::Unknown => "This emulator did not issue it, or it expired more than an hour ago.",
        }
    }
}

/// A token that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuedToken {
    /// Lower-case hexadecimal SHA-256 of the token's text.
    pub sha256: String,
    /// Whose it is.
    pub identity: String,
    /// What it permits.
    pub scopes: Vec<Scope>,
    /// Its `iat`, in whole seconds.
    pub issued_at: Timestamp,
    /// Its `exp`, in whole seconds.
    pub expires_at: Timestamp,
    /// Which access key signed the request.
    pub asked_with: KeySlot,
    /// Whether it is accepted now.
    pub state: TokenState,
}

pub(crate) struct Issue {
    pub identity: String,
    pub scopes: Vec<Scope>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub signer: Signer,
}

struct Record {
    sha256: String,
    scopes: Vec<Scope>,
    issued_at: Timestamp,
    expires_at: Timestamp,
    asked_with: KeySlot,
    key: KeySerial,
}

/// What decides about a token besides the token.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub directory: &'a Directory,
    pub keys: &'a AccessKeys,
    pub now: Timestamp,
}

#[derive(Default)]
pub(crate) struct Ledger {
    of_identity: HashMap<String, Vec<Record>>,
    owner: HashMap<String, String>,
}

/// The lower-case hexadecimal SHA-256 of a token's text.
pub(crate) fn sha256(token: &str) -> String {
    hex(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
}

impl Ledger {
    /// Records a token. Two tokens of one second with the same claims are the same text, hence one record.
    pub(crate) fn record(&mut self, token: &str, issue: Issue) -> String {
        let sha256 = sha256(token);
        let records = self.of_identity.entry(issue.identity.clone()).or_default();
        let owner = &mut self.owner;
        records.retain(|record| {
            let keep = record.sha256 != sha256 && issue.issued_at.duration_since(record.expires_at) < KEEP_EXPIRED;
            if !keep {
                owner.remove(&record.sha256);
            }
            keep
        });
        records.push(Record {
            sha256: sha256.clone(),
            scopes: issue.scopes,
            issued_at: issue.issued_at,
            expires_at: issue.expires_at,
            asked_with: issue.signer.slot,
            key: issue.signer.serial,
        });
        owner.insert(sha256.clone(), issue.identity);
        sha256
    }

    /// The token with this SHA-256.
    pub(crate) fn find(&self, sha256: &str, world: World<'_>) -> Option<IssuedToken> {
        let identity = self.owner.get(sha256)?;
        self.of(identity, world)
            .into_iter()
            .find(|token| token.sha256 == sha256)
    }

    /// The tokens of an identity, oldest first.
    pub(crate) fn of(&self, identity: &str, world: World<'_>) -> Vec<IssuedToken> {
        let records = self.of_identity.get(identity).map(Vec::as_slice).unwrap_or_default();
        records.iter().map(|record| record.seen(identity, world)).collect()
    }

    /// All tokens, oldest first.
    pub(crate) fn all(&self, world: World<'_>) -> Vec<IssuedToken> {
        let mut tokens: Vec<_> = self
            .of_identity
            .keys()
            .flat_map(|identity| self.of(identity, world))
            .collect();
        tokens.sort_by(|a, b| (a.issued_at, &a.identity, &a.sha256).cmp(&(b.issued_at, &b.identity, &b.sha256)));
        tokens
    }
}

impl Record {
    fn seen(&self, identity: &str, world: World<'_>) -> IssuedToken {
        IssuedToken {
            sha256: self.sha256.clone(),
            identity: identity.to_owned(),
            scopes: self.scopes.clone(),
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            asked_with: self.asked_with,
            state: self.state(identity, world),
        }
    }

    fn state(&self, identity: &str, world: World<'_>) -> TokenState {
        let Some(identity) = world.directory.get(identity) else {
            return TokenState::IdentityDeleted;
        };
        if !world.keys.is_installed(self.key) {
            return TokenState::KeyReplaced;
        }
        match identity
            .tokens_revoked_at
            .map(|at| self.issued_at.as_second().cmp(&at.as_second()))
        {
            Some(std::cmp::Ordering::Less) => return TokenState::Revoked,
            Some(std::cmp::Ordering::Equal) => return TokenState::RevokedInSameSecond,
            Some(std::cmp::Ordering::Greater) | None => {}
        }
        if world.now >= self.expires_at {
            TokenState::Expired
        } else {
            TokenState::Valid
        }
    }
}
