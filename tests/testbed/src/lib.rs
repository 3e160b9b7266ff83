//! A real local world for acs-operator: control plane, emulator and operator as child processes, for tests and the demo.

pub mod account;
mod condition;
mod control_plane;
mod emulator_process;
mod gate;
mod intercept;
mod operator;
mod place;
mod process;
mod proxy;
mod replica;
mod resource;
mod stranger;
mod traffic;
mod world;

pub use condition::{Conditioned, beside, message, ready};
pub use control_plane::{ControlPlane, workspace};
pub use emulator_process::{CallSeen, EmulatorProcess, Verdict};
pub use gate::Gate;
pub use nix::sys::signal::Signal;

pub use intercept::{Hold, Matcher, Moment, Reply};
pub use operator::{Operator, OperatorLog, OperatorLogs, OperatorSettings};
pub use place::{CEILING, Place, has_reason};
pub use process::Process;
pub use proxy::{Proxy, Tunnel};
pub use replica::Replica;
pub use resource::Resource;
pub use stranger::Stranger;
pub use traffic::{Passed, Stop, Traffic};
pub use world::{Plane, World, WorldSettings, identity};
