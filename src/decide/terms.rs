//! The connection as one of its users sees it: whether it can be used, and on which terms.

use jiff::Timestamp;

/// The connection that a user resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `Kind/name`, as shown in the CONNECTION column.
    pub label: String,
    /// Whether it can be used.
    pub state: ConnectionState,
    /// The GUID in the ids of its resource's identities, once that is known. An identity of another resource is never touched
    /// through it.
    pub resource_id: Option<String>,
    /// Whether its users may take over existing identities by id.
    pub allows_adoption: bool,
    /// Fingerprints of the credentials whose tokens are good; `None`: not known, so no token is replaced for its credential.
    pub credentials: Option<Vec<String>>,
    /// Tokens that were issued before are to be revoked and replaced, once this time has come.
    pub tokens_valid_from: Option<Timestamp>,
    /// When ACS last accepted its credential in a probe.
    pub proven: Option<Timestamp>,
    /// When that was after it had failed, or after the credential was changed: what waited for that waits no longer.
    pub repaired: Option<Timestamp>,
}

/// Whether a connection can be used, and if not, why not, as a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It can.
    Ready {
        /// The ACS URL, as written into the Secret.
        endpoint: String,
        /// Whether creates carry a custom id, so that a repeated one returns the same identity.
        custom_ids: bool,
    },
    /// It was declared, or this process started, a moment ago, and nobody has looked at it yet. Not worth a word before this
    /// instant: it will be known any moment.
    Pending {
        /// When that is no answer any more.
        until: Timestamp,
    },
    /// No such connection.
    NotFound(String),
    /// It does not serve this namespace.
    NotAllowed(String),
    /// It exists but cannot be used now.
    NotReady(String),
    /// Its credential leads to another ACS resource than the identities of its users are of.
    Elsewhere(String),
    /// `spec.suspend` is set on it: only deletions are carried out.
    Suspended,
}

impl Connection {
    /// A connection of which nothing else is known.
    pub fn new(label: impl Into<String>, state: ConnectionState) -> Self {
        Self {
            label: label.into(),
            state,
            resource_id: None,
            allows_adoption: false,
            credentials: None,
            tokens_valid_from: None,
            proven: None,
            repaired: None,
        }
    }

    /// Whether it can be used.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, ConnectionState::Ready { .. })
    }

    /// Whether a token that was made with this credential is as good as dead, or soon will be: ACS ends the tokens of a key
    /// that is regenerated.
    pub fn has_retired(&self, credential: &str) -> bool {
        let current = self.credentials.as_ref();
        current.is_some_and(|current| !current.iter().any(|fingerprint| fingerprint == credential))
    }

    /// Whether this identity is known to be another resource's.
    pub fn is_foreign(&self, id: &str) -> bool {
        let known = self.resource_id.as_deref();
        let is_of = |resource: &str| resource_of(id).is_some_and(|of| of.eq_ignore_ascii_case(resource));
        known.is_some_and(|resource| !is_of(resource))
    }

    /// Whether this identity is known to be of this connection's resource.
    pub fn is_own(&self, id: &str) -> bool {
        self.resource_id.is_some() && !self.is_foreign(id)
    }
}

/// The GUID of the resource in an identity's id: `8:acs:<resource>_<user>`, as Microsoft's identity model has it; other clouds
/// have other words for `acs`.
pub fn resource_of(id: &str) -> Option<&str> {
    let (_, rest) = id.strip_prefix("8:")?.split_once(':')?;
    rest.split_once('_').map(|(resource, _)| resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCE: &str = "11111111-2222-3333-4444-555555555555";

    fn of(resource: Option<&str>) -> Connection {
        Connection {
            resource_id: resource.map(str::to_owned),
            ..Connection::new("Kind/name", ConnectionState::Suspended)
        }
    }

    #[test]
    fn an_identity_is_foreign_only_to_a_connection_that_knows_its_resource() {
        let (own, other) = (format!("8:acs:{RESOURCE}_0001"), "8:acs:another_0001");
        assert!(of(Some(RESOURCE)).is_own(&own) && !of(Some(RESOURCE)).is_foreign(&own));
        assert!(of(Some(RESOURCE)).is_foreign(other) && !of(Some(RESOURCE)).is_own(other));
        assert!(!of(None).is_foreign(other) && !of(None).is_own(&own));
        assert!(of(Some(RESOURCE)).is_foreign("no id at all"));
        assert!(
            of(Some("AAAAAAAA")).is_own("8:gcch-acs:aaaaaaaa_0001"),
            "case says nothing"
        );
    }

    #[test]
    fn no_token_is_replaced_for_its_credential_while_the_credentials_are_not_known() {
        let mut connection = of(None);
        assert!(!connection.has_retired("k1"));
        connection.credentials = Some(vec!["k1".into(), "k2".into()]);
        assert!(!connection.has_retired("k2") && connection.has_retired("k3"));
    }
}
