//! What runs the reconciles: which object is looked at, when, and by how many workers at once.

pub mod queue;
