//! Log lines on standard error, as text or JSON.
//!
//! # Guarantees
//! No line holds a token, an access key, a connection string or a signature, whatever level is asked for. For the
//! operator's own code that follows from types without `Debug`; for libraries from [`ceiling`], which no setting lifts.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, Targets},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// Shape and amount of the logs.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Shape of a line.
    pub format: LogFormat,
    /// Which lines are written.
    pub filter: LogFilter,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

/// A filter in the syntax of `RUST_LOG`, known to be well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// Why a text is not a log filter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogFilterError {
    /// A single word that is not a level. The syntax would take it for a library's name, and log nothing.
    #[error("{0:?} is not a level: there are error, warn, info, debug, trace and off")]
    NotALevel(String),
    /// Anything else.
    #[error("is not a log filter: {0}")]
    Malformed(String),
}

impl LogFilter {
    /// Reads a filter such as `info` or `info,acs_operator=debug`.
    ///
    /// # Errors
    /// When the text is malformed, or would silently filter out everything.
    pub fn parse(text: &str) -> Result<Self, LogFilterError> {
        for part in text.split(',').map(str::trim) {
            // An empty part would parse, as the level error.
            let is_level = !part.is_empty() && part.parse::<LevelFilter>().is_ok();
            if !is_level && !part.contains(['=', '[']) {
                return Err(LogFilterError::NotALevel(part.to_owned()));
            }
        }
        EnvFilter::builder()
            .parse(text)
            .map_err(|error| LogFilterError::Malformed(error.to_string()))?;
        Ok(Self(text.to_owned()))
    }

    fn to_env_filter(&self) -> EnvFilter {
        EnvFilter::builder().parse_lossy(&self.0)
    }
}

impl LogSettings {
    /// Makes these logs the process's, together with a panic hook that writes to them. For the start of the program:
    /// when another subscriber is installed already, that one stays.
    pub fn install(&self) {
        let layer = self.layer(io::stderr);
        let _ = tracing_subscriber::registry().with(layer).try_init();
        super::panics::log_panics();
    }

    fn layer<W>(&self, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
        Registry: for<'s> LookupSpan<'s>,
    {
        let filter = self.filter.to_env_filter().and(ceiling());
        match self.format {
            LogFormat::Text => fmt::layer()
                .with_writer(writer)
                .with_ansi(false)
                .with_filter(filter)
                .boxed(),
            LogFormat::Json => fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(writer)
                .with_filter(filter)
                .boxed(),
        }
    }
}

/// The most that each library may log. What is not named here is capped at info, so a new dependency is as well.
fn ceiling() -> Targets {
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_targets([
            ("acs_operator", LevelFilter::TRACE),
            ("acs_identity", LevelFilter::TRACE),
        ])
        // Its debug lines are the errors of watches: what one needs when a watch does not come up.
        .with_target("kube_runtime", LevelFilter::DEBUG)
        // It logs a whole answer that it cannot decode at warn, and an unsuccessful one at debug.
        .with_target("kube_client::client", LevelFilter::ERROR)
        // An error for every request that fails, in words like "client error (Connect)". Who sent it tells it better.
        .with_target("kube_client::client::builder", LevelFilter::OFF)
        // A failed reload of the cluster's CA; no bodies here.
        .with_target("kube_client::client::tls", LevelFilter::INFO)
}

#[cfg(test)]
mod tests;
