//! Telling credentials apart without telling them.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Names a credential so that two can be compared and one can be written down: which key made this token?
///
/// # Guarantees
/// 16 lower-case hexadecimal digits, the same for the same key in every process and version. One-way: it is the
/// beginning of a SHA-256 over a prefix of its own and the key, and says nothing useful about the key's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

/// Keeps these hashes apart from any other hash of the same key.
const ACCESS_KEY_DOMAIN: &[u8] = b"acs-identity/access-key/1\0";
const SHOWN_BYTES: usize = 8;

impl Fingerprint {
    pub(crate) fn of_access_key(key: &[u8]) -> Self {
        let digest = Sha256::new()
            .chain_update(ACCESS_KEY_DOMAIN)
            .chain_update(key)
            .finalize();
        let mut hex = String::with_capacity(2 * SHOWN_BYTES);
        for byte in digest.iter().take(SHOWN_BYTES) {
            let _ = write!(hex, "{byte:02x}");
        }
        Self(hex)
    }

    /// The 16 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_never_changes_for_a_key() {
        // Recorded in objects that outlive the process: a new value would look like a rotated key.
        assert_eq!(
            Fingerprint::of_access_key(b"0123456789abcdef0123456789abcdef").as_str(),
            "1089696ee321f246"
        );
    }

    #[test]
    fn different_keys_have_different_fingerprints() {
        assert_ne!(Fingerprint::of_access_key(b"one"), Fingerprint::of_access_key(b"two"));
    }
}
