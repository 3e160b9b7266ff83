//! What the operator tells about itself: logs and metrics.

mod logs;
pub mod metrics;
mod panics;

pub use logs::{LogFilter, LogFilterError, LogFormat, LogSettings};
pub use metrics::Metrics;
