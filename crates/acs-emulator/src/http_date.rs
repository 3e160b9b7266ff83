//! Dates as HTTP headers carry them: IMF-fixdate, `Mon, 01 Jan 2024 00:00:00 GMT`.

use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};

/// Reads an IMF-fixdate and nothing else: two-digit day, English names, the weekday that belongs to the date, `GMT`.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let time = DateTimeParser::new().parse_timestamp(text).ok()?;
    (format(time)? == text).then_some(time)
}

/// Writes an IMF-fixdate. `None` for years that the format cannot express.
pub(crate) fn format(time: Timestamp) -> Option<String> {
    DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fixed_form_is_read() {
        assert_eq!(
            parse("Mon, 01 Jan 2024 00:00:00 GMT").unwrap().to_string(),
            "2024-01-01T00:00:00Z"
        );
        for text in [
            "Mon, 1 Jan 2024 00:00:00 GMT",
            "Tue, 01 Jan 2024 00:00:00 GMT",
            "Mon, 01 Jan 2024 00:00:00 +0000",
            "Mon, 01 Jan 2024 00:00:00 UTC",
            "mon, 01 jan 2024 00:00:00 gmt",
            "Monday, 01-Jan-24 00:00:00 GMT",
            "2024-01-01T00:00:00Z",
            "Mon, 01 Jan 2024 00:00:00 GMT ",
            "",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
