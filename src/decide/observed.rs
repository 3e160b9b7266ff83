//! Everything a decision may see.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::failure::{FailureKind, Operation};
use super::memory::{Fate, LookedAt, Memory, OwnAttempt};
use super::record::TokenRecord;
use super::revocation::is_dead;
use super::terms::{Connection, ConnectionState};
use super::this_run::ThisRun;
use crate::api::{CommunicationUserStatus, CreateAttempt, DeletionPolicy, Origin, Scope, SecretKeys, names::finalizer};

/// One object with all that matters to it, as this process knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The CommunicationUser.
    pub user: User,
    /// The Secret of the wished name.
    pub secret: SecretView,
    /// Secrets of other names whose controller owner is this object: left over from a rename.
    pub other_secrets: Vec<OwnedSecret>,
    /// Another object that holds the same identity with the better claim.
    pub rival: Option<String>,
    /// The connection that the object uses.
    pub connection: Connection,
    /// What only this process knows.
    pub memory: Memory,
    /// What only the run at hand knows.
    pub this_run: ThisRun,
}

/// The CommunicationUser, parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid: another object of the same name has another.
    pub uid: String,
    /// The version that every write is conditional on.
    pub resource_version: String,
    /// The generation of the spec.
    pub generation: i64,
    /// Whether its deletion was requested.
    pub deleting: bool,
    /// All its finalizers; a patch must send the full list.
    pub finalizers: Vec<String>,
    /// The newest record of intent to create an identity.
    pub attempt: Option<CreateAttempt>,
    /// What its annotations ask for.
    pub requests: Requests,
    /// What its spec asks for, or what is wrong with it.
    pub wish: Result<Wish, InvalidSpec>,
    /// Its status as stored.
    pub status: CommunicationUserStatus,
}

impl User {
    /// The id that status records.
    pub fn identity_id(&self) -> Option<&str> {
        self.status.identity.as_ref()?.id.as_deref()
    }

    /// Whether status records what became of this attempt.
    pub fn has_settled(&self, attempt: Uuid) -> bool {
        let recorded = self.status.identity.as_ref();
        let settled = recorded.and_then(|identity| identity.attempt.as_deref());
        settled == Some(attempt.to_string().as_str())
    }

    /// What its spec says of the identity when the object goes.
    pub fn deletion_policy(&self) -> Option<&DeletionPolicy> {
        match &self.wish {
            Ok(wish) => wish.deletion_policy.as_ref(),
            Err(invalid) => invalid.deletion_policy.as_ref(),
        }
    }

    /// Whether its spec asks for a token. One that can't be read asks for nothing.
    pub fn wants_token(&self) -> bool {
        self.wish.as_ref().is_ok_and(|wish| wish.token.is_some())
    }

    /// The name that its Secret has, or would have if a token were wanted.
    pub fn secret_name(&self) -> &str {
        self.wish.as_ref().map_or(&self.name, |wish| &wish.secret.name)
    }
}

/// The parsed spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// The token, if one is wanted.
    pub token: Option<TokenWish>,
    /// The Secret to hold it.
    pub secret: SecretWish,
    /// The identity that the manifest names.
    pub pinned_id: Option<String>,
    /// What happens to the identity when the object goes; by origin where absent.
    pub deletion_policy: Option<DeletionPolicy>,
    /// No calls to ACS but deletion.
    pub suspend: bool,
}

/// `spec.token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenWish {
    /// Sorted, without repetition.
    pub scopes: Vec<Scope>,
    /// Whole minutes.
    pub lifetime: SignedDuration,
    /// By default a third of the life that the service gives.
    pub renew_before: Option<SignedDuration>,
}

/// `spec.secret` with its defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretWish {
    /// Name of the Secret.
    pub name: String,
    /// Which value goes under which key.
    pub keys: SecretKeys,
    /// Labels besides our own.
    pub labels: BTreeMap<String, String>,
    /// Annotations besides our own.
    pub annotations: BTreeMap<String, String>,
}

/// A spec that makes no sense although the schema let it through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSpec {
    /// What is wrong, as a sentence that says what to write instead.
    pub why: String,
    /// What happens to the identity when the object goes: that can be read all the same, and a deletion can't be undone.
    pub deletion_policy: Option<DeletionPolicy>,
}

