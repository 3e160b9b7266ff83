//! What one run learns on its way, besides what the process remembers.

use jiff::Timestamp;
use uuid::Uuid;

use super::record::TokenRecord;

/// What holds within one run and goes with it: the next one starts from none of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ThisRun {
    /// The uuid to use if an attempt is to be begun.
    pub next_attempt: Uuid,
    /// When the step was begun that is carried out now.
    pub step_begun: Option<Timestamp>,
    /// The record of the token at hand, which is not in a Secret yet.
    pub fresh: Option<TokenRecord>,
    /// Its place in the line for calls to ACS, where the wait is worth a word. The next run asks again, which costs nothing: what it
    /// waits for may be there by then, or be more urgent.
    pub in_line: Option<InLine>,
}

/// A place in the line for calls to ACS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InLine {
    /// About when it is the object's turn.
    pub turn: Timestamp,
    /// What there is to wait for.
    pub behind: Bottleneck,
}

/// Why a call to ACS has to wait for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bottleneck {
    /// The connection's share of the rate limits is used up, or ACS asked to wait.
    RateLimits,
    /// Creates hang, or end without a known result, so few are tried.
    DoubtfulCreates,
    /// Those before it have no answer yet, and there is no room for more.
    UnansweredCalls,
    /// Identities that were made for others in its namespace cannot be recorded, so no more are made.
    UnrecordedIdentities,
}
