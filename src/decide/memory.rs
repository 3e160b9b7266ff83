//! What a process remembers of one object between its looks.

use jiff::Timestamp;
use uuid::Uuid;

use super::backoff::Trouble;
use super::observed::{OpenAttempt, SecretVersion, SecretView, User};
use super::revocation::Revocation;

/// What only this process knows about one object. None of it is needed for correctness after a restart:
/// an attempt that nobody remembers counts as a suspected orphan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// The identity that the object had when all this was learned.
    pub identity: Option<String>,
    /// The create attempt that this process began last.
    pub attempt: Option<OwnAttempt>,
    /// Failures since the last success.
    pub trouble: Option<Trouble>,
    /// ACS confirmed that the identity is gone.
    pub identity_gone: bool,
    /// The revocation that this process began and that is not answered yet.
    pub revocation: Option<Revocation>,
    /// When ACS was last asked to revoke, whatever came of it, unless a token was issued since.
    pub revoke_sent: Option<Timestamp>,
    /// When a revocation was last given up that ACS may carry out later, or was found that another process may have sent, unless a token
    /// was written since that it cannot end. After a restart within that time it is not known: a token that it ends is replaced when it
    /// is renewed.
    pub revoke_in_doubt: Option<Timestamp>,
    /// What reading the Secret found, since its last change.
    pub inspected: Option<Inspected>,
    /// When a damaged token was last replaced.
    pub repaired: Option<Timestamp>,
    /// What the API server said of the Secret when it was asked, unless it was written since.
    pub looked: Option<LookedAt>,
}

impl Memory {
    /// What is kept of it between two runs, over what is `noted` already; `None`: nothing is worth keeping.
    pub fn kept(mut self, noted: Option<&Self>) -> Option<Self> {
        let under_way = self.attempt.as_ref().filter(|own| own.fate == Fate::UnderWay);
        let further = noted
            .and_then(|noted| noted.attempt.as_ref())
            .filter(|noted| under_way.is_some_and(|own| own.uuid == noted.uuid));
        if further.is_some() {
            // Its task has come further since this was recalled.
            self.attempt = further.cloned();
        }
        let nothing = Self {
            identity: self.identity.clone(),
            ..Self::default()
        };
        (self != nothing).then_some(self)
    }

    /// The attempt whose outcome the status of `user` does not record yet: the one that is announced, or, where somebody took the
    /// announcement away meanwhile, one of this process that was sent.
    pub fn open_attempt(&self, user: &User) -> Option<OpenAttempt> {
        let announced = user.attempt.as_ref().filter(|attempt| attempt.owner_uid == user.uid);
        let own = self.attempt.as_ref();
        let open = match announced {
            Some(announced) => {
                let own = own.filter(|own| own.uuid == announced.attempt);
                OpenAttempt {
                    uuid: announced.attempt,
                    custom_id: announced.custom_id,
                    fate: own.map_or(Fate::InDoubt, |own| own.fate),
                    follows_doubt: own.is_some_and(|own| own.follows_doubt),
                }
            }
            None => own
                .filter(|own| matches!(own.fate, Fate::UnderWay | Fate::InDoubt))
                .map(|own| OpenAttempt {
                    uuid: own.uuid,
                    custom_id: own.custom_id,
                    fate: own.fate,
                    follows_doubt: own.follows_doubt,
                })?,
        };
        (!user.has_settled(open.uuid)).then_some(open)
    }

    /// Forgets what was learned of another identity than this one: of this one it says nothing.
    pub fn forget_all_but(&mut self, identity: Option<&str>) {
        if self.identity.as_deref() != identity {
            let before = std::mem::take(self);
            *self = Self {
                identity: identity.map(str::to_owned),
                attempt: before.attempt,
                inspected: before.inspected,
                repaired: before.repaired,
                ..Self::default()
            };
        }
    }
}

/// The Secret as the API server knew it. Whoever led before had written nothing else by then, and the look holds for all runs as long as
/// the watch shows the same: permits that are waited for meanwhile would not last until another answer. What changes after it, the
/// precondition of a write finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedAt {
    name: String,
    seen: Seen,
    /// The API server would accept a write that it refused before.
    pub accepts: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// Ours, of this version.
    Version(String),
    Foreign,
}

impl LookedAt {
    /// It was seen so, under this name.
    pub fn of(name: &str, view: &SecretView) -> Self {
        Self {
            name: name.to_owned(),
            seen: Seen::of(view),
            accepts: false,
        }
    }

    /// Whether that is what is seen now.
    pub fn matches(&self, name: &str, view: &SecretView) -> bool {
        self.name == name && self.seen == Seen::of(view)
    }
}

impl Seen {
    fn of(view: &SecretView) -> Self {
        match view {
            SecretView::NotSeen | SecretView::Absent => Self::Nothing,
            SecretView::Ours(secret) | SecretView::Unowned(secret) => {
                Self::Version(secret.version.resource_version.clone())
            }
            SecretView::Foreign => Self::Foreign,
        }
    }
}

/// What reading one version of a Secret found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The version that was read.
    pub version: SecretVersion,
    /// The layout that it was compared with.
    pub layout: String,
    /// What was found.
    pub finding: Finding,
}

/// How a Secret compares with what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Intact,
    /// It holds the token of its record, and something else in it is wrong.
    Astray,
    /// It does not hold the token of its record.
    TokenLost,
}

/// A create attempt of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAttempt {
    /// Its uuid, as in the annotation.
    pub uuid: Uuid,
    /// Whether it is sent with a custom id, as in the annotation.
    pub custom_id: bool,
    /// How far it came.
    pub fate: Fate,
    /// Whether it was announced over one that was in doubt. With custom ids both make the same identity, and whoever was
    /// first may have made it.
    pub follows_doubt: bool,
}

/// How far a create attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Announced in the annotation, not sent.
    Announced,
    /// Being sent or recorded by a task that nothing cancels.
    UnderWay,
    /// Certain to have made no identity, or one that is recorded, or that was deleted again.
    Settled,
    /// Nobody knows.
    InDoubt,
}
