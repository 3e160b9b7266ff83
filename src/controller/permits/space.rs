//! Room for calls under way through one connection, for those of each operation by itself: what ACS leaves unanswered keeps no other call
//! waiting.

use std::task::Poll;
use std::time::{Duration, Instant};

use acs_identity::Operation;
use futures::future::BoxFuture;

use crate::controller::room::{Room, Taken};

/// When no call has begun for so long, because there was no room, those under way hang.
pub const SLOW: Duration = Duration::from_secs(5);

/// See the module's page.
pub struct Space([OfOperation; Operation::ALL.len()]);

struct OfOperation {
    room: Room,
    /// A place that was waited for.
    spare: Option<Taken>,
    /// There was none for a call.
    is_short: bool,
    /// When the last call had one.
    begun: Option<Instant>,
}

/// Waits for places, one for each operation at most: whoever waits for the longest has the next one of what connections share.
#[derive(Default)]
pub struct Waits(Vec<(Operation, BoxFuture<'static, Taken>)>);

impl Space {
    /// So much room for each operation.
    pub fn new(room_for: impl Fn(Operation) -> Room) -> Self {
        Self(Operation::ALL.map(|operation| OfOperation {
            room: room_for(operation),
            spare: None,
            is_short: false,
            begun: None,
        }))
    }

    /// How many calls of an operation there is room for.
    pub fn size(&self, operation: Operation) -> usize {
        self.0[operation as usize].room.size()
    }

    /// A place for a call, if there is one.
    pub fn try_take(&mut self, operation: Operation) -> Option<Taken> {
        let of = self.of(operation);
        let taken = of.spare.take().or_else(|| of.room.try_take());
        of.is_short |= taken.is_none();
        taken
    }

    /// A call has its place.
    pub fn begun(&mut self, operation: Operation, now: Instant) {
        self.of(operation).begun = Some(now);
    }

    /// Whether the calls of an operation that are under way hang, and there is room for no other.
    pub fn is_hanging(&self, operation: Operation, now: Instant) -> bool {
        let of = &self.0[operation as usize];
        of.room.is_full() && of.begun.is_some_and(|begun| begun + SLOW <= now)
    }

    /// Begins to look who has no place.
    pub fn look_anew(&mut self) {
        for of in &mut self.0 {
            of.is_short = false;
        }
    }

    /// Has a place waited for wherever there was none since the last [look](Self::look_anew), and nowhere else. What was waited for and
    /// nobody needed is others'.
    pub fn wait_where_short(&mut self, waits: &mut Waits) {
        waits.0.retain(|(operation, _)| self.of(*operation).is_short);
        for operation in Operation::ALL {
            let of = self.of(operation);
            of.spare = None;
            if of.is_short && !waits.0.iter().any(|(waited_for, _)| *waited_for == operation) {
                let room = of.room.clone();
                waits.0.push((operation, Box::pin(async move { room.take().await })));
            }
        }
    }

    /// Takes a place that was waited for.
    pub fn keep(&mut self, operation: Operation, place: Taken) {
        self.of(operation).spare = Some(place);
    }

    fn of(&mut self, operation: Operation) -> &mut OfOperation {
        &mut self.0[operation as usize]
    }
}

impl Waits {
    /// The next place that comes. Nothing is lost when this is dropped.
    pub async fn next(&mut self) -> (Operation, Taken) {
        std::future::poll_fn(|context| {
            for index in 0..self.0.len() {
                let (operation, wait) = &mut self.0[index];
                if let Poll::Ready(place) = wait.as_mut().poll(context) {
                    let operation = *operation;
                    drop(self.0.swap_remove(index));
                    return Poll::Ready((operation, place));
                }
            }
            Poll::Pending
        })
        .await
    }
}
