//! A real local world for acs-operator: control plane, emulator and operator as child processes, for tests and the demo.

pub mod account;
mod control_plane;
mod emulator_process;
mod gate;
mod intercept;
mod operator;
mod process;
mod world;

pub use control_plane::{ControlPlane, workspace};
pub use emulator_process::{CallSeen, EmulatorProcess, Verdict};
pub use gate::{Gate, Passed, Stop, Traffic};
pub use intercept::{Hold, Matcher, Moment, Reply};
pub use operator::{Operator, OperatorLog, OperatorSettings};
pub use process::Process;
pub use world::{CEILING, World, WorldSettings, identity, ready};
