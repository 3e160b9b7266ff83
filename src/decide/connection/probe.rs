//! When a credential is proven, and which.

use jiff::{SignedDuration, Timestamp};

use super::health::Health;
use super::observed::{Credential, ObservedConnection};
use crate::decide::backoff::doubled;
use crate::decide::renewal::later;

/// Pauses between probes while none is answered well: doubling from the first to the longest, so that everything goes on
/// within half a minute of a repair, the wait for an answer that does not come included.
const FIRST: SignedDuration = SignedDuration::from_secs(1);
const LONGEST: SignedDuration = SignedDuration::from_secs(20);

/// The shortest pause after one that was answered well, however often calls fail meanwhile: what fails may be an operation of its own,
/// and probes take from the budget of revocations. Where calls are refused, nobody is served in it, so it is the first there.
const AFTER_SUCCESS: SignedDuration = SignedDuration::from_secs(5);

/// A probe that is due at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The credential to prove.
    pub(super) credential: String,
    pub(super) at: Timestamp,
}

/// The next probe; `None`: there is nothing to prove, or it is being proven.
pub(super) fn next(o: &ObservedConnection, now: Timestamp) -> Option<Due> {
    let Credential::Loaded { fingerprints, .. } = &o.credential else {
        return None;
    };
    if o.memory.probing.is_some() {
        return None;
    }
    let health = &o.health;
    let in_use = health.in_use(fingerprints);
    if o.has_moved() || (o.object.suspend && !is_needed_for_deletions(o, in_use)) {
        return None;
    }
    let of = |credential: &String, at: Timestamp| Due {
        credential: credential.clone(),
        at,
    };
    // One in the future was before the clock was set back.
    let last_probe = health.last_probe().filter(|last| *last <= now);
    let since = |pause: SignedDuration| last_probe.map_or(now, |last| later(last, pause));
    let confirm = health
        .to_be_confirmed(fingerprints)
        .filter(|_| !o.object.suspend)
        .map(|(credential, at)| of(credential, at));
    let regular = match in_use {
        // All are refused: one after the other.
        None => {
            let turn = usize::try_from(health.failures()).unwrap_or(0) % fingerprints.len().max(1);
            let pause = pause(health, FIRST);
            return fingerprints.get(turn).map(|credential| of(credential, since(pause)));
        }
        // One that takes the place of a refused one was not asked about for long, if ever.
        Some(credential) if !health.is_accepted(credential) || health.is_in_doubt() => {
            Some(of(credential, since(pause(health, AFTER_SUCCESS))))
        }
        Some(credential) => o.probe_interval.map(|interval| of(credential, since(interval))),
    };
    [regular, confirm].into_iter().flatten().min_by_key(|due| due.at)
}

/// Whether deletions, which a suspended connection still serves, wait for what a probe tells.
fn is_needed_for_deletions(o: &ObservedConnection, in_use: Option<&String>) -> bool {
    o.users.leaving > 0 && (in_use.is_none() || o.health.is_in_doubt())
}

/// Whether the last probe was answered well, or a call since, and nobody waits for another.
fn is_just_proven(health: &Health) -> bool {
    health.failures() == 0 && health.proven() >= health.last_probe() && !health.is_awaited()
}

/// How long after the last probe another is due: `proven` after one that was answered well.
fn pause(health: &Health, proven: SignedDuration) -> SignedDuration {
    match health.failures() {
        0 if is_just_proven(health) => proven,
        0 => SignedDuration::ZERO,
        failures => doubled(FIRST, LONGEST, failures),
    }
}
