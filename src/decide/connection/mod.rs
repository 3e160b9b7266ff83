//! The decisions about connections: when a credential is proven, what is held so that it does not go while users need it,
//! and what status says. Pure, like those about users; what a step changes is seen in the next look.

mod health;
mod observed;
mod probe;
mod status;
mod verdict;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

pub use health::{Health, Unknown};
pub use observed::{
    ConnectionMemory, ConnectionObject, Credential, ObservedConnection, SecretState, Users, WriteTrouble,
};
pub use verdict::verdict;

use super::renewal::later;
use crate::api::ConnectionStatus;

/// How often a connection that is to go is asked again whether it still has users, if nothing tells before.
const COUNT_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// A decision about a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum ConnectionDecision {
    /// Do this, then look and decide again.
    Do(Box<ConnectionStep>),
    /// Nothing to do now.
    Settled {
        /// Decide again then, even if nothing happens before; `None`: only when something happens.
        wake_at: Option<Timestamp>,
    },
}

/// One step: at most one request that changes anything.
#[derive(Clone, Debug, PartialEq)]
pub enum ConnectionStep {
    /// Put our finalizer on the connection.
    Hold,
    /// Put our finalizer on the Secret with its credential.
    HoldSecret(SecretState),
    /// Take our finalizer off a Secret that no user needs any more.
    ReleaseSecret(SecretState),
    /// The Secret alone is deleted, as far as is known: ask whether its namespace goes as a whole, which makes all the
    /// difference, and take our finalizer off if it does not.
    ReleaseDeletedSecret(SecretState),
    /// Prove a credential, without creating anything.
    Probe {
        /// Its fingerprint.
        credential: String,
    },
    /// Ask the API server how many users there are.
    CountUsers,
    /// Write status.
    WriteStatus(Box<ConnectionStatus>),
    /// Take our finalizer off the connection.
    Release,
}

/// The next step for this connection at `now`.
///
/// # Guarantees
/// - A Secret that users need goes with its namespace only after their identities.
/// - A connection that is deleted goes only when a live list shows no user.
/// - Nothing is written to a connection that is not ours to hold.
pub fn decide_connection(o: &ObservedConnection, now: Timestamp) -> ConnectionDecision {
    if let Some(pause) = resting(o, now) {
        return pause;
    }
    if let Some(step) = holding(o) {
        return ConnectionDecision::Do(Box::new(step));
    }
    if o.object.deleting && o.object.is_held {
        return leaving(o, now);
    }
    let probe = probe::next(o, now);
    match probe {
        Some(due) if due.at <= now => ConnectionDecision::Do(Box::new(ConnectionStep::Probe {
            credential: due.credential,
        })),
        later => status::settle(o, later.map(|due| due.at), now),
    }
}

/// A pause after a failed write.
fn resting(o: &ObservedConnection, now: Timestamp) -> Option<ConnectionDecision> {
    let trouble = o.memory.trouble.as_ref().filter(|trouble| now < trouble.retry_at)?;
    // What is left to be done without a write is probing, and that can wait as long.
    Some(ConnectionDecision::Settled {
        wake_at: Some(trouble.retry_at),
    })
}

/// What is to be held, or let go. First the connection, then its Secret: one that goes lets go of its Secret first.
fn holding(o: &ObservedConnection) -> Option<ConnectionStep> {
    if !o.object.is_held {
        return None;
    }
    if let Some(former) = o.former_secret.as_ref().filter(|former| former.is_held()) {
        return Some(ConnectionStep::ReleaseSecret(former.clone()));
    }
    let is_needed = o.users.all > 0;
    if is_needed && !o.is_guarded() && !o.object.deleting {
        return Some(ConnectionStep::Hold);
    }
    let secret = o.secret.as_ref()?;
    let loaded = matches!(o.credential, Credential::Loaded { outlived: None, .. });
    match (secret.is_held(), is_needed) {
        (false, true) if loaded && !secret.deleting && o.is_guarded() => {
            Some(ConnectionStep::HoldSecret(secret.clone()))
        }
        (true, true) if secret.deleting && !secret.namespace_goes => {
            Some(ConnectionStep::ReleaseDeletedSecret(secret.clone()))
        }
        // A connection that goes asks a live list first.
        (true, false) if !o.object.deleting => Some(ConnectionStep::ReleaseSecret(secret.clone())),
        _ => None,
    }
}

/// From a deletion request to no finalizer.
fn leaving(o: &ObservedConnection, now: Timestamp) -> ConnectionDecision {
    let step = match o.memory.still_used {
        Some((0, at)) if is_fresh(at, now) => match o.secret.as_ref().filter(|secret| secret.is_held()) {
            Some(secret) => ConnectionStep::ReleaseSecret(secret.clone()),
            None if o.is_guarded() => ConnectionStep::Release,
            None => return ConnectionDecision::Settled { wake_at: None },
        },
        Some((_, at)) if is_fresh(at, now) => return status::settle(o, Some(later(at, COUNT_AGAIN)), now),
        _ => ConnectionStep::CountUsers,
    };
    ConnectionDecision::Do(Box::new(step))
}

fn is_fresh(at: Timestamp, now: Timestamp) -> bool {
    at <= now && now < later(at, COUNT_AGAIN)
}
