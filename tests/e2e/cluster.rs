//! The operator's side of the API server, used without the rest of the operator.

mod definitions;
mod events;
mod fence;
mod lease;
