//! The way to ACS that a user's calls take, and what their answers tell of the connection.

use std::sync::Arc;
use std::time::Instant;

use acs_identity::limiter::Permit;
use acs_identity::{Client, Error};
use jiff::Timestamp;

use super::entry::Entry;
use crate::controller::permits::Permits;

/// The way to one ACS resource, with one credential.
pub struct Access {
    /// The client, with its credential.
    pub client: Client,
    /// Keeps its calls inside the rate limits, and from taking all workers.
    pub permits: Arc<Permits>,
    pub(super) entry: Arc<Entry>,
    /// Wakes whoever looks after the connection.
    pub(super) look: Arc<dyn Fn() + Send + Sync>,
}

impl Access {
    /// What ACS answered to a call tells of the rate limits, and of the connection too.
    pub fn answered<T>(&self, permit: &Permit, answer: &Result<T, Error>, now: Timestamp) {
        self.permits.answered(permit, answer, Instant::now());
        let error = answer.as_ref().err();
        if self.entry.answered(self.credential(), error, now) {
            (self.look)();
        }
    }

    /// An identity that ACS has made, or has issued a token for, tells which resource this is.
    pub fn learned(&self, id: &str) {
        if self.entry.learned(id) {
            (self.look)();
        }
    }

    /// An attempt was counted as a suspected orphan.
    pub fn suspected_orphan(&self) {
        self.entry.remember(|memory| memory.suspected_orphans += 1);
        (self.look)();
    }

    /// ACS says of an identity that it is not one of this resource: whether the credential is good tells what that means.
    pub fn doubted(&self, now: Timestamp) {
        self.entry.await_proof(now);
        (self.look)();
    }

    /// Whether another credential is used by now: what was refused with this one may be accepted.
    pub fn is_superseded(&self) -> bool {
        let in_use = self.entry.in_use();
        in_use.is_some_and(|credential| credential != self.credential())
    }

    fn credential(&self) -> &str {
        self.client.credential().fingerprint().as_str()
    }
}
