//! A real local world for acs-operator: control plane, emulator and operator as child processes, for tests and the demo.

mod control_plane;

pub use control_plane::ControlPlane;
