//! Which version of the REST API is spoken.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The `api-version` of every request.
///
/// The service has stopped serving versions before, so this is a setting and not a closed set. The default is the one
/// that the released official SDKs use. What the service offers today is in [`Exchange::api_versions`].
///
/// ```
/// use acs_identity::ApiVersion;
///
/// assert_eq!(ApiVersion::default().as_str(), "2023-10-01");
/// let preview: ApiVersion = "2025-03-02-preview".parse()?;
/// assert!(preview.has_custom_id());
/// # Ok::<(), acs_identity::ApiVersionError>(())
/// ```
///
/// [`Exchange::api_versions`]: crate::Exchange::api_versions
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApiVersion(Cow<'static, str>);

/// The text is not an API version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API version; write a date with an optional suffix, such as 2023-10-01 or 2025-03-02-preview")]
pub struct ApiVersionError;

const DATE_LENGTH: usize = 10;
const MAX_LENGTH: usize = 40;

impl ApiVersion {
    /// The default: create, issue, revoke and delete with every scope of today.
    pub const V2023_10_01: Self = Self(Cow::Borrowed("2023-10-01"));
    /// The one version with `customId` and `GET /identities/{id}`. Both are absent from the later stable versions.
    pub const PREVIEW_2025_03_02: Self = Self(Cow::Borrowed("2025-03-02-preview"));

    /// Reads `YYYY-MM-DD` with an optional suffix of letters and digits behind a hyphen.
    ///
    /// # Errors
    /// [`ApiVersionError`] for any other shape.
    pub fn parse(text: &str) -> Result<Self, ApiVersionError> {
        let (date, suffix) = text.split_at_checked(DATE_LENGTH).ok_or(ApiVersionError)?;
        let suffix_is_plain = match suffix.strip_prefix('-') {
            None => suffix.is_empty(),
            Some(word) => !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric()),
        };
        if text.len() > MAX_LENGTH || !suffix_is_plain || date.parse::<jiff::civil::Date>().is_err() {
            return Err(ApiVersionError);
        }
        Ok(Self(Cow::Owned(text.to_owned())))
    }

    /// The version as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this version takes a `customId` on create and has `GET /identities/{id}`.
    pub fn has_custom_id(&self) -> bool {
        *self == Self::PREVIEW_2025_03_02
    }
}

impl Default for ApiVersion {
    fn default() -> Self {
        Self::V2023_10_01
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ApiVersion {
    type Err = ApiVersionError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_future_versions_are_accepted() {
        for text in [
            "2021-03-07",
            "2023-10-01",
            "2026-09-23",
            "2025-03-02-preview",
            "2021-02-22-preview1",
        ] {
            assert_eq!(ApiVersion::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "latest",
            "2023-10",
            "2023-13-01",
            "2023-10-01-",
            "2023-10-01&x=1",
            "2023-10-01 ",
            "2023/10/01",
        ] {
            assert_eq!(ApiVersion::parse(text), Err(ApiVersionError), "{text:?}");
        }
        assert!(ApiVersion::parse(&format!("2023-10-01-{}", "a".repeat(40))).is_err());
    }

    #[test]
    fn only_the_preview_version_has_custom_ids() {
        assert!(ApiVersion::parse("2025-03-02-preview").unwrap().has_custom_id());
        assert!(!ApiVersion::default().has_custom_id());
        assert!(!ApiVersion::parse("2025-06-30").unwrap().has_custom_id());
    }
}
