//! Behaviour of the client against servers that answer well, badly, or not at all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod adversarial;
mod connection_strings;
mod emulator;
mod failures;
mod limiter;
mod parsers;
mod probe;
mod retries;
mod secrecy_of_logs;
mod support;
mod wire;
