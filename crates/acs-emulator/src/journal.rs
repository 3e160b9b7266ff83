//! What was called, in order.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::Serialize;

use crate::access_keys::KeySlot;
use crate::api_version::ApiVersion;
use crate::faults::FaultId;
use crate::route::Operation;

/// One call. Holds no token, key or signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Counts calls from 1, in the order in which they were processed.
    pub seq: u64,
    /// When it was processed, by the service's clock.
    pub at: Timestamp,
    /// What was asked for.
    pub operation: Operation,
    /// The HTTP method.
    pub method: String,
    /// The path as it came in, at most 256 characters of it.
    pub path: String,
    /// The identity it is about; for a create the one that was made.
    pub identity: Option<String>,
    /// The api-version, if it is a served one.
    pub api_version: Option<ApiVersion>,
    /// `x-ms-client-request-id`.
    pub request_id: Option<String>,
    /// The key that signed it.
    pub signed_by: Option<KeySlot>,
    /// Whether the service did what was asked. False when it refused and when a fault came before.
    pub carried_out: bool,
    /// The status that was sent. `None`: the connection was cut instead.
    pub status: Option<u16>,
    /// `error.code` of the service's own refusal.
    pub error_code: Option<String>,
    /// Why it was refused, where the answer does not say.
    pub reason: Option<String>,
    /// SHA-256 of the token that was issued, even when the answer was lost.
    pub token_sha256: Option<String>,
    /// The injected fault that hit it.
    pub fault: Option<FaultId>,
}

/// The newest calls, up to a capacity.
pub(crate) struct Journal {
    calls: VecDeque<Call>,
    capacity: usize,
    last: u64,
}

impl Journal {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            calls: VecDeque::new(),
            capacity,
            last: 0,
        }
    }

    /// Adds a call and gives it its number.
    pub(crate) fn record(&mut self, call: Call) -> &Call {
        self.last += 1;
        if self.calls.len() >= self.capacity.max(1) {
            self.calls.pop_front();
        }
        self.calls.push_back(Call { seq: self.last, ..call });
        &self.calls[self.calls.len() - 1]
    }

    /// The number of the newest call, 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Those after a number, oldest first, as far as they are still kept.
    pub(crate) fn since(&self, seq: u64) -> Vec<Call> {
        self.calls.iter().filter(|call| call.seq > seq).cloned().collect()
    }
}
