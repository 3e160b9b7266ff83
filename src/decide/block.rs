//! What keeps an object from being worked on now.

use jiff::Timestamp;

use super::failure::Operation;
use super::observed::{Connection, ConnectionState, Observed};
use super::step::Decision;
use crate::api::{Reason, Verdict};

/// Something that keeps work from being done now.
pub(super) struct Block {
    pub(super) verdict: Verdict,
    pub(super) until: Option<Timestamp>,
}

/// A pause after a failed write to the API server.
pub(super) fn resting(o: &Observed, now: Timestamp) -> Option<Decision> {
    let trouble = o
        .memory
        .trouble
        .as_ref()
        .filter(|trouble| trouble.holds(o.user.generation, now))?;
    let ours = matches!(trouble.failure.operation, Operation::Write | Operation::Record);
    ours.then_some(Decision::Settled {
        wake_at: trouble.retry_at,
    })
}

/// What keeps the object from being worked on: its connection, or a recent failure.
pub(super) fn blocked(o: &Observed, now: Timestamp) -> Option<Block> {
    let by_connection = |reason, message: &String| {
        Some(Block {
            verdict: Verdict::new(reason, message.clone()),
            until: None,
        })
    };
    match &o.connection {
        Connection {
            state: ConnectionState::NotFound(why),
            ..
        } => by_connection(Reason::ConnectionNotFound, why),
        Connection {
            state: ConnectionState::NotAllowed(why),
            ..
        } => by_connection(Reason::ConnectionNotAllowed, why),
        Connection {
            state: ConnectionState::NotReady(why),
            ..
        } => by_connection(Reason::ConnectionNotReady, why),
        Connection {
            state: ConnectionState::Ready { .. },
            ..
        } => {
            let trouble = o
                .memory
                .trouble
                .as_ref()
                .filter(|trouble| trouble.holds(o.user.generation, now))?;
            let words = &trouble.failure.words;
            let message = match trouble.retry_at {
                Some(_) => format!("{words}; it is tried again by itself"),
                None => words.clone(),
            };
            Some(Block {
                verdict: Verdict::new(trouble.failure.reason(), message),
                until: trouble.retry_at,
            })
        }
    }
}
