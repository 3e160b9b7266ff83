//! What the operator tells about itself: logs and metrics.

mod logs;
mod panics;

pub use logs::{LogFilter, LogFilterError, LogFormat, LogSettings};
