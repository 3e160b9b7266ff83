//! The connection as its administrators made it, and what one object sees of it.

use acs_operator::decide::{Connection, ConnectionState, User};
use jiff::{SignedDuration, Timestamp};

const LABEL: &str = "ClusterCommunicationConnection/default";

/// The resource of every identity.
pub const RESOURCE: &str = "11111111-1111-1111-1111-111111111111";

/// How long nothing is known of a connection at most.
pub const PATIENCE: SignedDuration = SignedDuration::from_secs(5);

/// The terms on which a connection can be used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// Whether it can be used.
    pub standing: Standing,
    /// Whether objects may take over identities by id.
    pub allows_adoption: bool,
    /// Whether they ever might.
    pub allowed_adoption: bool,
    /// Tokens from before are to be revoked once this time has come.
    pub valid_from: Option<Timestamp>,
    /// The keys that are in use, once they are known.
    pub keys: Option<Vec<String>>,
    /// The resource that it is connected to, once that is known.
    pub resource: Option<String>,
}

/// Whether a connection can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It can.
    #[default]
    Ready,
    /// Nobody has looked at it yet since this time.
    New(Timestamp),
    /// Its credential is refused.
    Refused,
    /// There is none.
    Missing,
    /// It is suspended.
    Suspended,
}

impl Terms {
    /// What an object sees of it. One that is being deleted needs no more than a credential.
    pub fn seen_by(&self, user: &User, custom_ids: bool) -> Connection {
        let ready = || ConnectionState::Ready {
            endpoint: "https://contoso.communication.azure.com".to_owned(),
            custom_ids,
        };
        let mut connection = Connection::new(LABEL, ready());
        connection.state = match self.standing {
            Standing::Ready => ready(),
            Standing::Suspended if user.deleting => ready(),
            Standing::New(since) => ConnectionState::Pending {
                until: since + PATIENCE,
            },
            Standing::Refused => ConnectionState::NotReady("its credential is refused".to_owned()),
            Standing::Missing => ConnectionState::NotFound("there is no such connection".to_owned()),
            Standing::Suspended => ConnectionState::Suspended,
        };
        if connection.is_ready() {
            connection.resource_id.clone_from(&self.resource);
        }
        if connection.is_ready() && !user.deleting {
            connection.allows_adoption = self.allows_adoption;
            connection.tokens_valid_from = self.valid_from;
            connection.credentials.clone_from(&self.keys);
        }
        connection
    }

    /// Whether it is one of another resource than every identity.
    pub fn is_foreign(&self) -> bool {
        self.resource.as_deref().is_some_and(|resource| resource != RESOURCE)
    }
}
