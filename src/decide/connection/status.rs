//! The status of a connection, computed in one place.

use jiff::{SignedDuration, Timestamp};

use super::observed::{Credential, ObservedConnection};
use super::verdict::verdict;
use super::{ConnectionDecision, ConnectionStep};
use crate::api::ConnectionStatus;
use crate::decide::renewal::{is_still, later};

/// Counts change with every user that comes and goes: status follows at most this often, unless it is written anyway.
const BETWEEN_COUNTS: SignedDuration = SignedDuration::from_secs(30);

/// A probe has an answer, or none, within this time after the start.
const PATIENCE: SignedDuration = SignedDuration::from_secs(15);

/// Most probes have an answer by then: that they are under way is not worth a word before.
const PROMPT: SignedDuration = SignedDuration::from_secs(1);

/// Settled, with a status write if status does not say so yet.
pub(super) fn settle(o: &ObservedConnection, wake_at: Option<Timestamp>, now: Timestamp) -> ConnectionDecision {
    // Nothing tells when they are replaced.
    let pending = (o.users.tokens_pending > 0).then(|| later(now, BETWEEN_COUNTS));
    let settled = |wake_at: Option<Timestamp>| ConnectionDecision::Settled {
        wake_at: wake_at.into_iter().chain(pending).min(),
    };
    if !o.object.is_writable {
        return settled(wake_at);
    }
    let before = &o.object.status;
    if is_about_to_be_known(o, now) {
        // What another process told is most likely true still: a restart is no news.
        let patience = o.memory.began.map(|began| later(began, PATIENCE));
        return settled(wake_at.into_iter().chain(patience).min());
    }
    if let Some(began) = o.memory.probing.filter(|began| is_still(*began, PROMPT, now))
        && !o.object.deleting
    {
        return settled(wake_at.into_iter().chain([later(began, PROMPT)]).min());
    }
    let status = compose(o, now);
    let write = |status| ConnectionDecision::Do(Box::new(ConnectionStep::WriteStatus(Box::new(status))));
    let counted = with_counts(o, status.clone());
    if status != *before {
        return write(counted);
    }
    if counted == *before {
        return settled(wake_at);
    }
    match o.memory.counted.filter(|at| is_still(*at, BETWEEN_COUNTS, now)) {
        Some(at) => settled(wake_at.into_iter().chain([later(at, BETWEEN_COUNTS)]).min()),
        None => write(counted),
    }
}

/// Whether nothing is known of the credential yet, where status tells of an earlier look at the same spec.
fn is_about_to_be_known(o: &ObservedConnection, now: Timestamp) -> bool {
    let is_unknown = match &o.credential {
        // The API server may not know its own roles yet.
        Credential::Pending | Credential::Refused(_) => true,
        Credential::Loaded { .. } => !o.health.is_known(),
        _ => false,
    };
    let is_told =
        o.object.status.observed_generation == Some(o.object.generation) && !o.object.status.conditions.is_empty();
    let is_early = o.memory.began.is_some_and(|began| is_still(began, PATIENCE, now));
    is_unknown && is_told && is_early && !o.object.deleting && !o.object.suspend && !o.has_moved()
}

/// Everything but the counts that may wait.
fn compose(o: &ObservedConnection, now: Timestamp) -> ConnectionStatus {
    let before = &o.object.status;
    let mut status = before.clone();
    status.observed_generation = Some(o.object.generation);
    status.auth_method = Some(o.object.method.to_owned());
    if let Credential::Loaded { endpoint, .. } = &o.credential
        && !o.has_moved()
    {
        status.resource_id = o.resource_id().map(str::to_owned);
        status.endpoint = Some(endpoint.clone());
        status.credential = o.in_use().cloned();
    }
    status.conditions = verdict(o).conditions(&before.conditions, o.object.generation, now);
    // No write that can wait: this process alone knows of them. Those that a process took along which was killed, users tell of.
    let counted = before.suspected_orphans.unwrap_or(0);
    let orphans = counted.saturating_add(o.memory.suspected_orphans);
    let orphans = orphans.max(o.users.suspected_orphans);
    if orphans > counted {
        status.suspected_orphans = Some(orphans);
    }
    status
}

fn with_counts(o: &ObservedConnection, mut status: ConnectionStatus) -> ConnectionStatus {
    status.users = Some(o.users.all);
    status.tokens_pending = Some(o.users.tokens_pending);
    status.suspected_orphans.get_or_insert(0);
    status
}
