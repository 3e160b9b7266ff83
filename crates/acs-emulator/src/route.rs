//! Which operation a request asks for.

use std::fmt;

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::request::Request;

/// The operations of the service, as the journal and the faults name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// `POST /identities`, with or without a token.
    Create,
    /// `POST /identities/{id}/:issueAccessToken`.
    Issue,
    /// `POST /identities/{id}/:revokeAccessTokens`.
    Revoke,
    /// `DELETE /identities/{id}`.
    Delete,
    /// `GET /identities/{id}`, under the preview version.
    Get,
    /// Anything else.
    Unknown,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Issue => "issue",
            Self::Revoke => "revoke",
            Self::Delete => "delete",
            Self::Get => "get",
            Self::Unknown => "unknown",
        })
    }
}

/// An operation and the id it is about, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Create,
    Issue(String),
    Revoke(String),
    Delete(String),
    Get(String),
}

impl Route {
    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Create => Operation::Create,
            Self::Issue(_) => Operation::Issue,
            Self::Revoke(_) => Operation::Revoke,
            Self::Delete(_) => Operation::Delete,
            Self::Get(_) => Operation::Get,
        }
    }

    pub(crate) fn identity(&self) -> Option<&str> {
        match self {
            Self::Create => None,
            Self::Issue(id) | Self::Revoke(id) | Self::Delete(id) | Self::Get(id) => Some(id),
        }
    }
}

/// Reads method and path. An id may come with its colons raw or as `%3A`; the colon of an action is always raw, as every
/// official SDK sends it.
pub(crate) fn of(request: &Request) -> Result<Route, Refusal> {
    let segments: Vec<&str> = request.path().split('/').collect();
    let route = match (segments.as_slice(), &request.method) {
        (["", "identities"], &Method::POST) => Some(Route::Create),
        (["", "identities", "", ..], _) => None,
        (["", "identities", id, ":issueAccessToken"], &Method::POST) => decoded(id).map(Route::Issue),
        (["", "identities", id, ":revokeAccessTokens"], &Method::POST) => decoded(id).map(Route::Revoke),
        (["", "identities", id], &Method::DELETE) => decoded(id).map(Route::Delete),
        (["", "identities", id], &Method::GET) => decoded(id).map(Route::Get),
        (
            ["", "identities"]
            | ["", "identities", _]
            | ["", "identities", _, ":issueAccessToken" | ":revokeAccessTokens"],
            method,
        ) => return Err(method_not_allowed(method)),
        _ => None,
    };
    route.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "NotFound", "There is no such route."))
}

fn decoded(segment: &str) -> Option<String> {
    percent_decode_str(segment)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}

fn method_not_allowed(method: &Method) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        format!("The method {method} is not allowed on this route."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;

    fn route(line: &str) -> Result<Route, u16> {
        let (method, target) = line.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = Request {
            method,
            target: target.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        of(&request).map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn ids_are_understood_raw_and_encoded() {
        let id = || "8:acs:g_o".to_owned();
        for (line, expected) in [
            ("POST /identities?api-version=x", Route::Create),
            (
                "POST /identities/8%3Aacs%3Ag_o/:issueAccessToken?a=b",
                Route::Issue(id()),
            ),
            ("POST /identities/8:acs:g_o/:issueAccessToken", Route::Issue(id())),
            (
                "POST /identities/8%3aacs%3Ag_o/:revokeAccessTokens",
                Route::Revoke(id()),
            ),
            ("DELETE /identities/8:acs:g_o", Route::Delete(id())),
            ("GET /identities/8%3Aacs%3Ag_o", Route::Get(id())),
        ] {
            assert_eq!(route(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_no_route_is_404_or_405() {
        for line in [
            "POST /",
            "POST /identities/",
            "POST /Identities",
            "DELETE /identities/",
            "GET /identities/%FF",
            "POST /identities/8:acs:g_o/issueAccessToken",
            "POST /identities/8:acs:g_o/%3AissueAccessToken",
            "POST //identities",
            "POST /identities/a/b/:issueAccessToken",
            "GET /teamsUser/:exchangeAccessToken",
        ] {
            assert_eq!(route(line), Err(404), "{line}");
        }
        for line in [
            "GET /identities",
            "PUT /identities/x",
            "POST /identities/x",
            "GET /identities/x/:issueAccessToken",
        ] {
            assert_eq!(route(line), Err(405), "{line}");
        }
    }
}
