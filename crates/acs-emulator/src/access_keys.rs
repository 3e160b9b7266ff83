//! The two access keys of the emulated resource.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};
use ring::{digest, hmac, rand};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Length of the keys the Azure portal hands out.
const GENERATED_KEY_BYTES: usize = 64;

/// Which of the two keys of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeySlot {
    /// The one in the printed connection string.
    Primary,
    /// The other one, which clients use while the primary is being replaced.
    Secondary,
}

impl fmt::Display for KeySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        })
    }
}

/// Why a text is not an access key. Never contains the text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AccessKeyError {
    /// Nothing was given.
    #[error(
        "the access key is empty; give the base64 text of a random key, for example from `openssl rand -base64 64`"
    )]
    Empty,
    /// Not standard, padded base64.
    #[error("the access key is not standard padded base64; make one with `openssl rand -base64 64 | tr -d '\\n'`")]
    NotBase64,
    /// The system has no randomness to make one from.
    #[error("the operating system gave no random bytes for a new access key")]
    NoRandomness,
}

/// An access key: its base64 text as clients hold it, and the signing key made of it. Deliberately without `Debug`.
#[derive(Clone)]
pub struct AccessKey {
    text: SecretString,
    verifying: hmac::Key,
    fingerprint: String,
}

impl AccessKey {
    /// Reads the base64 text of a key.
    ///
    /// # Errors
    /// When the text is empty or not standard padded base64. The length is not judged: keys of 63 and 64 bytes are both
    /// in circulation.
    pub fn parse(text: &str) -> Result<Self, AccessKeyError> {
        if text.is_empty() {
            return Err(AccessKeyError::Empty);
        }
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| AccessKeyError::NotBase64)?;
        Ok(Self::from_bytes(&bytes))
    }

    /// A new random key of 64 bytes.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, AccessKeyError> {
        let bytes: [u8; GENERATED_KEY_BYTES] = rand::generate(&rand::SystemRandom::new())
            .map_err(|_| AccessKeyError::NoRandomness)?
            .expose();
        Ok(Self::from_bytes(&bytes))
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            text: BASE64_STANDARD.encode(bytes).into(),
            verifying: hmac::Key::new(hmac::HMAC_SHA256, bytes),
            fingerprint: hex(&digest::digest(&digest::SHA256, bytes).as_ref()[..8]),
        }
    }

    /// The base64 text, as it stands in a connection string.
    pub fn text(&self) -> &str {
        self.text.expose_secret()
    }

    /// The first 16 hexadecimal digits of the key's SHA-256: enough to tell keys apart, of no use for signing.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Compares in constant time.
    fn signed(&self, text: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.verifying, text, signature).is_ok()
    }
}

/// Names one installed key for the emulator's lifetime: a slot gets a new serial with each new key, so that tokens of a
/// replaced key stay recognisable even if the same text is installed again later.
pub(crate) type KeySerial = u64;

/// A key that was found to have made a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signer {
    pub slot: KeySlot,
    pub serial: KeySerial,
}

struct Installed {
    key: AccessKey,
    serial: KeySerial,
}

/// Both keys. Either can be replaced at any time.
pub(crate) struct AccessKeys {
    primary: Installed,
    secondary: Installed,
    last_serial: KeySerial,
}

impl AccessKeys {
    pub(crate) fn new(primary: AccessKey, secondary: AccessKey) -> Self {
        Self {
            primary: Installed {
                key: primary,
                serial: 1,
            },
            secondary: Installed {
                key: secondary,
                serial: 2,
            },
            last_serial: 2,
        }
    }

    pub(crate) fn key(&self, slot: KeySlot) -> &AccessKey {
        match slot {
            KeySlot::Primary => &self.primary.key,
            KeySlot::Secondary => &self.secondary.key,
        }
    }

    /// Installs a key. Installing the key that is already there changes nothing.
    pub(crate) fn replace(&mut self, slot: KeySlot, key: AccessKey) {
        if self.key(slot).text() == key.text() {
            return;
        }
        self.last_serial += 1;
        let installed = Installed {
            key,
            serial: self.last_serial,
        };
        match slot {
            KeySlot::Primary => self.primary = installed,
            KeySlot::Secondary => self.secondary = installed,
        }
    }

    /// Which key made this signature. Both are always tried, so that the time taken does not tell which one it was.
    pub(crate) fn signer(&self, text: &[u8], signature: &[u8]) -> Option<Signer> {
        let primary = self.primary.key.signed(text, signature);
        let secondary = self.secondary.key.signed(text, signature);
        if primary {
            Some(Signer {
                slot: KeySlot::Primary,
                serial: self.primary.serial,
            })
        } else if secondary {
            Some(Signer {
                slot: KeySlot::Secondary,
                serial: self.secondary.serial,
            })
        } else {
            None
        }
    }

    pub(crate) fn is_installed(&self, serial: KeySerial) -> bool {
        self.primary.serial == serial || self.secondary.serial == serial
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_any_length_in_padded_standard_base64_is_accepted() {
        for bytes in [1_usize, 32, 63, 64] {
            let text = BASE64_STANDARD.encode(vec![7; bytes]);
            assert_eq!(AccessKey::parse(&text).unwrap().text(), text);
        }
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_without_repeating_it() {
        for text in ["", "pw==secret", "a-_b", "YWJj\n", "YWI"] {
            let error = AccessKey::parse(text).err().unwrap();
            assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn a_replaced_key_stays_replaced_when_the_same_text_comes_back() {
        let (first, second) = (AccessKey::generate().unwrap(), AccessKey::generate().unwrap());
        let mut keys = AccessKeys::new(first.clone(), second);
        let serial = keys.primary.serial;
        keys.replace(KeySlot::Primary, first.clone());
        assert!(keys.is_installed(serial));
        keys.replace(KeySlot::Primary, AccessKey::generate().unwrap());
        keys.replace(KeySlot::Primary, first);
        assert!(!keys.is_installed(serial));
    }
}