/// Requests made by annotation; a request is met when the matching `status.lastHandled…` equals it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Issue a new token.
    pub renew: Option<String>,
    /// Revoke all tokens, then issue a new one.
    pub revoke: Option<String>,
    /// Make a new identity in place of this id.
    pub replace: Option<String>,
    /// Let a blocked deletion of this id go.
    pub abandon: Option<String>,
}

/// The Secret of the wished name.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretView {
    /// The watch shows none. A Secret that isn't ours is invisible to it, so this is no proof.
    NotSeen,
    /// The API server was asked and has none.
    Absent,
    /// Controlled by this object.
    Ours(OwnedSecret),
    /// It says that it was made for this object, and nobody controls it: a backup brought it back.
    Unowned(OwnedSecret),
    /// Somebody else's.
    Foreign,
}

/// A Secret of this object.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedSecret {
    /// Which version of it.
    pub version: SecretVersion,
    /// The record of its token; `None` when its annotations are damaged.
    pub record: Option<Box<TokenRecord>>,
}

/// Exactly one version of one Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVersion {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
}

/// The create attempt that is recorded as begun and not as settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenAttempt {
    /// Its uuid.
    pub uuid: Uuid,
    /// Whether it was sent with a custom id, or would have been.
    pub custom_id: bool,
    /// How far it came; attempts of other processes are in doubt.
    pub fate: Fate,
    /// Whether it was announced over one that was in doubt.
    pub follows_doubt: bool,
}

impl OpenAttempt {
    /// Whether it, or one before it, may have made an identity that nobody recorded.
    pub fn is_in_doubt(&self) -> bool {
        self.follows_doubt || self.fate == Fate::InDoubt
    }
}

impl Observed {
    /// The id that status records.
    pub fn identity_id(&self) -> Option<&str> {
        self.user.identity_id()
    }

    /// The id that the spec names.
    pub fn pinned_id(&self) -> Option<&str> {
        self.user.wish.as_ref().ok()?.pinned_id.as_deref()
    }

    /// Whether another identity is asked for in place of the recorded one.
    pub fn is_to_be_replaced(&self) -> bool {
        self.identity_id().is_some() && self.user.requests.replace.as_deref() == self.identity_id()
    }

    /// Whether our finalizer keeps the object from going without us.
    pub fn is_guarded(&self) -> bool {
        self.user.finalizers.iter().any(|f| f == finalizer::IDENTITY)
    }

    /// The attempt whose outcome status does not record yet. A restored copy of an object has another uid, so an
    /// annotation that names the old uid says nothing.
    pub fn open_attempt(&self) -> Option<OpenAttempt> {
        self.memory.open_attempt(&self.user)
    }

    /// The attempt that is being carried out, now that it has come this far.
    pub fn own_attempt(&self, uuid: Uuid, fate: Fate) -> OwnAttempt {
        let own = self.memory.attempt.as_ref().filter(|own| own.uuid == uuid);
        OwnAttempt {
            uuid,
            custom_id: own.is_some_and(|own| own.custom_id),
            fate,
            follows_doubt: own.is_some_and(|own| own.follows_doubt),
        }
    }

    /// The attempt to announce if one is to be begun. One whose announcement may have arrived unnoticed is announced again, since
    /// under another uuid it could not be told from one that was sent.
    pub fn next_attempt(&self) -> CreateAttempt {
        let custom_id = self.custom_ids();
        let unsent = self.memory.attempt.as_ref().filter(|own| {
            own.fate == Fate::Announced && own.custom_id == custom_id && !self.user.has_settled(own.uuid)
        });
        CreateAttempt {
            owner_uid: self.user.uid.clone(),
            attempt: unsent.map_or(self.this_run.next_attempt, |own| own.uuid),
            custom_id,
        }
    }

    /// The look at the Secret that the API server was asked for, if it said what is seen now.
    pub fn look(&self) -> Option<&LookedAt> {
        let looked = self.memory.looked.as_ref();
        looked.filter(|looked| looked.matches(self.user.secret_name(), &self.secret))
    }

    /// Whether one more create makes the same identity as this attempt: both with a custom id.
    pub fn can_be_repeated(&self, open: OpenAttempt) -> bool {
        open.custom_id && self.custom_ids()
    }

    /// Whether this attempt may have made another identity than the recorded one.
    pub fn may_have_made_another(&self, open: OpenAttempt) -> bool {
        let origin = self.user.status.identity.as_ref().and_then(|i| i.origin.as_ref());
        let is_the_same =
            self.can_be_repeated(open) && self.identity_id().is_some() && origin == Some(&Origin::Created);
        open.is_in_doubt() && !is_the_same
    }

