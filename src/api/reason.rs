//! Why an object is in the state it is in: the closed set of condition reasons.

use std::{fmt, str::FromStr};

/// What a reason says about the object's way to its desired state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReasonClass {
    /// Reached, or at rest: neither `Reconciling` nor `Stalled` is set.
    Ready,
    /// Not reached; time, or someone else, can bring it: `Reconciling=True`.
    Reconciling,
    /// Not reached; only a change of this object can bring it: `Stalled=True`.
    Stalled,
}

/// A text is not one of the [`Reason`]s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a reason that acs-operator reports")]
pub struct UnknownReason(String);

/// Writes the enum, its text forms and its table of class and remedy from one list, so that no reason lacks either.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident, $class:ident, $remedy:literal;)+) => {
        /// Reason of the `Ready` condition, and of `Reconciling` or `Stalled` beside it.
        ///
        /// The names are API: alerts and scripts match on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order of its class.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The reason as conditions carry it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// Whether the object is there, on its way, or stuck.
            pub const fn class(self) -> ReasonClass {
                match self { $(Self::$name => ReasonClass::$class),+ }
            }

            /// What the reason means.
            pub fn meaning(self) -> String {
                let lines: &[&str] = match self { $(Self::$name => &[$($doc),+]),+ };
                lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
            }

            /// What the person who sees this reason can do about it, in one or two sentences.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy),+ }
            }
        }
    };
}

reasons! {
    /// The Secret holds a valid token.
    TokenIssued, Ready, "Nothing to do.";
    /// The identity exists; no token was asked for.
    IdentityCreated, Ready, "Nothing to do. Add spec.token.scopes to get a token in a Secret.";
    /// The token is valid, but its renewal has failed and is being retried.
    RenewalDelayed, Ready, "Nothing to do while the token is valid; the message says until when that is and what went wrong. If it stays, look at the connection.";
    /// The connection can be used: ACS accepts its credential.
    CredentialAccepted, Ready, "Nothing to do. The message says when one of two keys is refused, or the Secret is gone and the credential is only kept in memory: put the credential back before the operator restarts.";
    /// `spec.suspend` is set, here or on the connection. `Ready` is False with this reason once the token has expired.
    Suspended, Ready, "Set spec.suspend to false, on this object or on its connection, when calls to ACS may go on.";

    /// Work is under way, or the API server refused a write and it is being retried. A connection that is deleted waits for its users.
    Progressing, Reconciling, "Wait; the message says what is being done. If it quotes the API server (a quota, an admission policy), settle that with who owns it.";
    /// The connection that the object names, or the default connection, does not exist.
    ConnectionNotFound, Reconciling, "Create the connection that the message names, or set COMMUNICATION_SERVICES_CONNECTION_STRING for the operator to have a default one.";
    /// The cluster connection does not serve the object's namespace.
    ConnectionNotAllowed, Reconciling, "Ask who owns the ClusterCommunicationConnection to add the namespace to spec.allowedNamespaces, or create a CommunicationConnection in the namespace.";
    /// The connection is not ready: its credential is missing or refused.
    ConnectionNotReady, Reconciling, "Look at the connection's own Ready condition; its users go on by themselves when it is ready. The connection of the operator's environment has no condition: what is wrong with it is in the message.";
    /// The identity, or those of the connection's users, belong to another ACS resource than the connection's credential.
    ResourceMismatch, Reconciling, "Give the connection the credential of the ACS resource that made the identity; the resource's id is the GUID inside status.identity.id, and status.resourceId of a connection.";
    /// ACS, or the operator's own budget, asks to wait before the next call.
    Throttled, Reconciling, "Wait; the call is made when the limit allows it. If it stays, raise the connection's requestBudgetPercent or ask Azure support for higher rate limits.";
    /// ACS cannot be reached or fails to answer.
    ServiceUnavailable, Reconciling, "Wait; calls are retried. If it stays, check the endpoint, DNS, proxy and network policies between the operator and ACS, and Azure's service health.";
    /// The Secret with the connection's credential does not exist, holds none that can be used, or may not be read by the operator.
    CredentialMissing, Reconciling, "Create the Secret that spec.auth of the connection names, with the key and the form of value that the message asks for, or grant the right that it names.";
    /// ACS refuses the connection's credential, or the connection is to sign in by a method that this version cannot use.
    AccessDenied, Reconciling, "Put a valid credential into the Secret of the connection (keys may have been regenerated in Azure), or grant the principal access to the ACS resource.";
    /// A Secret of the wanted name exists and belongs to someone else.
    SecretConflict, Reconciling, "Delete or rename that Secret, or choose another name in spec.secret.name. The operator never changes a Secret that is not its own.";
    /// The token in the Secret has expired and could not be renewed.
    TokenExpired, Reconciling, "Look at the message for what keeps the renewal from succeeding, and at the connection; a new token is issued as soon as ACS answers.";
    /// The object is being deleted, but its identity cannot be deleted from ACS.
    DeletionBlocked, Reconciling, "Bring back the connection and its credential. If they are gone for good, annotate the object with acs-operator.dev/abandon=<status.identity.id>: the identity stays in ACS.";

    /// ACS refuses the request as it follows from the spec, or the spec asks for what the operator may not do.
    InvalidRequest, Stalled, "Change the spec; the message says what is objected to.";
    /// `spec.identity.id` names an identity, and the connection does not let its users adopt one.
    AdoptionNotAllowed, Stalled, "Remove this object and let one without spec.identity.id create an identity, or use a CommunicationConnection with spec.allowAdoption: true.";
    /// Another object in the cluster holds or claims the same identity.
    IdentityInUse, Stalled, "Delete one of the two objects; the message names the other. An identity belongs to one object.";
    /// ACS says that the identity is not one of the connection's resource.
    IdentityNotOwned, Stalled, "Check spec.identity.id, and that the connection is to the ACS resource in which the identity was made: its id begins with 8:acs:<id of the resource>. To have a new identity instead, annotate the object with acs-operator.dev/replace-identity=<status.identity.id>.";
    /// The identity was deleted in ACS by someone else.
    IdentityGone, Stalled, "To have a new identity, with another id, annotate the object with acs-operator.dev/replace-identity=<status.identity.id>; else delete the object.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| UnknownReason(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_is_read_back_from_its_name() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
        }
        assert_eq!(
            "tokenIssued".parse::<Reason>(),
            Err(UnknownReason("tokenIssued".to_owned()))
        );
    }

    #[test]
    fn names_are_unique_and_fit_what_kubernetes_allows_for_a_reason() {
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for name in names {
            assert!(
                name.len() <= 128 && name.starts_with(|c: char| c.is_ascii_uppercase()),
                "{name}"
            );
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric()), "{name}");
        }
    }

    #[test]
    fn every_reason_says_what_to_do_in_a_sentence() {
        for reason in Reason::ALL {
            assert!(
                reason.remedy().len() >= "Nothing to do.".len() && reason.remedy().ends_with('.'),
                "{reason}"
            );
        }
    }
}
