//! Being asked before every request whether it may be sent.

use crate::Operation;

/// Is asked right before each request is sent, when it is signed already, whether it may be: for programs that must stop
/// making calls at a moment of their own, such as the replica that has lost its lease. Retries are asked for too.
///
/// A request that it does not let pass is not sent, and the call fails with
/// [`FailureClass::Withheld`](crate::FailureClass::Withheld).
///
/// Called on the task of the request: be quick and do not block.
pub trait Guard: Send + Sync {
    /// Whether a request may be sent now.
    fn lets_pass(&self, operation: Operation) -> bool;
}
