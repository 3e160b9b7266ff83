//! Which namespaces the operator serves, and which may use the default connection.

use std::{collections::BTreeSet, fmt};

use super::values::Wrong;

/// Namespaces whose CommunicationUsers the operator serves (`--watch-namespaces`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchNamespaces {
    /// Every namespace of the cluster.
    All,
    /// These, at least one.
    Only(BTreeSet<String>),
}

impl WatchNamespaces {
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() {
            return Ok(Self::All);
        }
        if text.trim() == "*" {
            return Err(Wrong::new(
                "is not a namespace",
                "leave the flag out to serve all namespaces",
            ));
        }
        names(text).map(Self::Only)
    }
}

/// Namespaces that may use the connection of `COMMUNICATION_SERVICES_CONNECTION_STRING`
/// (`--default-connection-namespaces`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultConnectionNamespaces {
    /// The namespace that the operator runs in, and no other.
    OperatorsOwn,
    /// Every namespace: `*` was written.
    Every,
    /// These, at least one.
    Only(BTreeSet<String>),
}

impl DefaultConnectionNamespaces {
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        match text.trim() {
            "" => Ok(Self::OperatorsOwn),
            "*" => Ok(Self::Every),
            _ => names(text).map(Self::Only),
        }
    }

    /// The namespaces as one text, when the operator itself lives in `own`; `*` for all.
    pub fn shown(&self, own: &str) -> String {
        match self {
            Self::OperatorsOwn => own.to_owned(),
            Self::Every => "*".to_owned(),
            Self::Only(names) => joined(names),
        }
    }

    /// May objects in `namespace` use it, when the operator itself lives in `own`?
    pub fn allow(&self, namespace: &str, own: &str) -> bool {
        match self {
            Self::OperatorsOwn => namespace == own,
            Self::Every => true,
            Self::Only(names) => names.contains(namespace),
        }
    }
}

impl fmt::Display for WatchNamespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Only(names) => f.write_str(&joined(names)),
        }
    }
}

fn joined(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

fn names(text: &str) -> Result<BTreeSet<String>, Wrong> {
    text.split(',').map(|part| name(part.trim())).collect()
}

/// A name that the API server would accept for a namespace (RFC 1123 label).
pub(super) fn name(text: &str) -> Result<String, Wrong> {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let well_formed = text.len() <= 63
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || c == '-');
    if well_formed {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("{:?} cannot be the name of a namespace", super::values::shortened(text)),
        "write names of lower-case letters, digits and '-', separated by commas: contact-center,support",
    ))
}
