//! What a client of a running emulator can rely on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failing test panics"
)]

mod admin;
mod checks;
mod client;
mod custom_ids;
mod faults;
mod hostile;
mod life_cycle;
mod limits;
mod program;
mod start;
mod tls;
mod tokens;
