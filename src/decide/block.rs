//! What keeps an object from being worked on now.

use jiff::{SignedDuration, Timestamp};

use super::backoff::Trouble;
use super::failure::{FailureKind, Operation};
use super::observed::Observed;
use super::renewal::later;
use super::status::settle;
use super::step::Decision;
use super::terms::{ConnectionState, resource_of};
use crate::api::{Reason, Verdict};

/// How long to leave a create that is under way.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// Something that keeps work from being done now.
pub(super) struct Block {
    pub(super) reason: Reason,
    /// What happened, to what, and what to do about it: can stand after a colon, and ends without a full stop.
    pub(super) why: String,
    pub(super) until: Option<Timestamp>,
}

impl Block {
    /// The verdict on an object that can do nothing meanwhile.
    pub(super) fn verdict(&self) -> Verdict {
        Verdict::new(self.reason, &*self.why)
    }
}

/// A pause after a failed write to the API server. A refusal is told at once; an API server that is away for a moment only
/// when the object is not usable meanwhile.
pub(super) fn resting(o: &Observed, now: Timestamp) -> Option<Decision> {
    let trouble = o
        .memory
        .trouble
        .as_ref()
        .filter(|trouble| trouble.holds(o.user.generation, now))?;
    let pause = Decision::Settled {
        wake_at: trouble.retry_at,
    };
    match trouble.failure.operation {
        Operation::Record => Some(pause),
        // While nothing can be written, that cannot be told either, and passes.
        Operation::Write if trouble.failure.can_pass() && (o.user.deleting || o.is_usable(now)) => Some(pause),
        Operation::Write => by_trouble(o, now).map(|block| settle(o, &block.verdict(), block.until, now)),
        _ => None,
    }
}

/// A create that another task of this process is carrying out: nothing tells when it ends.
pub(super) fn under_way(now: Timestamp) -> Decision {
    Decision::Settled {
        wake_at: Some(later(now, LOOK_AGAIN)),
    }
}

/// What keeps the object from being worked on: its connection, a recent failure, or the rate limits.
pub(super) fn blocked(o: &Observed, now: Timestamp) -> Option<Block> {
    by_connection(&o.connection.state)
        .or_else(|| by_resource(o))
        .or_else(|| by_trouble(o, now))
        .or_else(|| by_limits(o, now))
}

/// What keeps the identity from being deleted. That ACS refuses something else of it for good, as it may when the identity
/// is gone, does not.
pub(super) fn blocked_deletion(o: &Observed, now: Timestamp) -> Option<Block> {
    let trouble = o.memory.trouble.as_ref();
    if trouble.is_some_and(|trouble| trouble.failure.needs_a_change()) {
        return by_connection(&o.connection.state)
            .or_else(|| by_resource(o))
            .or_else(|| by_limits(o, now));
    }
    blocked(o, now)
}

/// What keeps tokens from being revoked. What is wrong with the Secret does not: a revocation never waits for that.
pub(super) fn blocked_revocation(o: &Observed, now: Timestamp) -> Option<Block> {
    let trouble = o.memory.trouble.as_ref();
    if trouble.is_some_and(|trouble| trouble.failure.operation == Operation::Write) {
        return by_connection(&o.connection.state)
            .or_else(|| by_resource(o))
            .or_else(|| by_limits(o, now));
    }
    blocked(o, now)
}

fn by_connection(state: &ConnectionState) -> Option<Block> {
    let (reason, why) = match state {
        ConnectionState::NotFound(why) => (Reason::ConnectionNotFound, why),
        ConnectionState::NotAllowed(why) => (Reason::ConnectionNotAllowed, why),
        ConnectionState::NotReady(why) => (Reason::ConnectionNotReady, why),
        ConnectionState::Elsewhere(why) => (Reason::ResourceMismatch, why),
        ConnectionState::Ready { .. } => return None,
        ConnectionState::Pending { .. } => {
            return Some(Block {
                reason: Reason::ConnectionNotReady,
                why: "nothing is known of the connection yet: its credential is still being looked for".to_owned(),
                until: None,
            });
        }
        ConnectionState::Suspended => {
            return Some(Block {
                reason: Reason::Suspended,
                why: "the connection is suspended".to_owned(),
                until: None,
            });
        }
    };
    Some(Block {
        reason,
        why: why.clone(),
        until: None,
    })
}

/// A credential that is another resource's is never used for an identity, not even to delete it.
fn by_resource(o: &Observed) -> Option<Block> {
    let id = o.identity_id().or_else(|| o.pinned_id())?;
    if !o.connection.is_foreign(id) {
        return None;
    }
    let (ours, theirs) = (o.connection.resource_id.as_deref()?, resource_of(id).unwrap_or("none"));
    Some(Block {
        reason: Reason::ResourceMismatch,
        why: format!(
            "the identity {id} is one of the ACS resource {theirs}, but {} is connected to the resource {ours}. Give the \
             connection the credential of the resource that the id names, or use a connection to it",
            o.connection.label
        ),
        until: None,
    })
}

fn by_trouble(o: &Observed, now: Timestamp) -> Option<Block> {
    let trouble = o.memory.trouble.as_ref()?;
    let holds = |trouble: &&Trouble| trouble.holds(o.user.generation, now) && !is_overcome(o, trouble);
    let trouble = Some(trouble).filter(holds)?;
    let failure = &trouble.failure;
    // The other side's words may end with a full stop.
    let mut sentences = vec![failure.words.trim_end_matches('.').to_owned()];
    let is_own = o.identity_id().is_some_and(|id| o.connection.is_own(id));
    sentences.extend(failure.remedy(o.identity_id(), is_own));
    if trouble.retry_at.is_some() {
        sentences.push("It is tried again by itself".to_owned());
    }
    Some(Block {
        reason: failure.reason(),
        why: sentences.join(". "),
        until: trouble.retry_at,
    })
}

/// Whether ACS was away, or refused the credential, for probes too, and accepted it since: what waits for that waits no longer. Where
/// only calls of one kind fail, a probe that succeeds as ever is no reason to try again at once.
fn is_overcome(o: &Observed, trouble: &Trouble) -> bool {
    let failure = &trouble.failure;
    let of_the_connection = match failure.kind {
        FailureKind::CredentialRejected | FailureKind::NotSent | FailureKind::InDoubt => true,
        FailureKind::Transient { .. } => !matches!(failure.operation, Operation::Write | Operation::Record),
        _ => false,
    };
    of_the_connection && o.connection.repaired.is_some_and(|repaired| repaired > trouble.at)
}

fn by_limits(o: &Observed, now: Timestamp) -> Option<Block> {
    let turn = o.memory.in_line.filter(|turn| now < *turn)?;
    let why = "the next call to ACS waits for its turn: the connection's share of the rate limits is used up, or ACS asked \
               to wait. It goes on by itself";
    Some(Block {
        reason: Reason::Throttled,
        why: why.to_owned(),
        until: Some(turn),
    })
}
