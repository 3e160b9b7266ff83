//! The record of intent that precedes the creation of an identity.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// Value of the annotation [`CREATE_ATTEMPT`](super::names::annotation::CREATE_ATTEMPT): `<object uid>/<attempt uuid>`, and
/// `/custom-id` after it for one that may be repeated.
///
/// It is written before ACS is asked for an identity. An attempt that is not the one in `status.identity.attempt` may
/// have left an identity behind. The uid tells an own attempt from one that came along with a restored copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateAttempt {
    /// `metadata.uid` of the object that the attempt was made for.
    pub owner_uid: String,
    /// Identifies the attempt; sent to ACS as `x-ms-client-request-id`.
    pub attempt: Uuid,
    /// Whether it is sent with a custom id, under which a repeat returns the same identity. One that does not say so counts as sent
    /// without.
    pub custom_id: bool,
}

const WITH_CUSTOM_ID: &str = "/custom-id";

/// Why a text is not a [`CreateAttempt`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateAttemptError {
    /// There is no `/`, or nothing before it.
    #[error("a create attempt is written <object uid>/<attempt uuid>, but there is no uid before a '/'")]
    NoOwner,
    /// What follows the `/` is not a UUID.
    #[error("a create attempt is written <object uid>/<attempt uuid>, but what follows the '/' is not a UUID")]
    NotAUuid,
}

impl FromStr for CreateAttempt {
    type Err = CreateAttemptError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (owner_uid, attempt) = text.split_once('/').ok_or(CreateAttemptError::NoOwner)?;
        if owner_uid.is_empty() {
            return Err(CreateAttemptError::NoOwner);
        }
        // What another version says of it besides, this one does not know.
        let (uuid, how) = attempt.find('/').map_or((attempt, ""), |at| attempt.split_at(at));
        Ok(Self {
            owner_uid: owner_uid.to_owned(),
            attempt: uuid.parse().map_err(|_| CreateAttemptError::NotAUuid)?,
            custom_id: how == WITH_CUSTOM_ID,
        })
    }
}

impl fmt::Display for CreateAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.custom_id { WITH_CUSTOM_ID } else { "" };
        write!(f, "{}/{}{suffix}", self.owner_uid, self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "6a3ef3f2-35c1-4f39-a3a2-bc9ba2ba9d0a";
    const ATTEMPT: &str = "0b1a0a9d-64ef-4f3c-9a51-7c0f6a0f1d55";

    #[test]
    fn an_attempt_survives_being_written_and_read() {
        let another: CreateAttempt = format!("{UID}/{ATTEMPT}/of-a-later-version").parse().unwrap();
        assert!(!another.custom_id, "{another:?}");
        for (suffix, custom_id) in [("", false), ("/custom-id", true)] {
            let text = format!("{UID}/{ATTEMPT}{suffix}");
            let attempt: CreateAttempt = text.parse().unwrap();
            assert_eq!(attempt.owner_uid, UID);
            assert_eq!(attempt.attempt.to_string(), ATTEMPT);
            assert_eq!(attempt.custom_id, custom_id);
            assert_eq!(attempt.to_string(), text);
        }
    }

    #[test]
    fn an_annotation_edited_by_hand_is_refused_rather_than_guessed() {
        for (text, error) in [
            ("", CreateAttemptError::NoOwner),
            (UID, CreateAttemptError::NoOwner),
            ("/0b1a0a9d-64ef-4f3c-9a51-7c0f6a0f1d55", CreateAttemptError::NoOwner),
            ("6a3ef3f2/", CreateAttemptError::NotAUuid),
            ("6a3ef3f2/first", CreateAttemptError::NotAUuid),
            ("6a3ef3f2/custom-id", CreateAttemptError::NotAUuid),
        ] {
            assert_eq!(text.parse::<CreateAttempt>(), Err(error), "{text:?}");
        }
    }
}