    /// Whether creates carry a custom id.
    pub fn custom_ids(&self) -> bool {
        matches!(self.connection.state, ConnectionState::Ready { custom_ids: true, .. })
    }

    /// The custom id of the identity that is to be created, where creates carry one: the object's uid, which stays the same
    /// when an attempt is repeated, and which no other object has. An identity that replaces another has to differ from
    /// that, so the creation time of the other, which stays on record, is in its custom id as well.
    pub fn custom_id(&self) -> Option<String> {
        let uid = &self.user.uid;
        let replaced = self
            .user
            .status
            .identity
            .as_ref()
            .and_then(|i| i.creation_time.as_ref());
        self.custom_ids()
            .then(|| replaced.map_or_else(|| uid.clone(), |created| format!("{uid}-{}", created.0.as_second())))
    }

    /// The ACS URL to write into the Secret.
    pub fn endpoint(&self) -> Option<&str> {
        match &self.connection.state {
            ConnectionState::Ready { endpoint, .. } => Some(endpoint),
            _ => self.user.status.identity.as_ref()?.endpoint.as_deref(),
        }
    }

    /// Whether the identity was recorded for another object: this one is a copy, or came out of a backup.
    pub fn is_copy(&self) -> bool {
        let identity = self
            .user
            .status
            .identity
            .as_ref()
            .filter(|identity| identity.id.is_some());
        identity.is_some_and(|identity| identity.owner_uid.as_deref() != Some(self.user.uid.as_str()))
    }

    /// Whether ACS said of this identity that it does not exist any more.
    pub fn is_known_gone(&self) -> bool {
        let trouble = self.memory.trouble.as_ref();
        trouble.is_some_and(|trouble| trouble.failure.kind == FailureKind::Gone)
    }

    /// The record of the token in our Secret, if it belongs to the recorded identity.
    pub fn token_record(&self) -> Option<&TokenRecord> {
        match &self.secret {
            SecretView::Ours(secret) | SecretView::Unowned(secret) => secret
                .record
                .as_deref()
                .filter(|record| Some(record.identity.as_str()) == self.identity_id()),
            _ => None,
        }
    }

    /// Whether the identity is deleted in ACS, or was before.
    pub fn is_deleted(&self) -> bool {
        self.memory.identity_gone || self.is_proven_gone()
    }

    /// Whether ACS said, when it was to delete the identity, that it has none such. It says the same of one of another resource, and for
    /// a credential that is another resource's: so it counts only for an id of the connection's own resource, and when the credential
    /// was proven since.
    pub(super) fn is_proven_gone(&self) -> bool {
        let (Some(id), Some(trouble)) = (self.identity_id(), &self.memory.trouble) else {
            return false;
        };
        let refused = trouble.failure.kind == FailureKind::NotOwned && trouble.failure.operation == Operation::Delete;
        let is_proven = self.connection.proven.is_some_and(|proven| proven > trouble.at);
        refused && is_proven && self.connection.is_own(id)
    }

    /// Every Secret whose controller owner is this object, or that was made for it and has none.
    pub fn owned_secrets(&self) -> impl Iterator<Item = &SecretVersion> {
        let ours = match &self.secret {
            SecretView::Ours(secret) | SecretView::Unowned(secret) => Some(secret),
            _ => None,
        };
        ours.into_iter()
            .chain(&self.other_secrets)
            .map(|secret| &secret.version)
    }

    /// Whether the object has what it is to have: a valid token, or just its identity.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        if self.memory.identity_gone || self.is_known_gone() {
            return false;
        }
        match &self.user.wish {
            // With an instant and no token, its identity was about to be replaced: nobody knows what became of that.
            Ok(wish) if wish.token.is_none() => {
                let told = self.user.status.token.as_ref();
                self.identity_id().is_some() && told.is_none_or(|told| told.issue_time.is_some())
            }
            _ => self.has_valid_token(now),
        }
    }

    /// Whether a token lies in our Secret that is valid at `now` and that no revocation was begun against.
    pub fn has_valid_token(&self, now: Timestamp) -> bool {
        self.token_record()
            .is_some_and(|record| record.life().is_valid(now) && !is_dead(self, record))
    }
}
