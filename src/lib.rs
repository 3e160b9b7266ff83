//! Kubernetes operator for Azure Communication Services identities.
//!
//! The binary `acs-operator` is a thin shell around this library; [`app`] puts the parts together.

pub mod admin;
pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod controller;
pub mod decide;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod telemetry;
