//! What a gate does with chosen requests while the operator lives: replies in the upstream's stead, or a pause in which a
//! test can act.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tokio::{sync::watch, time::timeout};

use crate::Passed;

/// Chooses requests.
pub type Matcher = fn(&Passed) -> bool;

/// What the operator is told instead of the upstream's answer.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    /// The request is not forwarded; this status is the answer, with a body as the API server writes it.
    Status(u16),
    /// The request is not forwarded; the answer is 429 with `Retry-After`, in seconds.
    Throttled(u32),
    /// The request is not forwarded and never answered.
    Silence,
    /// The request is not forwarded; its connection is closed.
    Cut,
    /// The request is carried out; its connection is cut in the middle of the answer.
    CutAnswer,
    /// The request is carried out; the answer is a proxy's 502, from which nobody can tell.
    LoseAnswer,
    /// The request is forwarded after this time.
    Late(Duration),
    /// The request is carried out; the text of the answer, or of each event of a watch, is changed in this way.
    Rewritten(fn(&str) -> String),
}

impl Reply {
    /// Whether the request is forwarded.
    pub(crate) fn forwards(self) -> bool {
        matches!(
            self,
            Self::CutAnswer | Self::LoseAnswer | Self::Late(_) | Self::Rewritten(_)
        )
    }
}

/// When a request is held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before it is forwarded.
    Before,
    /// After it was carried out, before its answer is forwarded.
    After,
}

/// A request that is held up, or will be. Dropping it lets the request go on.
pub struct Hold(Arc<watch::Sender<Stage>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Awaited,
    Caught,
    Released,
}

impl Hold {
    /// Waits until the request is held up.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn caught(&self, within: Duration) -> Result<()> {
        let mut stage = self.0.subscribe();
        timeout(within, stage.wait_for(|stage| *stage == Stage::Caught))
            .await
            .with_context(|| format!("the request to hold up did not come within {within:?}"))??;
        Ok(())
    }

    /// Lets the request go on.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.send_replace(Stage::Released);
    }
}

/// The side of the gate.
pub(crate) struct Held {
    moment: Moment,
    stage: Arc<watch::Sender<Stage>>,
}

impl Held {
    /// Waits at the chosen moment until the test lets go, and not at the other one.
    pub(crate) async fn pass(&self, moment: Moment) {
        if moment != self.moment {
            return;
        }
        self.stage.send_if_modified(|stage| {
            let awaited = *stage == Stage::Awaited;
            if awaited {
                *stage = Stage::Caught;
            }
            awaited
        });
        // The sender lives in `self`, so this ends with a release only.
        let _ = self.stage.subscribe().wait_for(|stage| *stage == Stage::Released).await;
    }
}

/// What is to be done with a request.
pub(crate) enum Interception {
    /// Reply to it.
    Reply(Reply),
    /// Hold it up.
    Hold(Held),
}

/// All that is chosen at present.
#[derive(Default)]
pub(crate) struct Intercepts {
    replies: Vec<Replies>,
    holds: Vec<(Matcher, Held)>,
    replied: usize,
}

struct Replies {
    matcher: Box<dyn Fn(&Passed) -> bool + Send>,
    /// Also requests that are not counted: reads, events, leases.
    of_any_kind: bool,
    left: usize,
    reply: Reply,
}

impl Intercepts {
    pub(crate) fn reply(
        &mut self,
        matcher: impl Fn(&Passed) -> bool + Send + 'static,
        of_any_kind: bool,
        times: usize,
        reply: Reply,
    ) {
        self.replies.push(Replies {
            matcher: Box::new(matcher),
            of_any_kind,
            left: times,
            reply,
        });
    }

    pub(crate) fn hold(&mut self, moment: Moment, matcher: Matcher) -> Hold {
        let stage = Arc::new(watch::Sender::new(Stage::Awaited));
        let held = Held {
            moment,
            stage: Arc::clone(&stage),
        };
        self.holds.push((matcher, held));
        Hold(stage)
    }

    pub(crate) fn replied(&self) -> usize {
        self.replied
    }

    pub(crate) fn let_pass(&mut self) {
        self.replies.clear();
    }

    /// What is to be done with this request. A hold is spent by it.
    pub(crate) fn meet(&mut self, request: &Passed, is_counted: bool) -> Option<Interception> {
        let held = self
            .holds
            .iter()
            .position(|(matcher, _)| is_counted && matcher(request));
        if let Some(at) = held {
            return Some(Interception::Hold(self.holds.remove(at).1));
        }
        let due = self
            .replies
            .iter_mut()
            .find(|replies| replies.left > 0 && (is_counted || replies.of_any_kind) && (replies.matcher)(request))?;
        due.left -= 1;
        self.replied += 1;
        Some(Interception::Reply(due.reply))
    }
}
