//! What can be asked of, and done to, a running emulator. The admin API offers the same over HTTP.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use url::Url;
use uuid::Uuid;

use crate::access_keys::{AccessKey, KeySlot};
use crate::choices::Choices;
use crate::clock::{Clock, Now};
use crate::directory::Identity;
use crate::fault::Fault;
use crate::faults::{FaultId, Faults, InjectedFault};
use crate::journal::{Call, Journal};
use crate::ledger::{self, IssuedToken, TokenState};
use crate::rate_limits::Limits;
use crate::service::Service;

/// A handle on a running emulator. Clones act on the same one.
#[derive(Clone)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub clock: Clock,
    pub endpoint: Url,
    pub resource: Uuid,
    pub state: Mutex<State>,
    /// The number of the newest call.
    pub newest: watch::Sender<u64>,
}

pub(crate) struct State {
    pub service: Service,
    pub faults: Faults,
    pub journal: Journal,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls that were waited for did not come.
#[derive(Debug, thiserror::Error)]
#[error("the calls waited for did not come within {ceiling:?}; {seen} calls were made, the last of them {last:?}")]
pub struct CallsMissing {
    ceiling: Duration,
    seen: usize,
    last: Vec<String>,
}

impl Control {
    /// The endpoint as it stands in the connection string, with a slash at its end.
    pub fn endpoint(&self) -> &Url {
        &self.shared.endpoint
    }

    /// `endpoint=…;accesskey=…` with the primary key. A secret.
    pub fn connection_string(&self) -> String {
        self.connection_string_with(KeySlot::Primary)
    }

    /// `endpoint=…;accesskey=…` with either key. A secret.
    pub fn connection_string_with(&self, slot: KeySlot) -> String {
        format!(
            "endpoint={};accesskey={}",
            self.shared.endpoint,
            self.access_key(slot).text()
        )
    }

    /// One of the two keys. A secret.
    pub fn access_key(&self, slot: KeySlot) -> AccessKey {
        self.shared.state().service.keys.key(slot).clone()
    }

    /// The guid in the ids of this resource's identities.
    pub fn resource_id(&self) -> Uuid {
        self.shared.resource
    }

    /// What was chosen where Microsoft documents nothing.
    pub fn choices(&self) -> Choices {
        self.shared.state().service.choices.clone()
    }

    /// Answers otherwise from now on where Microsoft documents nothing.
    pub fn set_choices(&self, choices: Choices) {
        self.shared.state().service.choices = choices;
    }

    /// The service's clock.
    pub fn now(&self) -> Timestamp {
        self.reading().wall
    }

    fn reading(&self) -> Now {
        self.shared.clock.now()
    }

    /// The living identities, oldest first.
    pub fn identities(&self) -> Vec<Identity> {
        self.shared.state().service.directory.alive()
    }

    /// The living identity with this id.
    pub fn identity(&self, id: &str) -> Option<Identity> {
        self.shared.state().service.directory.get(id).cloned()
    }

    /// Every token issued and remembered, oldest first.
    pub fn tokens(&self) -> Vec<IssuedToken> {
        let now = self.reading();
        let state = self.shared.state();
        state.service.ledger.all(state.service.world(now))
    }

    /// The tokens of an identity that would be accepted now, oldest first.
    pub fn valid_tokens(&self, identity: &str) -> Vec<IssuedToken> {
        let now = self.reading();
        let state = self.shared.state();
        let mut tokens = state.service.ledger.of(identity, state.service.world(now));
        tokens.retain(|token| token.state == TokenState::Valid);
        tokens
    }

    /// Whether a token would be accepted now, and if not, why.
    pub fn token_state(&self, token: &str) -> TokenState {
        self.token(token).map_or(TokenState::Unknown, |token| token.state)
    }

    /// What is known of a token.
    pub fn token(&self, token: &str) -> Option<IssuedToken> {
        let now = self.reading();
        let state = self.shared.state();
        state
            .service
            .ledger
            .find(&ledger::sha256(token), state.service.world(now))
    }

    /// All calls that the journal keeps, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.calls_since(0)
    }

    /// The calls after the one with this number, oldest first.
    pub fn calls_since(&self, seq: u64) -> Vec<Call> {
        self.shared.state().journal.since(seq)
    }

    /// The number of the newest call, 0 before the first.
    pub fn last_call(&self) -> u64 {
        self.shared.state().journal.last()
    }

    /// Waits until the calls after `seq` are as wanted, and returns them. Works on any tokio runtime with a timer; under
    /// paused time the ceiling passes at once when everything else is idle.
    ///
    /// # Errors
    /// When the ceiling passes first.
    pub async fn wait_for_calls(
        &self,
        seq: u64,
        ceiling: Duration,
        mut wanted: impl FnMut(&[Call]) -> bool,
    ) -> Result<Vec<Call>, CallsMissing> {
        let mut newest = self.shared.newest.subscribe();
        let arrival = async {
            loop {
                newest.mark_unchanged();
                let calls = self.calls_since(seq);
                if wanted(&calls) {
                    return calls;
                }
                if newest.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(ceiling, arrival).await.map_err(|_| {
            let calls = self.calls_since(seq);
            let tail = calls.iter().rev().take(3).rev();
            let last = tail
                .map(|call| format!("{} {:?}", call.operation, call.status))
                .collect();
            CallsMissing {
                ceiling,
                seen: calls.len(),
                last,
            }
        })
    }

    /// Injects a fault.
    pub fn inject(&self, fault: Fault) -> FaultId {
        self.shared.state().faults.inject(fault)
    }

    /// The injected faults, oldest first, with what they did.
    pub fn faults(&self) -> Vec<InjectedFault> {
        self.shared.state().faults.list()
    }

    /// Removes a fault and lets go the calls that it delays. False if there is none of this name.
    pub fn remove_fault(&self, id: FaultId) -> bool {
        self.shared.state().faults.remove(id)
    }

    /// Removes all faults and lets go the calls that they delay.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// The lifetime of tokens issued from now on; `None` gives what is asked for.
    pub fn set_token_ttl(&self, ttl: Option<Duration>) {
        self.shared.state().service.token_ttl = ttl;
    }

    /// The lifetime that overrides what is asked for.
    pub fn token_ttl(&self) -> Option<Duration> {
        self.shared.state().service.token_ttl
    }

    /// Replaces a key. From now on its signatures are refused, and the tokens that were asked for with it are not valid.
    pub fn replace_key(&self, slot: KeySlot, key: AccessKey) {
        self.shared.state().service.keys.replace(slot, key);
    }

    /// Puts the service's clock ahead of the machine's, or behind.
    pub fn set_clock_offset(&self, offset: SignedDuration) {
        self.shared.clock.set_offset(offset);
    }

    /// How far the service's clock is ahead of the machine's.
    pub fn clock_offset(&self) -> SignedDuration {
        self.shared.clock.offset()
    }

    /// Changes the rate limits. What was counted stays counted.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.state().service.rate_limits.set(limits);
    }

    /// The rate limits in force.
    pub fn limits(&self) -> Limits {
        self.shared.state().service.rate_limits.limits().clone()
    }
}
