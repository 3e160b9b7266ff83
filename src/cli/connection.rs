//! The default connection's key, which is read from the environment and from nowhere else.

use std::ffi::OsString;

use secrecy::SecretString;

use super::{CONNECTION_STRING_VARIABLE, Fault};

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
    text.to_ascii_lowercase().contains("accesskey=")
}

/// The connection string of the environment; `None` when the variable is absent or empty.
pub(super) fn connection_string(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<SecretString>, Fault> {
    let Some(raw) = variable(CONNECTION_STRING_VARIABLE).filter(|raw| !raw.is_empty()) else {
        return Ok(None);
    };
    match raw.into_string() {
        Ok(text) => Ok(Some(SecretString::from(text))),
        Err(_) => Err(Fault::new(
            CONNECTION_STRING_VARIABLE,
            "is not text in UTF-8",
            "copy the connection string from the resource's page \"Keys\" in the Azure portal",
        )),
    }
}
