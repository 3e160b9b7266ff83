//! One run: observe, decide, act, report, until nothing is due.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::act::{Act, Acted, Hand};
use super::memory::Memories;
use super::observe::Observe;
use super::report::Report;
use crate::clock::Clock;
use crate::cluster::ObjectKey;
use crate::decide::{Decision, advance, decide};

/// No path of decisions is this long; only an object that others change all the time can make a run so.
const MOST_STEPS: usize = 24;

/// Brings one object at a time to where it should be.
pub struct Reconcile {
    /// How it is looked at.
    pub observe: Observe,
    /// How steps are carried out.
    pub act: Arc<Act>,
    /// Who is told.
    pub report: Report,
    /// What is remembered.
    pub memories: Arc<Memories>,
    /// The clock.
    pub clock: Clock,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is due until then.
    Settled {
        /// When to look again; `None`: when something happens.
        wake_at: Option<Timestamp>,
        /// Whether something failed and is to be tried again.
        in_trouble: bool,
    },
    /// Others change the object faster than it can be worked on.
    Contended,
    /// The rate limits have no room.
    InLine {
        /// When it is this object's turn.
        turn: Instant,
    },
    /// There is no such object.
    Gone,
}

impl Reconcile {
    /// Works on one object. May be dropped at any await: a create under way goes on by itself.
    pub async fn run(&self, key: &ObjectKey) -> Ending {
        let Some(sight) = self.observe.look(key) else {
            return Ending::Gone;
        };
        let mut o = sight.observed;
        let mut hand = Hand::default();
        for _ in 0..MOST_STEPS {
            let step = match decide(&o, self.clock.now()) {
                Decision::Do(step) => step,
                Decision::Settled { wake_at } => {
                    let in_trouble = o.memory.trouble.is_some();
                    self.memories.store(&o.user.uid, o.memory);
                    return Ending::Settled { wake_at, in_trouble };
                }
            };
            let outcome = match self.act.perform(&o, &step, sight.access.as_ref(), &mut hand).await {
                Acted::Outcome(outcome) => outcome,
                Acted::ObjectGone => {
                    self.memories.forget(&o.user.uid);
                    return Ending::Gone;
                }
                Acted::NotBefore(turn) => return Ending::InLine { turn },
            };
            self.report.outcome(&o, &step, &outcome);
            o = advance(o, &step, outcome, self.clock.now());
            // A run that is dropped after this must not forget what it has begun.
            self.memories.store(&o.user.uid, o.memory.clone());
        }
        Ending::Contended
    }
}
