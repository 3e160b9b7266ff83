//! How long the service asks to be left alone.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// No answer can silence a client for longer.
pub(crate) const LONGEST: Duration = Duration::from_hours(1);

/// Reads how long to wait: `retry-after-ms` and `x-ms-retry-after-ms` (milliseconds; the JavaScript SDK knows them), or
/// `Retry-After` in seconds or as a date. Dates count from the service's own `now`, so that skew does not matter.
///
/// At most one hour; a time that has passed is zero; what cannot be read is `None`.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let milliseconds = ["retry-after-ms", "x-ms-retry-after-ms"]
        .into_iter()
        .find_map(|name| whole_number(text(headers, name)?))
        .map(Duration::from_millis);
    let wait = milliseconds.or_else(|| {
        let value = text(headers, RETRY_AFTER.as_str())?;
        whole_number(value)
            .map(Duration::from_secs)
            .or_else(|| until(value, now))
    })?;
    Some(wait.min(LONGEST))
}

/// Reads an HTTP date such as that of the `Date` header.
pub(crate) fn http_date(value: &str) -> Option<Timestamp> {
    DateTimeParser::new().relaxed_weekday(true).parse_timestamp(value).ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A number too large for its type is a long wait, not an unreadable one.
fn whole_number(value: &str) -> Option<u64> {
    let is_number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| value.parse().unwrap_or(u64::MAX))
}

fn until(value: &str, now: Timestamp) -> Option<Duration> {
    let wait = http_date(value)?.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn read(pairs: &[(&'static str, &[u8])]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        retry_after(&headers, "2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        let seconds = |s| Some(Duration::from_secs(s));
        for (value, expected) in [
            ("0", seconds(0)),
            ("7", seconds(7)),
            (" 7 ", seconds(7)),
            ("Thu, 01 Jan 2026 00:00:30 GMT", seconds(30)),
            ("Fri, 01 Jan 2026 00:00:30 GMT", seconds(30)),
            ("Wed, 31 Dec 2025 23:59:00 GMT", seconds(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", seconds(0)),
        ] {
            assert_eq!(read(&[("retry-after", value.as_bytes())]), expected, "{value}");
        }
    }

    #[test]
    fn no_answer_asks_for_more_than_an_hour() {
        for value in [
            "3601",
            "18446744073709551615",
            "99999999999999999999999999",
            "Wed, 30 Dec 9998 23:59:59 GMT",
        ] {
            assert_eq!(read(&[("retry-after", value.as_bytes())]), Some(LONGEST), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_wish() {
        assert_eq!(read(&[]), None);
        for value in [
            b"".as_slice(),
            b"-1",
            b"1.5",
            b"soon",
            b"0x10",
            b"Thu, 99 Jan 2026 00:00:00 GMT",
            b"\xff\xfe",
        ] {
            assert_eq!(read(&[("retry-after", value)]), None, "{value:?}");
        }
    }

    #[test]
    fn milliseconds_are_understood_and_win() {
        assert_eq!(read(&[("retry-after-ms", b"250")]), Some(Duration::from_millis(250)));
        assert_eq!(
            read(&[("x-ms-retry-after-ms", b"250"), ("retry-after", b"1")]),
            Some(Duration::from_millis(250))
        );
        assert_eq!(
            read(&[("retry-after-ms", b"x"), ("retry-after", b"1")]),
            Some(Duration::from_secs(1))
        );
    }
}
