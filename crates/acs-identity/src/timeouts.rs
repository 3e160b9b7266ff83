//! How long requests may take.

use std::time::Duration;

/// How long one attempt may take, from connecting to the last byte of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Issue, revoke, delete, get. Default 10 s.
    pub call: Duration,
    /// Create. Default 60 s: what is given up on may still be carried out, and then nobody knows the id.
    pub create: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(10),
            create: Duration::from_mins(1),
        }
    }
}
