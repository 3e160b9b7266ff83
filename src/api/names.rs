//! Names that other programs see: group, labels, annotations, finalizers, field managers.

/// API group of every kind of this project, and the prefix of its annotations and finalizers.
pub const GROUP: &str = "acs-operator.dev";
/// The only version that is served and stored.
pub const VERSION: &str = "v1beta1";

/// The [`ClusterCommunicationConnection`](super::ClusterCommunicationConnection) that a user without `connectionRef` uses.
pub const DEFAULT_CONNECTION: &str = "default";

/// Label on every Secret that the operator writes; its value is [`MANAGED_BY_VALUE`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY_VALUE: &str = "acs-operator";

/// Field manager of everything the operator writes.
pub const FIELD_MANAGER: &str = "acs-operator";
/// Field manager of the command line. Not `kubectl-…`: Flux reverts what managers of that prefix wrote.
pub const CLI_FIELD_MANAGER: &str = "acs-cli";

/// Verb on `communicationusers` that lets a subject change `status.identity` (checked by the shipped policy, in the whole
/// cluster: a grant in one namespace is none).
pub const ASSIGN_IDENTITY_VERB: &str = "assignidentity";

/// Finalizers, by the kind of object that carries them.
pub mod finalizer {
    /// On a `CommunicationUser`: its identity in ACS is not deleted yet.
    pub const IDENTITY: &str = "acs-operator.dev/identity";
    /// On a connection: users still need it.
    pub const IN_USE: &str = "acs-operator.dev/in-use";
    /// On a credential Secret: users of its connection still need it.
    pub const CREDENTIAL_IN_USE: &str = "acs-operator.dev/credential-in-use";

    /// All of a list but one: a patch that takes a finalizer off sends those that stay.
    pub fn without<'a>(finalizer: &str, held: impl IntoIterator<Item = &'a String>) -> Vec<String> {
        held.into_iter().filter(|held| *held != finalizer).cloned().collect()
    }
}

/// Annotations on a `CommunicationUser`.
pub mod annotation {
    /// Record of an identity create that was begun: see [`CreateAttempt`](crate::api::CreateAttempt).
    pub const CREATE_ATTEMPT: &str = "acs-operator.dev/create-attempt";
    /// Request: issue a new token. Any string; done when `status.lastHandledRenewAt` equals it.
    pub const RENEW_REQUESTED_AT: &str = "acs-operator.dev/renew-requested-at";
    /// Request: revoke every token and issue a new one. Any string; done when `status.lastHandledRevokeAt` equals it.
    pub const REVOKE_REQUESTED_AT: &str = "acs-operator.dev/revoke-requested-at";
    /// Request, with the current identity id as value: make a new identity, because that one is gone.
    pub const REPLACE_IDENTITY: &str = "acs-operator.dev/replace-identity";
    /// Request, with the current identity id as value: let a blocked deletion go and leave that identity in ACS.
    pub const ABANDON: &str = "acs-operator.dev/abandon";
}

/// Annotations on a token Secret: the record of the token it holds, written in the same call as the token.
pub mod secret_annotation {
    /// `namespace/name` of the `CommunicationUser` that the Secret belongs to.
    pub const USER: &str = "acs-operator.dev/user";
    /// Id of the ACS identity that the token belongs to.
    pub const IDENTITY: &str = "acs-operator.dev/identity";
    /// SHA-256 of the token, in lower-case hex.
    pub const TOKEN_SHA256: &str = "acs-operator.dev/token-sha256";
    /// When the token was asked for, by the operator's clock: RFC 3339, UTC, whole seconds.
    pub const ISSUE_TIME: &str = "acs-operator.dev/issue-time";
    /// When the token expires, by ACS's clock: RFC 3339, UTC, whole seconds.
    pub const EXPIRATION_TIME: &str = "acs-operator.dev/expiration-time";
    /// Scopes of the token, sorted and separated by commas.
    pub const SCOPES: &str = "acs-operator.dev/scopes";
    /// Fingerprint of the key or principal that the token was issued with.
    pub const CREDENTIAL: &str = "acs-operator.dev/credential";
    /// What the token was issued for, so that a repeat after a crash does no harm, and a checksum of the whole record.
    pub const REQUEST: &str = "acs-operator.dev/request";
}
