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
    /// About when it is the object's turn under the rate limits, where the wait is worth a word. The next run asks again, which
    /// costs nothing: what it waits for may be there by then, or be more urgent.
    pub in_line: Option<Timestamp>,
    /// The API server would accept a Secret that it refused before.
    pub acceptable: bool,
    /// The API server was asked for the Secret.
    pub looked: bool,
}
