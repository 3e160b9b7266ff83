//! Durations as manifests write them: `24h`, `90m`, `1h30m`.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A duration as written in a manifest: hours and minutes, for example `24h`, `90m` or `1h30m`.
///
/// The text is kept as it is, so that an object whose text is wrong can still be read, reported and deleted. The schema
/// refuses wrong text when it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationText(String);

/// Why a text is not a duration in whole minutes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration in hours and whole minutes: write for example 24h, 90m or 1h30m")]
pub struct DurationError {
    text: String,
}

impl DurationText {
    /// Most hours that can be written.
    const MAX_HOUR_DIGITS: usize = 2;
    /// Most minutes that can be written.
    const MAX_MINUTE_DIGITS: usize = 4;

    /// Wraps a text without looking at it; [`to_duration`](Self::to_duration) judges it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads up to two digits of hours and up to four digits of minutes, at least one of them.
    ///
    /// # Errors
    /// When the text is anything else: empty, with seconds, days, signs, fractions or blanks.
    pub fn to_duration(&self) -> Result<Duration, DurationError> {
        self.seconds()
            .map(Duration::from_secs)
            .ok_or_else(|| DurationError { text: self.0.clone() })
    }

    fn seconds(&self) -> Option<u64> {
        let (hours, rest) = match self.0.split_once('h') {
            Some((hours, rest)) => (number(hours, Self::MAX_HOUR_DIGITS)?, rest),
            None => (0, self.0.as_str()),
        };
        let minutes = match rest.strip_suffix('m') {
            Some(minutes) => number(minutes, Self::MAX_MINUTE_DIGITS)?,
            None if rest.is_empty() && !self.0.is_empty() => 0,
            None => return None,
        };
        Some(hours * 3600 + minutes * 60)
    }
}

/// Up to `max` ASCII digits, at least one.
fn number(digits: &str, max: usize) -> Option<u64> {
    let plain = (1..=max).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for DurationText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DurationText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Never `format: duration`: the API server would then hand CEL a duration instead of the text, and what it accepts
        // as one ("1 hour", "3 weeks") is not what we accept.
        json_schema!({"type": "string", "maxLength": 12})
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minutes(text: &str) -> Option<u64> {
        DurationText::new(text)
            .to_duration()
            .ok()
            .map(|duration| duration.as_secs() / 60)
    }

    #[test]
    fn hours_and_minutes_are_read() {
        for (text, expected) in [
            ("24h", 1440),
            ("90m", 90),
            ("1h30m", 90),
            ("0h15m", 15),
            ("01h", 60),
            ("1440m", 1440),
        ] {
            assert_eq!(minutes(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_an_example_of_what_to_write() {
        for text in [
            "", "h", "m", "hm", "1", "1d", "90s", "1h30", "30m1h", "1.5h", "-1h", "+1h", "1 h", "100h", "10000m",
            "1h1h", "٣h",
        ] {
            let error = DurationText::new(text).to_duration().unwrap_err();
            assert!(
                error.to_string().contains("write for example 24h, 90m or 1h30m"),
                "{text:?}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_digits_say(hours in proptest::option::of(0_u64..100), minutes in 0_u64..10_000) {
            let text = hours.map_or_else(String::new, |hours| format!("{hours}h")) + &format!("{minutes}m");
            prop_assert_eq!(self::minutes(&text), Some(hours.unwrap_or(0) * 60 + minutes));
        }

        #[test]
        fn no_other_character_gets_through(before in "[0-9hm]{0,3}", other in "[^0-9hm]", after in "[0-9hm]{0,3}") {
            prop_assert_eq!(self::minutes(&format!("{before}{other}{after}")), None);
        }
    }
}
