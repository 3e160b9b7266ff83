//! Tests against a real Kubernetes API server. They share one control plane; each has a namespace of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod alice;
mod answers;
mod cluster;
mod conflicts;
mod connections;
mod copies;
mod crds;
mod custom_ids;
mod deletion;
mod deploy;
mod describe;
mod faults;
mod gone;
mod leader;
mod life_cycle;
mod log;
mod pinning;
mod process;
mod requests;
mod secret;
mod stale;
mod suspend;
mod throttling;
mod varying;
mod watch;
mod words;
mod writes;

use std::time::Duration;

use acs_operator_testbed::{World, WorldSettings};

/// A world whose operator is the one of this workspace.
async fn world() -> World {
    World::start(settings()).await.unwrap()
}

fn settings() -> WorldSettings {
    WorldSettings::new(env!("CARGO_BIN_EXE_acs-operator"))
}

/// The same with a lease of this length.
fn with_lease(mut settings: WorldSettings, lease: Duration) -> WorldSettings {
    settings
        .arguments
        .push(format!("--lease-duration={}s", lease.as_secs()));
    settings
}
