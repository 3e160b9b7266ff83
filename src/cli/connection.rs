//! The default connection's key, which is read from the environment and from nowhere else.

use std::ffi::OsString;

use acs_identity::{ConnectionString, InsecureEndpoints};
use secrecy::{ExposeSecret, SecretString};

use super::{CONNECTION_STRING_VARIABLE, EndpointPolicy, Fault};

/// Refuses arguments that hold a connection string, before any error could repeat them.
pub(super) fn refuse_key_in(arguments: &[OsString]) -> Result<(), Fault> {
    if !arguments
        .iter()
        .any(|argument| looks_like_a_key(&argument.to_string_lossy()))
    {
        return Ok(());
    }
    Err(Fault::new(
        "an argument",
        "holds an access key, and arguments can be read by every process of this machine: take it as known to others",
        format!("set {CONNECTION_STRING_VARIABLE} in the environment instead, and regenerate the key in Azure"),
    ))
}

/// Is this a connection string, or a piece of one that holds the key?
pub(super) fn looks_like_a_key(text: &str) -> bool {
    // White space may stand wherever the parser takes it.
    let compact: String = text.split_whitespace().collect();
    compact.to_ascii_lowercase().contains("accesskey=")
}

/// The connection of the environment; `None` when the variable is absent or empty. Without a policy, because the flags
/// that make it are wrong themselves, any endpoint is taken.
pub(super) fn connection(
    variable: impl Fn(&str) -> Option<OsString>,
    policy: Option<&EndpointPolicy>,
) -> Result<Option<ConnectionString>, Fault> {
    let fault = |problem: String, remedy: &str| Fault::new(CONNECTION_STRING_VARIABLE, problem, remedy);
    let Some(raw) = variable(CONNECTION_STRING_VARIABLE).filter(|raw| !raw.is_empty()) else {
        return Ok(None);
    };
    let text = raw
        .into_string()
        .map_err(|_| fault("is not text in UTF-8".to_owned(), COPY_IT))?;
    let text = SecretString::from(text);
    let connection = ConnectionString::parse(text.expose_secret(), InsecureEndpoints::Allow)
        .map_err(|error| fault(error.to_string(), COPY_IT))?;
    match policy.map(|policy| policy.check(&connection.endpoint)) {
        None | Some(Ok(())) => Ok(Some(connection)),
        Some(Err(refused)) => Err(fault(refused.to_string(), refused.remedy())),
    }
}

const COPY_IT: &str = "copy the connection string from the resource's page \"Keys\" in the Azure portal";
