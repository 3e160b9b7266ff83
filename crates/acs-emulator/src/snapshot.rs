//! Everything about an emulator at one moment, for the admin API.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use url::Url;
use uuid::Uuid;

use crate::access_keys::KeySlot;
use crate::choices::Choices;
use crate::control::Control;
use crate::directory::Identity;
use crate::faults::InjectedFault;
use crate::ledger::IssuedToken;
use crate::rate_limits::Limits;

/// Keys appear by their fingerprints and tokens by their SHA-256 only.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Snapshot {
    now: Timestamp,
    #[serde(serialize_with = "jiff::fmt::serde::duration::friendly::compact::required")]
    clock_offset: SignedDuration,
    endpoint: Url,
    resource_id: Uuid,
    key_fingerprints: Fingerprints,
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional")]
    token_ttl: Option<std::time::Duration>,
    limits: Limits,
    choices: Choices,
    identities: Vec<Identity>,
    tokens: Vec<IssuedToken>,
    faults: Vec<InjectedFault>,
    last_call: u64,
}

#[derive(Serialize)]
struct Fingerprints {
    primary: String,
    secondary: String,
}

impl Snapshot {
    pub(crate) fn of(control: &Control) -> Self {
        let fingerprint = |slot| control.access_key(slot).fingerprint().to_owned();
        Self {
            now: control.now(),
            clock_offset: control.clock_offset(),
            endpoint: control.endpoint().clone(),
            resource_id: control.resource_id(),
            key_fingerprints: Fingerprints {
                primary: fingerprint(KeySlot::Primary),
                secondary: fingerprint(KeySlot::Secondary),
            },
            token_ttl: control.token_ttl(),
            limits: control.limits(),
            choices: control.choices(),
            identities: control.identities(),
            tokens: control.tokens(),
            faults: control.faults(),
            last_call: control.last_call(),
        }
    }
}
