//! A name of one's own for an identity.

use std::fmt;

use serde::Serialize;

/// A caller's own name for an identity (preview API version [`ApiVersion::PREVIEW_2025_03_02`] only).
///
/// The specification says that a create with a `customId` that is already in use returns the identity made before.
/// It lets it have 1 to 256 characters and says nothing of their kind, of case, or of reuse after a delete.
///
/// [`ApiVersion::PREVIEW_2025_03_02`]: crate::ApiVersion::PREVIEW_2025_03_02
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct CustomId(String);

/// The text is empty or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a customId has 1 to {MAX_CHARACTERS} characters")]
pub struct CustomIdError;

const MAX_CHARACTERS: usize = 256;

impl CustomId {
    /// Takes 1 to 256 characters.
    ///
    /// # Errors
    /// [`CustomIdError`] when there are none or more.
    pub fn parse(text: impl Into<String>) -> Result<Self, CustomIdError> {
        let text = text.into();
        if text.is_empty() || text.chars().count() > MAX_CHARACTERS {
            Err(CustomIdError)
        } else {
            Ok(Self(text))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CustomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_custom_id_has_1_to_256_characters() {
        assert!(CustomId::parse("").is_err());
        assert!(CustomId::parse("é".repeat(256)).is_ok());
        assert!(CustomId::parse("e".repeat(257)).is_err());
    }
}
