//! The order of an object's versions.

/// Where in the history of its kind an object stands.
///
/// `metadata.resourceVersion` may be compared as a decimal number between objects of one kind, as Kubernetes 1.35 made
/// official and etcd always did. A version that is no number can't be ordered: it counts as neither older nor newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Number(u128),
    Unordered,
}

impl Version {
    pub(super) fn parse(resource_version: Option<&str>) -> Self {
        resource_version
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .map_or(Self::Unordered, Self::Number)
    }

    /// Is this version known to come before `other`?
    pub(super) fn is_before(self, other: Self) -> bool {
        matches!((self, other), (Self::Number(this), Self::Number(other)) if this < other)
    }

    /// The later one, where that is known.
    pub(super) fn later(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unordered, _) => other,
            _ if self.is_before(other) => other,
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers_not_as_texts() {
        let version = |text| Version::parse(Some(text));
        assert!(version("9").is_before(version("10")));
        assert!(!version("10").is_before(version("9")));
        assert!(!version("10").is_before(version("10")));
        assert!(version("18446744073709551615").is_before(version("18446744073709551616")));
        assert_eq!(version("9").later(version("10")), version("10"));
        assert_eq!(version("10").later(version("9")), version("10"));
    }

    #[test]
    fn a_version_that_is_no_number_is_neither_older_nor_newer() {
        let number = Version::Number(7);
        for text in [None, Some(""), Some("a7"), Some("-7"), Some("+7"), Some(" 7")] {
            let other = Version::parse(text);
            assert_eq!(other, Version::Unordered, "{text:?}");
            assert!(!other.is_before(number) && !number.is_before(other), "{text:?}");
            assert_eq!((other.later(number), number.later(other)), (number, number), "{text:?}");
        }
    }
}
