//! Panics become log lines.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, PanicHookInfo},
};

/// Replaces the standard panic hook by one that logs.
///
/// # Guarantees
/// A message that was put together at run time is withheld: it may quote a value, and the value may be a secret. A
/// message that stands in the source as it is, the place, and (with `RUST_BACKTRACE=1`) the backtrace are logged.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        let thread = std::thread::current();
        tracing::error!(
            location = panic.location().map(tracing::field::display),
            thread = thread.name(),
            backtrace,
            "panic: {}",
            literal_message(panic)
        );
    }));
}

/// Only a literal arrives as `&'static str`; formatted messages arrive as `String`.
fn literal_message(panic: &PanicHookInfo<'_>) -> &'static str {
    panic
        .payload()
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("(message withheld, it may quote a value)")
}
