//! Which hosts a credential may be sent to.

use acs_identity::Endpoint;

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
    /// Plain http.
    #[error("the endpoint {0} is http, over which signatures and tokens can be read")]
    Insecure(Endpoint),
    /// A host that is under none of the suffixes.
    #[error("the host of the endpoint {endpoint} does not end with {allowed}")]
    Host {
        /// The endpoint in question.
        endpoint: Endpoint,
        /// The allowed suffixes, for a reader.
        allowed: String,
    },
}

impl EndpointRefused {
    /// What an administrator of the operator can do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Insecure(_) => "use https, or for an emulator the flag --allow-insecure-endpoints",
            Self::Host { .. } => "if the host is one of yours, add its ending to --allowed-endpoint-suffixes",
        }
    }
}

impl From<(bool, Vec<String>)> for EndpointPolicy {
    /// From `--allow-insecure-endpoints` and `--allowed-endpoint-suffixes`.
    fn from((allow_insecure, suffixes): (bool, Vec<String>)) -> Self {
        if allow_insecure {
            Self::Any
        } else {
            Self::Suffixes(suffixes)
        }
    }
}

impl EndpointPolicy {
    /// May a signature be sent to `endpoint`?
    ///
    /// # Errors
    /// What is wrong with the endpoint, and how an administrator can change that.
    pub fn check(&self, endpoint: &Endpoint) -> Result<(), EndpointRefused> {
        let Self::Suffixes(suffixes) = self else { return Ok(()) };
        if !endpoint.is_https() {
            return Err(EndpointRefused::Insecure(endpoint.clone()));
        }
        let host = endpoint.host();
        if suffixes
            .iter()
            .any(|suffix| host.len() > suffix.len() && host.ends_with(suffix.as_str()))
        {
            return Ok(());
        }
        Err(EndpointRefused::Host {
            endpoint: endpoint.clone(),
            allowed: suffixes.join(" or "),
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
