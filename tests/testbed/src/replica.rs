//! A second operator of the same installation.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::{Gate, Operator, Traffic, world::assert_clean};

/// Another replica of a world's operator. It has a way of its own to the API server, and shares the one to ACS.
pub struct Replica {
    /// The process.
    pub operator: Operator,
    /// Its mutating requests to the API server.
    pub traffic: Traffic,
    /// Its way to the API server.
    pub gate: Gate,
    pub(crate) secrets: BTreeSet<String>,
}

impl Operator {
    /// Whether it says that it leads. One that has ended does not.
    ///
    /// # Errors
    /// When it runs and does not say it.
    pub async fn leads(&self) -> Result<bool> {
        if !self.is_running() {
            return Ok(false);
        }
        Ok(self.metric("acs_operator_leader").await? > 0.5)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        assert_clean(&self.operator, &self.traffic.told(), &self.secrets, false);
    }
}
