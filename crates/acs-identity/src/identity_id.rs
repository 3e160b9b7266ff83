//! The name of an identity.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The id of an ACS identity, such as `8:acs:<resource guid>_<opaque>`.
///
/// The prefix tells the cloud (`8:acs:`, `8:dod-acs:`, `8:gcch-acs:`, or the old `8:spool:`; these are the ones the
/// official SDKs know). The guid is that of the resource. The rest belongs to the service and is not looked into.
///
/// ```
/// use acs_identity::IdentityId;
///
/// let id: IdentityId = "8:acs:2dee53b4-368b-45b4-ab52-8493fb117652_00000005-14a2-493b-8a72-5a3a0d000081".parse()?;
/// assert_eq!(id.resource_id(), "2dee53b4-368b-45b4-ab52-8493fb117652");
/// # Ok::<(), acs_identity::IdentityIdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdentityId(String);

/// Why a text is not an [`IdentityId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an ACS identity id; write it in full, such as 8:acs:<resource guid>_<opaque>, at most {MAX_LENGTH} characters"
)]
pub struct IdentityIdError;

const PREFIXES: [&str; 4] = ["8:acs:", "8:dod-acs:", "8:gcch-acs:", "8:spool:"];
const GUID_LENGTH: usize = 36;
const MAX_LENGTH: usize = 200;

impl IdentityId {
    /// Reads an id, exactly as the service wrote it: no white space is dropped and no case is changed.
    ///
    /// # Errors
    /// [`IdentityIdError`] when the text has another shape.
    pub fn parse(text: &str) -> Result<Self, IdentityIdError> {
        let (guid, opaque) = split(text).ok_or(IdentityIdError)?;
        let opaque_is_plain = opaque
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if text.len() > MAX_LENGTH || !is_guid(guid) || opaque.is_empty() || !opaque_is_plain {
            return Err(IdentityIdError);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as the service wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The guid of the resource that the identity belongs to (ARM's `immutableResourceId`), as written in the id.
    /// Compare without regard to case.
    pub fn resource_id(&self) -> &str {
        split(&self.0).map_or("", |(guid, _)| guid)
    }

    /// An id of the right form that no resource owns: its guid is zero.
    pub(crate) fn of_nobody() -> Self {
        Self("8:acs:00000000-0000-0000-0000-000000000000_00000000-0000-0000-0000-000000000000".to_owned())
    }

    /// The id as a path segment. Its alphabet leaves nothing but the colons to encode; the official SDKs do so too.
    pub(crate) fn path_segment(&self) -> String {
        self.0.replace(':', "%3A")
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    let rest = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let (guid, rest) = rest.split_at_checked(GUID_LENGTH)?;
    Some((guid, rest.strip_prefix('_')?))
}

fn is_guid(text: &str) -> bool {
    text.len() == GUID_LENGTH
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

impl fmt::Display for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for IdentityId {
    type Err = IdentityIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for IdentityId {
    type Error = IdentityIdError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<IdentityId> for String {
    fn from(id: IdentityId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "2dee53b4-368b-45b4-ab52-8493fb117652";

    #[test]
    fn ids_of_every_documented_cloud_are_accepted() {
        for prefix in ["8:acs:", "8:dod-acs:", "8:gcch-acs:", "8:spool:"] {
            for opaque in ["00000005-14a2-493b-8a72-5a3a0d000081", "wf_2dee53b4_x", "0"] {
                let text = format!("{prefix}{GUID}_{opaque}");
                let id = IdentityId::parse(&text).unwrap();
                assert_eq!((id.as_str(), id.resource_id()), (text.as_str(), GUID));
            }
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            String::new(),
            "8:acs:".into(),
            GUID.into(),
            format!("acs:{GUID}_1"),
            format!("8:ACS:{GUID}_1"),
            format!("8:orgid:{GUID}_1"),
            format!("8:acs:{GUID}"),
            format!("8:acs:{GUID}_"),
            format!("8:acs:{GUID}-1"),
            format!("8:acs:{GUID}_a/../b"),
            format!("8:acs:{GUID}_a?b"),
            format!("8:acs:{GUID}_a%2Fb"),
            format!("8:acs:{GUID}_1\n"),
            format!(" 8:acs:{GUID}_1"),
            format!("8:acs:{}_1", GUID.replace('-', "_")),
            format!("8:acs:{}é_1", &GUID[..34]),
            format!("8:acs:{GUID}_{}", "a".repeat(200)),
        ] {
            assert_eq!(IdentityId::parse(&text), Err(IdentityIdError), "{text:?}");
        }
    }

    #[test]
    fn the_id_of_nobody_has_the_form_of_an_id() {
        let nobody = IdentityId::of_nobody();
        assert_eq!(IdentityId::parse(nobody.as_str()), Ok(nobody));
    }

    #[test]
    fn an_id_is_a_plain_string_in_json_and_checked_when_read_back() {
        let id = IdentityId::parse(&format!("8:acs:{GUID}_1")).unwrap();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"8:acs:{GUID}_1\""));
        assert_eq!(serde_json::from_str::<IdentityId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<IdentityId>("\"alice\"").is_err());
    }
}
