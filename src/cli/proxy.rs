//! The proxy for the calls to ACS, which comes from the environment as everywhere. The HTTP client goes without one that it
//! cannot read, and so past what was to be between the operator and the internet: such a value is a fault.

use std::ffi::OsString;

use http::Uri;

use super::faults::Fault;

/// The spellings that are read.
const NAMES: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];

/// Whether the proxy can be used, if there is one. Its value is not told: it may hold a password.
pub fn usable(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), Fault> {
    for name in NAMES {
        let value = variable(name).filter(|value| !value.is_empty());
        if value.is_some_and(|value| !value.to_str().is_some_and(is_proxy)) {
            return Err(Fault::new(
                name,
                "is not the address of an http or https proxy",
                "write it as http://proxy.example.com:3128, or http://user:password@proxy.example.com:3128 with everything but \
                 letters, digits, -, ., _ and ~ in user and password percent-encoded",
            ));
        }
    }
    Ok(())
}

/// Without a scheme it is one of http.
fn is_proxy(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        let speaks_http = uri
            .scheme_str()
            .is_none_or(|scheme| ["http", "https"].contains(&scheme));
        // What a `#` in a password cuts off leaves a host and no port.
        let has_host = uri.authority().is_some_and(|authority| {
            let is_whole = authority.port().is_some() || authority.as_str().ends_with(authority.host());
            is_whole && !authority.host().is_empty()
        });
        speaks_http && has_host
    })
}
