//! The endpoint that clients are given.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use url::Url;

/// The endpoint cannot stand in a connection string.
#[derive(Debug, thiserror::Error)]
#[error("`{endpoint}` cannot be the endpoint: {fault}; write for example https://acs-emulator.example:8443")]
pub struct EndpointError {
    endpoint: String,
    fault: &'static str,
}

/// The endpoint that was asked for, or else the address that is listened on. Ends with a slash.
pub(crate) fn choose(asked: Option<&Url>, tls: bool, listening: SocketAddr) -> Result<Url, EndpointError> {
    match asked {
        None => of_address(tls, listening),
        Some(url) => match fault_of(url) {
            None => Ok(url.clone()),
            Some(fault) => Err(EndpointError {
                endpoint: without_user(url),
                fault,
            }),
        },
    }
}

/// An emulator that listens on every address is called by loopback.
fn of_address(tls: bool, listening: SocketAddr) -> Result<Url, EndpointError> {
    let scheme = if tls { "https" } else { "http" };
    let ip = if listening.ip().is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        listening.ip()
    };
    let endpoint = format!("{scheme}://{}/", SocketAddr::new(ip, listening.port()));
    Url::parse(&endpoint).map_err(|_| EndpointError {
        endpoint,
        fault: "it is no URL",
    })
}

fn fault_of(url: &Url) -> Option<&'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        Some("its scheme must be http or https")
    } else if !url.username().is_empty() || url.password().is_some() {
        Some("it must not carry a user or password")
    } else if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        Some("it must end after host and port")
    } else {
        None
    }
}

/// For messages.
fn without_user(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(asked: &str) -> Result<String, String> {
        let url = Url::parse(asked).unwrap();
        let chosen = choose(Some(&url), false, ([127, 0, 0, 1], 80).into());
        chosen.map(|url| url.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_endpoint_is_scheme_host_and_port() {
        assert_eq!(chosen("http://acs.example:8080"), Ok("http://acs.example:8080/".into()));
        for (asked, fault) in [
            ("ftp://contoso", "its scheme must be http or https"),
            ("data:text", "its scheme must be http or https"),
            ("https://contoso/path", "it must end after host and port"),
            ("https://contoso?x", "it must end after host and port"),
            ("https://contoso#x", "it must end after host and port"),
            ("https://me:hush@contoso", "it must not carry a user or password"),
        ] {
            let error = chosen(asked).unwrap_err();
            assert!(error.contains(fault) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn without_one_asked_for_it_is_the_address_that_is_listened_on() {
        for (listening, tls, endpoint) in [
            ("127.0.0.1:8080", false, "http://127.0.0.1:8080/"),
            ("[::1]:8443", true, "https://[::1]:8443/"),
            ("0.0.0.0:80", false, "http://127.0.0.1/"),
        ] {
            assert_eq!(
                choose(None, tls, listening.parse().unwrap()).unwrap().as_str(),
                endpoint
            );
        }
    }
}
