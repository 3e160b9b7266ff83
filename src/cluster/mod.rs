//! The Kubernetes API server: what is read from it and written to it.

pub mod merge_diff;
pub mod writes;
