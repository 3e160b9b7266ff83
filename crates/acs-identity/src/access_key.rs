//! The shared secret that signs requests.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::Fingerprint;

/// A resource's access key, decoded.
///
/// # Guarantees
/// The bytes never appear in `Debug` or in an error and are overwritten in memory when the last clone is dropped.
///
/// ```
/// use acs_identity::AccessKey;
///
/// let key = AccessKey::parse("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")?;
/// assert_eq!(key.fingerprint().as_str().len(), 16);
/// assert!(!format!("{key:?}").contains("MDEy"));
/// # Ok::<(), acs_identity::AccessKeyError>(())
/// ```
#[derive(Clone)]
pub struct AccessKey {
    bytes: Arc<SecretSlice<u8>>,
    fingerprint: Fingerprint,
}

/// Why a text is not an access key. Nothing of the text is in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessKeyError {
    /// Nothing but white space.
    #[error("the access key is empty; copy the primary or secondary key of the resource")]
    Empty,
    /// A length that padded base64 never has.
    #[error(
        "the access key is cut short or lacks its padding: base64 has a length that is a multiple of 4; copy the whole key, with any = at its end"
    )]
    Length,
    /// Characters or padding that standard base64 does not have.
    #[error(
        "the access key is not standard base64 (A-Z a-z 0-9 + / with = at the end); copy it unchanged from the resource"
    )]
    NotBase64,
}

impl AccessKey {
    /// Reads a key as the portal shows it: standard base64 with padding. White space around it is dropped.
    ///
    /// Keys of different lengths are in circulation, so none is demanded.
    ///
    /// # Errors
    /// [`AccessKeyError`] names the fault without repeating any of the key.
    pub fn parse(text: &str) -> Result<Self, AccessKeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AccessKeyError::Empty);
        }
        let foreign = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='));
        if text.contains(foreign) {
            return Err(AccessKeyError::NotBase64);
        }
        if !text.len().is_multiple_of(4) {
            return Err(AccessKeyError::Length);
        }
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| AccessKeyError::NotBase64)?);
        if bytes.is_empty() {
            return Err(AccessKeyError::NotBase64);
        }
        let fingerprint = Fingerprint::of_access_key(&bytes);
        // A copy of exact size: shrinking the decoder's buffer could leave its bytes behind.
        Ok(Self {
            bytes: Arc::new(SecretSlice::from(bytes.to_vec())),
            fingerprint,
        })
    }

    /// Which key this is, without telling the key.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.bytes.expose_secret()
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKey({})", self.fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_lengths_in_circulation_are_accepted() {
        for (encoded, bytes) in [(88, 64), (84, 63), (44, 32)] {
            let text = STANDARD.encode(vec![7_u8; bytes]);
            assert_eq!(text.len(), encoded);
            assert_eq!(AccessKey::parse(&format!(" {text}\n")).unwrap().expose().len(), bytes);
        }
    }

    #[test]
    fn a_bad_key_is_refused_with_its_fault() {
        use AccessKeyError as E;
        for (text, fault) in [
            ("", E::Empty),
            (" \n", E::Empty),
            ("MDEyMzQ1Njc4OWFiY2RlZg", E::Length),
            ("MDEyMzQ1Njc4OWFiY2RlZg=", E::Length),
            ("MDEy MzQ1", E::NotBase64),
            ("MDEyMzQ1Njc4OWFi_2RlZg==", E::NotBase64),
            ("====", E::NotBase64),
            ("MD=yMzQ1", E::NotBase64),
            ("\"MDEyMzQ1Njc4OWFiY2RlZg==\"", E::NotBase64),
            ("ключ", E::NotBase64),
        ] {
            assert_eq!(AccessKey::parse(text).unwrap_err(), fault, "{text:?}");
        }
    }
}
