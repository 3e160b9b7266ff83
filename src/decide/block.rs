//! What keeps an object from being worked on now.

use jiff::{SignedDuration, Timestamp};

use super::backoff::Trouble;
use super::failure::{Failure, FailureKind, Operation};
use super::observed::Observed;
use super::renewal::later;
use super::status::settle;
use super::step::Decision;
use super::terms::{ConnectionState, resource_of};
use super::this_run::{Bottleneck, InLine};
use crate::api::{Reason, Verdict};

/// How long to leave a create that is under way.
const BETWEEN_LOOKS: SignedDuration = SignedDuration::from_secs(5);

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

/// What is about to be done: that says what may keep it from being done now.
#[derive(Clone, Copy)]
pub(super) enum Need {
    /// A write to the status.
    Record,
    /// A look at the Secret before its tokens are revoked.
    Look,
    /// A write to the object or its Secret.
    Write,
    /// A call to ACS that is to bring an identity or a token.
    Call,
    /// The call that revokes tokens.
    Revoke,
    /// The call that deletes the identity.
    Delete,
}

impl Need {
    fn is_call(self) -> bool {
        matches!(self, Self::Call | Self::Revoke | Self::Delete)
    }

    /// Whether it has to wait where this failed.
    fn waits_for(self, failure: &Failure) -> bool {
        match self {
            Self::Record => failure.operation == Operation::Record,
            Self::Look => failure.operation == Operation::Look,
            Self::Write => failure.operation.is_of_api_server(),
            Self::Call => true,
            // It never waits for what is wrong with the Secret, or with a new token.
            Self::Revoke => match failure.operation {
                Operation::Revoke | Operation::Record => true,
                // There is nothing to revoke.
                Operation::Create | Operation::Issue => {
                    matches!(failure.kind, FailureKind::NotOwned | FailureKind::Gone)
                }
                Operation::Delete | Operation::Look | Operation::Write => false,
            },
            // ACS may refuse everything else of an identity for good when that is gone.
            Self::Delete => !failure.needs_a_change(),
        }
    }
}

/// What keeps this from being done: the connection, a recent failure, or who goes before it.
pub(super) fn blocked(o: &Observed, need: Need, now: Timestamp) -> Option<Block> {
    if !need.is_call() {
        return by_trouble(o, need, now);
    }
    by_connection(&o.connection.state)
        .or_else(|| by_resource(o))
        .or_else(|| by_trouble(o, need, now))
        .or_else(|| by_line(o, now))
}

/// A pause after a failed write to the API server. A refusal is told at once; an API server that is away for a moment only
/// when the object is not usable meanwhile: while nothing can be written, that cannot be told either, and passes.
pub(super) fn resting(o: &Observed, now: Timestamp) -> Option<Decision> {
    let block = blocked(o, Need::Write, now)?;
    let passes = o
        .memory
        .trouble
        .as_ref()
        .is_some_and(|trouble| trouble.failure.can_pass());
    Some(if passes && (o.user.deleting || o.is_usable(now)) {
        Decision::Settled { wake_at: block.until }
    } else {
        settle(o, &block.verdict(), block.until, now)
    })
}

/// A create that another task of this process is carrying out: nothing tells when it ends.
pub(super) fn under_way(now: Timestamp) -> Decision {
    Decision::Settled {
        wake_at: Some(later(now, BETWEEN_LOOKS)),
    }
}

fn by_connection(state: &ConnectionState) -> Option<Block> {
    let (reason, why) = match state {
        ConnectionState::Ready { .. } => return None,
        ConnectionState::NotFound(why) => (Reason::ConnectionNotFound, why.as_str()),
        ConnectionState::NotAllowed(why) => (Reason::ConnectionNotAllowed, why.as_str()),
        ConnectionState::NotReady(why) => (Reason::ConnectionNotReady, why.as_str()),
        ConnectionState::Elsewhere(why) => (Reason::ResourceMismatch, why.as_str()),
        ConnectionState::Pending { .. } => (
            Reason::ConnectionNotReady,
            "nothing is known of the connection yet: its credential is still being looked for",
        ),
        ConnectionState::Suspended => (Reason::Suspended, "the connection is suspended"),
    };
    Some(Block {
        reason,
        why: why.to_owned(),
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

fn by_trouble(o: &Observed, need: Need, now: Timestamp) -> Option<Block> {
    let trouble = o.memory.trouble.as_ref()?;
    let failure = &trouble.failure;
    if !need.waits_for(failure) || !trouble.holds(o.user.generation, now) || is_overcome(o, trouble) {
        return None;
    }
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

/// Whether ACS was away, or refused the credential, for probes too, and accepted it since, or the connection leads elsewhere now: what
/// waits for that waits no longer. A call that was sent before that and ended after it met what was there before. Where only calls of
/// one kind fail, a probe that succeeds as ever is no reason to try again at once.
fn is_overcome(o: &Observed, trouble: &Trouble) -> bool {
    let failure = &trouble.failure;
    let of_the_connection = matches!(
        failure.kind,
        FailureKind::CredentialRejected
            | FailureKind::NotOwned
            | FailureKind::Rejected
            | FailureKind::NotSent
            | FailureKind::InDoubt
            | FailureKind::Transient { .. }
    );
    of_the_connection
        && !failure.operation.is_of_api_server()
        && o.connection.repaired.is_some_and(|repaired| repaired > trouble.begun)
}

fn by_line(o: &Observed, now: Timestamp) -> Option<Block> {
    let InLine { turn, behind } = o.this_run.in_line.filter(|line| now < line.turn)?;
    let (reason, why) = match behind {
        Bottleneck::RateLimits => (
            Reason::Throttled,
            "the next call to ACS waits for its turn: the connection's share of the rate limits is used up, or ACS asked to wait. \
             It goes on by itself",
        ),
        Bottleneck::DoubtfulCreates => (
            Reason::ServiceUnavailable,
            "the create waits for its turn: those through this connection hang, or ended without a known result, and each may have \
             left an identity that nobody uses, so few are tried until ACS answers. It goes on by itself",
        ),
        Bottleneck::UnansweredCalls => (
            Reason::ServiceUnavailable,
            "the next call to ACS waits for its turn: those before it through this connection are still without an answer, and \
             only some are under way at a time. It goes on by itself",
        ),
        Bottleneck::UnrecordedIdentities => (
            Reason::Progressing,
            "the create waits: the ids of identities that were made for others in this namespace cannot be written into their \
             status, so no more are made. It goes on by itself",
        ),
    };
    Some(Block {
        reason,
        why: why.to_owned(),
        until: Some(turn),
    })
}
