//! Kubernetes operator for Azure Communication Services identities.

pub mod api;
