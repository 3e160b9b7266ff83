//! The decisions about connections: when a credential is proven, what is guarded so that it does not go while users need it,
//! and what status says. Pure, like those about users; what a step changes is seen in the next look.

mod health;
mod observed;
mod probe;
mod status;
mod verdict;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

pub use health::{Health, Obstacle, Unknown};
pub use observed::{
    ConnectionMemory, ConnectionObject, Credential, ObservedConnection, SecretState, Users, WriteTrouble,
};
pub use verdict::{TRUST_ITS_AUTHORITY, Warning, verdict, warnings};

use super::renewal::{is_still, later};
use crate::api::ConnectionStatus;

/// How often the API server is asked again whether a connection that is to go still has users.
const COUNT_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// The same when the watch shows none any more: most likely it is right, and the connection can go at once.
const COUNT_THE_LAST: SignedDuration = SignedDuration::from_secs(1);

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
    Guard,
    /// Put our finalizer on the Secret with its credential.
    GuardSecret(SecretState),
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
/// - Nothing is written to a connection that is not ours to write to.
pub fn decide_connection(o: &ObservedConnection, now: Timestamp) -> ConnectionDecision {
    if let Some(pause) = resting(o, now) {
        return pause;
    }
    if let Some(step) = guarding(o) {
        return ConnectionDecision::Do(Box::new(step));
    }
    let mut wake_at = None;
    if o.object.deleting && o.object.is_writable {
        match leaving(o, now) {
            Leaving::Do(step) => return ConnectionDecision::Do(Box::new(step)),
            Leaving::Gone => return ConnectionDecision::Settled { wake_at: None },
            // Its users have identities to delete: it is proven like any other.
            Leaving::Used { count_again } => wake_at = Some(count_again),
        }
    }
    match probe::next(o, now) {
        Some(due) if due.at <= now => ConnectionDecision::Do(Box::new(ConnectionStep::Probe {
            credential: due.credential,
        })),
        later => {
            let wakes = later.map(|due| due.at).into_iter().chain(wake_at);
            status::settle(o, wakes.min(), now)
        }
    }
}

/// A pause after a failed write.
fn resting(o: &ObservedConnection, now: Timestamp) -> Option<ConnectionDecision> {
    let trouble = o.memory.trouble.as_ref()?;
    // What is left to be done without a write is probing, and that can wait as long.
    is_still(trouble.at, trouble.pause, now).then(|| ConnectionDecision::Settled {
        wake_at: Some(later(trouble.at, trouble.pause)),
    })
}

/// What is to be guarded by our finalizer, or let go. First the connection, then its Secret: one that goes lets go of its Secret first.
fn guarding(o: &ObservedConnection) -> Option<ConnectionStep> {
    if !o.object.is_writable {
        return None;
    }
    if let Some(former) = o.former_secret.as_ref().filter(|former| former.can_go()) {
        return Some(ConnectionStep::ReleaseSecret(former.clone()));
    }
    let is_needed = o.users.all > 0;
    if is_needed && !o.is_guarded() && !o.object.deleting {
        return Some(ConnectionStep::Guard);
    }
    let secret = o.secret.as_ref()?;
    let loaded = matches!(o.credential, Credential::Loaded { outlived: None, .. });
    match (secret.is_guarded(), is_needed) {
        (false, true) if loaded && !secret.deleting && o.is_guarded() => {
            Some(ConnectionStep::GuardSecret(secret.clone()))
        }
        (true, true) if secret.deleting && !secret.namespace_goes => {
            Some(ConnectionStep::ReleaseDeletedSecret(secret.clone()))
        }
        // A connection that goes asks a live list first.
        (true, false) if !o.object.deleting && !secret.is_shared => Some(ConnectionStep::ReleaseSecret(secret.clone())),
        _ => None,
    }
}

/// How far a connection is that was asked to go.
enum Leaving {
    /// This comes next.
    Do(ConnectionStep),
    /// It is used.
    Used {
        /// When to count again.
        count_again: Timestamp,
    },
    /// Nothing of ours keeps it.
    Gone,
}

/// From a deletion request to no finalizer.
fn leaving(o: &ObservedConnection, now: Timestamp) -> Leaving {
    let good_for = if o.users.all > 0 { COUNT_AGAIN } else { COUNT_THE_LAST };
    let Some((users, at)) = o.memory.still_used.filter(|(_, at)| is_still(*at, good_for, now)) else {
        return Leaving::Do(ConnectionStep::CountUsers);
    };
    if users > 0 {
        let count_again = later(at, good_for);
        return Leaving::Used { count_again };
    }
    match o.secret.as_ref().filter(|secret| secret.can_go()) {
        Some(secret) => Leaving::Do(ConnectionStep::ReleaseSecret(secret.clone())),
        None if o.is_guarded() => Leaving::Do(ConnectionStep::Release),
        None => Leaving::Gone,
    }
}
