//! The api-versions of the service and what each can do.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use url::form_urlencoded;

use crate::refusal::Refusal;
use crate::request::Request;

/// An api-version that the emulator knows. The order is the order of publication.
///
/// Published in Azure/azure-rest-api-specs; the differences below are those of the specifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiVersion {
    /// First stable one. Tokens for `chat` and `voip`, always for 24 hours.
    V2021_03_07,
    /// The same for identities.
    V2022_06_01,
    /// Adds `expiresInMinutes`.
    V2022_10_01,
    /// The same for identities.
    V2023_08_01,
    /// Adds the scopes `chat.join`, `chat.join.limited` and `voip.join`. What released SDKs use.
    V2023_10_01,
    /// Adds `customId` and `GET /identities/{id}`; both are absent again from later stable versions.
    V2025_03_02Preview,
    /// For identities the same as 2023-10-01.
    V2025_06_30,
    /// For identities the same as 2023-10-01.
    V2026_09_23,
}

/// The text is not an api-version that the emulator knows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{given}` is not an api-version of the identity service; known are {}", list(&ApiVersion::ALL))]
pub struct UnknownApiVersion {
    given: String,
}

impl ApiVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 8] = [
        Self::V2021_03_07,
        Self::V2022_06_01,
        Self::V2022_10_01,
        Self::V2023_08_01,
        Self::V2023_10_01,
        Self::V2025_03_02Preview,
        Self::V2025_06_30,
        Self::V2026_09_23,
    ];

    /// As in the `api-version` query parameter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2021_03_07 => "2021-03-07",
            Self::V2022_06_01 => "2022-06-01",
            Self::V2022_10_01 => "2022-10-01",
            Self::V2023_08_01 => "2023-08-01",
            Self::V2023_10_01 => "2023-10-01",
            Self::V2025_03_02Preview => "2025-03-02-preview",
            Self::V2025_06_30 => "2025-06-30",
            Self::V2026_09_23 => "2026-09-23",
        }
    }

    /// Whether a token's lifetime can be asked for.
    pub(crate) fn has_custom_expiry(self) -> bool {
        self >= Self::V2022_10_01
    }

    /// Whether the `join` scopes exist.
    pub(crate) fn has_join_scopes(self) -> bool {
        self >= Self::V2023_10_01
    }

    /// Whether `customId` and `GET /identities/{id}` exist.
    pub(crate) fn has_custom_id(self) -> bool {
        self == Self::V2025_03_02Preview
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ApiVersion {
    type Err = UnknownApiVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or_else(|| UnknownApiVersion { given: text.to_owned() })
    }
}

impl Serialize for ApiVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Comma-separated, as in the `api-supported-versions` response header.
pub(crate) fn list(versions: &[ApiVersion]) -> String {
    versions
        .iter()
        .map(|version| version.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The version a request asks for, if it is one of those served.
///
/// `UnsupportedApiVersion` is recorded; the codes for a missing and a repeated version are those of the versioning library
/// the service is seen to use.
pub(crate) fn requested(request: &Request, served: &[ApiVersion]) -> Result<ApiVersion, Refusal> {
    let mut given: Vec<_> = form_urlencoded::parse(request.query().as_bytes())
        .filter(|(name, _)| name.eq_ignore_ascii_case("api-version"))
        .map(|(_, value)| value)
        .collect();
    given.dedup();
    match given.as_slice() {
        [] => Err(Refusal::bad_request(
            "ApiVersionUnspecified",
            "An API version is required, but was not specified.",
        )),
        [one] => served
            .iter()
            .copied()
            .find(|version| version.as_str() == one)
            .ok_or_else(|| unsupported(request.path(), one)),
        several => Err(Refusal::bad_request(
            "AmbiguousApiVersion",
            format!("More than one API version was requested: {}.", several.join(", ")),
        )),
    }
}

/// The answer to a version that is not served, or not for this operation.
pub(crate) fn unsupported(path: &str, version: &str) -> Refusal {
    Refusal::bad_request(
        "UnsupportedApiVersion",
        format!(
            "The HTTP resource that matches the request URI '{path}' does not support the API version '{version}'."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_read_from_its_own_text_and_nothing_else() {
        for version in ApiVersion::ALL {
            assert_eq!(version.as_str().parse(), Ok(version));
        }
        for text in ["", "2023-10", "2023-10-01 ", "2025-03-02-PREVIEW", "latest"] {
            let error = ApiVersion::from_str(text).unwrap_err().to_string();
            assert!(error.contains("2023-10-01, 2025-03-02-preview"), "{error}");
        }
    }

    #[test]
    fn only_the_preview_has_custom_ids() {
        let with: Vec<_> = ApiVersion::ALL
            .into_iter()
            .filter(|version| version.has_custom_id())
            .collect();
        assert_eq!(with, [ApiVersion::V2025_03_02Preview]);
    }
}
