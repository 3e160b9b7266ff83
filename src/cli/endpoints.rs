//! Which hosts a credential may be sent to.

use super::values::Wrong;

/// Hosts that the operator may sign requests for. Everything that is not allowed here never sees a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointPolicy {
    /// https, to hosts that end with one of these suffixes. Each begins with a dot, so that
    /// `evilcommunication.azure.com` does not end with `.communication.azure.com`.
    Suffixes(Vec<String>),
    /// Any host, http too: for emulators and tests.
    Any,
}

/// Why a credential may not be sent to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointRefused {
    /// A scheme other than https.
    #[error(
        "its scheme is {0}, and a token must not cross the network in clear text: use https (for an emulator, --allow-insecure-endpoints)"
    )]
    Scheme(String),
    /// A host that is under none of the suffixes.
    #[error("its host {host} is not under {allowed}: an administrator can add it to --allowed-endpoint-suffixes")]
    Host {
        /// The host in question.
        host: String,
        /// The allowed suffixes, for a reader.
        allowed: String,
    },
}

impl EndpointPolicy {
    pub(super) fn new(allow_insecure: bool, suffixes: Vec<String>) -> Self {
        if allow_insecure {
            Self::Any
        } else {
            Self::Suffixes(suffixes)
        }
    }

    /// May a signature be sent to `host` by `scheme`?
    ///
    /// # Errors
    /// What is wrong with the endpoint, and who can change that.
    pub fn check(&self, scheme: &str, host: &str) -> Result<(), EndpointRefused> {
        let Self::Suffixes(suffixes) = self else { return Ok(()) };
        if scheme != "https" {
            return Err(EndpointRefused::Scheme(scheme.to_owned()));
        }
        let lower = host.to_ascii_lowercase();
        if suffixes
            .iter()
            .any(|suffix| lower.len() > suffix.len() && lower.ends_with(suffix.as_str()))
        {
            return Ok(());
        }
        Err(EndpointRefused::Host {
            host: host.to_owned(),
            allowed: suffixes.join(", "),
        })
    }
}

pub(super) fn suffixes(text: &str) -> Result<Vec<String>, Wrong> {
    text.split(',').map(|part| suffix(part.trim())).collect()
}

fn suffix(text: &str) -> Result<String, Wrong> {
    let host_characters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let labels_present = text
        .strip_prefix('.')
        .is_some_and(|rest| rest.split('.').all(|label| !label.is_empty()));
    if labels_present && text.chars().all(host_characters) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Wrong::new(
        format!(
            "{:?} is not the ending of a host name that begins with a dot",
            super::values::shortened(text)
        ),
        "write for example .communication.azure.com, or leave the flag out for the hosts of Azure",
    ))
}
