//! Everything a decision about a connection may see.

use jiff::{SignedDuration, Timestamp};

use super::health::Health;
use crate::api::{ConnectionStatus, names::finalizer};

/// A connection with all that matters to it, as this process knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedConnection {
    /// The object.
    pub object: ConnectionObject,
    /// Its credential.
    pub credential: Credential,
    /// The Secret that holds it.
    pub secret: Option<SecretState>,
    /// A Secret that it used before and that still carries our finalizer.
    pub former_secret: Option<SecretState>,
    /// Who uses it.
    pub users: Users,
    /// What ACS said of its credentials.
    pub health: Health,
    /// What only this process knows besides.
    pub memory: ConnectionMemory,
    /// How often a good credential is proven again; `None`: never.
    pub probe_interval: Option<SignedDuration>,
}

/// The object, parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionObject {
    /// `CommunicationConnection` or `ClusterCommunicationConnection`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The generation of the spec.
    pub generation: i64,
    /// Whether its deletion was requested.
    pub deleting: bool,
    /// All its finalizers; a patch must send the full list.
    pub finalizers: Vec<String>,
    /// Whether it is ours to write to: the connection of the environment has no object, and one that other installations use
    /// too is theirs as well.
    pub is_writable: bool,
    /// The method in use, as in `spec.auth`.
    pub method: &'static str,
    /// Whether `spec.suspend` is set.
    pub suspend: bool,
    /// Its status as stored.
    pub status: ConnectionStatus,
}

/// The credential as it can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Not looked for yet.
    Pending,
    /// There is none, as a sentence that says what to do.
    Missing(String),
    /// The operator may not read it, as a sentence that says which right is missing.
    Refused(String),
    /// The spec makes no sense, or asks for what is not allowed, as a sentence that says what to write instead.
    Invalid(String),
    /// The method is one that this version cannot use.
    Unsupported(String),
    /// Usable.
    Loaded {
        /// The ACS URL.
        endpoint: String,
        /// Fingerprints, in the order in which they are tried.
        fingerprints: Vec<String>,
        /// The keys of the Secret that they lie under, in the same order; empty for those of the environment.
        keys: Vec<String>,
        /// The Secret is gone or makes no sense any more, as a sentence: this is what it held last.
        outlived: Option<String>,
    },
}

/// A Secret with a credential, without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretState {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// All its finalizers.
    pub finalizers: Vec<String>,
    /// Whether its deletion was requested.
    pub deleting: bool,
    /// Whether its namespace goes as a whole.
    pub namespace_goes: bool,
    /// Whether another connection that has users needs it too.
    pub is_shared: bool,
}

impl SecretState {
    /// Whether our finalizer keeps it.
    pub fn is_guarded(&self) -> bool {
        self.finalizers.iter().any(|held| held == finalizer::CREDENTIAL_IN_USE)
    }

    /// Whether our finalizer keeps it, and for this connection only.
    pub fn can_go(&self) -> bool {
        self.is_guarded() && !self.is_shared
    }
}

/// The CommunicationUsers of a connection, as counted through the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// How many there are.
    pub all: i32,
    /// How many of them wait for a token that takes the place of one that is not good any more.
    pub tokens_pending: i32,
    /// How many of them are being deleted.
    pub leaving: i32,
    /// How many of them hold an identity.
    pub holders: i32,
    /// How many of them hold identities of the resource that was at the same endpoint before.
    pub of_former: i32,
    /// The suspected orphans that they tell of.
    pub suspected_orphans: i32,
}

/// What only this process knows of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionMemory {
    /// When this process first looked at it.
    pub began: Option<Timestamp>,
    /// Since when a probe is under way.
    pub probing: Option<Timestamp>,
    /// The resource, as an answer of ACS told it.
    pub resource_id: Option<String>,
    /// The resource that was at the same endpoint before, as far as users may hold identities of it.
    pub former_resource: Option<String>,
    /// Suspected orphans that status does not count yet.
    pub suspected_orphans: i32,
    /// How many of them status counted at the last look.
    pub stored_orphans: Option<i32>,
    /// When status was last brought up to date with the counts.
    pub counted: Option<Timestamp>,
    /// How many users a live list found when the connection was last asked to go, and when.
    pub still_used: Option<(usize, Timestamp)>,
    /// Failed writes in a row, and how long to wait.
    pub trouble: Option<WriteTrouble>,
}

/// A write that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteTrouble {
    /// How many in a row.
    pub count: u32,
    /// When the last of them was.
    pub at: Timestamp,
    /// How long to wait after that.
    pub pause: SignedDuration,
}

impl ObservedConnection {
    /// Whether our finalizer keeps the object.
    pub fn is_guarded(&self) -> bool {
        self.object.finalizers.iter().any(|held| held == finalizer::IN_USE)
    }

    /// The credentials, in the order in which they are tried.
    pub fn fingerprints(&self) -> &[String] {
        match &self.credential {
            Credential::Loaded { fingerprints, .. } => fingerprints,
            _ => &[],
        }
    }

    /// The credential in use; `None`: there is none, or all are refused.
    pub fn in_use(&self) -> Option<&String> {
        self.health.in_use(self.fingerprints())
    }

    /// The GUID of the resource: what was learned last, or what status says.
    pub fn resource_id(&self) -> Option<&str> {
        let recorded = self
            .object
            .status
            .resource_id
            .as_deref()
            .filter(|_| !self.is_elsewhere());
        self.memory.resource_id.as_deref().or(recorded)
    }

    /// The resource that was at the same endpoint before, when users hold identities of it.
    pub fn former_resource(&self) -> Option<&str> {
        self.memory
            .former_resource
            .as_deref()
            .filter(|_| self.users.of_former > 0)
    }

    /// Whether its credential leads to another endpoint than before.
    fn is_elsewhere(&self) -> bool {
        match (&self.credential, &self.object.status.endpoint) {
            (Credential::Loaded { endpoint, .. }, Some(before)) => before != endpoint,
            _ => false,
        }
    }

    /// Whether its credential leads to another endpoint than the one that users hold identities of.
    pub fn has_moved(&self) -> bool {
        self.is_elsewhere() && self.object.status.resource_id.is_some() && self.users.holders > 0
    }
}

impl ConnectionMemory {
    /// Takes note of how many suspected orphans status counts. Only who leads counts them, so what they are more than at the last
    /// look is told by now, whether or not the write that told it was answered.
    pub fn note_stored_orphans(&mut self, stored: i32) {
        let before = self.stored_orphans.replace(stored).unwrap_or(stored);
        let told = stored.saturating_sub(before).clamp(0, self.suspected_orphans);
        self.suspected_orphans -= told;
    }
}
