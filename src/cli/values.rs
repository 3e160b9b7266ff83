//! From the text of one flag to its value.
//!
//! Every function answers with what is wrong and what to write instead; which flag it was is known one level up.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use acs_identity::ApiVersion;
use jiff::SignedDuration;

use crate::telemetry::{LogFilter, LogFormat};

/// A value that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) problem: String,
    pub(super) remedy: String,
}

impl Wrong {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

const MOST_WORKERS: usize = 1024;
const LONGEST_DRAIN: SignedDuration = SignedDuration::from_hours(1);
const LONGEST_PROBE_INTERVAL: SignedDuration = SignedDuration::from_hours(24);
const SHORTEST_LEASE: SignedDuration = SignedDuration::from_secs(3);
const LONGEST_LEASE: SignedDuration = SignedDuration::from_mins(5);

/// 1 to 1024.
pub(super) fn workers(text: &str) -> Result<NonZeroUsize, Wrong> {
    let wrong = || Wrong::new("is not a whole number from 1 to 1024", "write for example 32");
    let number: NonZeroUsize = text.parse().map_err(|_| wrong())?;
    if number.get() > MOST_WORKERS {
        Err(wrong())
    } else {
        Ok(number)
    }
}

/// An IP address and a port.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        Wrong::new(
            "is not an IP address with a port",
            "write for example 0.0.0.0:8080, [::]:8080 or 127.0.0.1:0",
        )
    })
}

/// `text` or `json`.
pub(super) fn log_format(text: &str) -> Result<LogFormat, Wrong> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Wrong::new("is not a log format", "write text or json")),
    }
}

/// A filter in the syntax of `RUST_LOG`.
pub(super) fn log_filter(text: &str) -> Result<LogFilter, Wrong> {
    LogFilter::parse(text)
        .map_err(|error| Wrong::new(error.to_string(), "write for example info or info,acs_operator=debug"))
}

/// From 1 second to 1 hour.
pub(super) fn drain_timeout(text: &str) -> Result<Duration, Wrong> {
    a_second_to(LONGEST_DRAIN, duration(text)?)
        .ok_or_else(|| Wrong::new("is not between 1s and 1h", "write for example 25s"))
}

/// From 1 second to 24 hours. `None` for zero, which alone needs no unit.
pub(super) fn probe_interval(text: &str) -> Result<Option<Duration>, Wrong> {
    let interval = if text == "0" {
        SignedDuration::ZERO
    } else {
        duration(text)?
    };
    if interval.is_zero() {
        return Ok(None);
    }
    let interval = a_second_to(LONGEST_PROBE_INTERVAL, interval);
    interval.map(Some).ok_or_else(|| {
        Wrong::new(
            "is not between 1s and 24h",
            "write for example 5m, or 0 to switch it off",
        )
    })
}

/// From 3 seconds to 5 minutes: shorter, and a hiccup of the API server ends the leader; longer, and nobody works after a crash.
pub(super) fn lease_duration(text: &str) -> Result<Duration, Wrong> {
    let duration = duration(text)?;
    let fits = duration >= SHORTEST_LEASE && duration <= LONGEST_LEASE && duration.subsec_nanos() == 0;
    fits.then(|| duration.unsigned_abs()).ok_or_else(|| {
        Wrong::new(
            "is not a number of whole seconds between 3s and 5m",
            "write for example 15s",
        )
    })
}

/// The name of an object.
pub(super) fn lease_name(text: &str) -> Result<String, Wrong> {
    const LONGEST: usize = 253;
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(|byte| alphanumeric(*byte))
            && bytes.last().is_some_and(|byte| alphanumeric(*byte))
            && bytes.iter().all(|byte| alphanumeric(*byte) || *byte == b'-')
    };
    if text.len() <= LONGEST && text.split('.').all(is_label) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(
            "is not a name that an object can have",
            "write lower-case letters, digits, - and ., for example acs-operator",
        ))
    }
}

fn a_second_to(longest: SignedDuration, duration: SignedDuration) -> Option<Duration> {
    let fits = duration >= SignedDuration::from_secs(1) && duration <= longest;
    fits.then(|| duration.unsigned_abs())
}

fn duration(text: &str) -> Result<SignedDuration, Wrong> {
    text.parse()
        .map_err(|_| Wrong::new("is not a duration", "write a number and its unit: 25s, 5m or 1h30m"))
}

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Result<bool, Wrong> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Wrong::new("is neither true nor false", "write true or false")),
    }
}

/// A version of the ACS REST API.
pub(super) fn api_version(text: &str) -> Result<ApiVersion, Wrong> {
    ApiVersion::parse(text).map_err(|_| {
        Wrong::new(
            "is not a version of the ACS API",
            "write a date as Microsoft does: 2023-10-01 or 2025-03-02-preview",
        )
    })
}

/// A value as an error may show it: not longer than a line, and nothing that looks like a connection string.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    if super::connection::looks_like_a_key(text) {
        return "<hidden: it holds an access key>".to_owned();
    }
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
