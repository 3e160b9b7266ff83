//! What keeps the declared and the actual in step: which object is looked at and when, and what is done about it.

pub mod act;
pub mod connections;
pub mod memory;
pub mod neighbours;
pub mod observe;
pub mod permits;
pub mod queue;
pub mod reconcile;
pub mod report;
mod rivals;
pub mod room;
pub mod seats;
pub mod sources;
pub mod triggers;
pub mod turns;
pub mod workers;
