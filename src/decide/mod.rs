//! The decisions: from what is observed to the next step. Pure: no IO, no clock, no randomness, so that every path,
//! a crash between any two steps included, can be walked through by a test.
//!
//! `decide` names one [`Step`] or says that nothing is due; the caller carries the step out and lets [`advance`] fold
//! its outcome into the observation, then asks again. The process may be killed after any request: what a successor
//! observes must lead to the same end.

mod adopt;
mod advance;
mod backoff;
mod block;
mod care;
pub mod connection;
mod create;
mod custody;
mod deletion;
mod failure;
mod memory;
mod narrowed;
mod no_token;
mod observed;
mod parse;
mod record;
mod renewal;
mod replace;
mod revocation;
mod revoke;
mod secret;
mod status;
mod step;
mod terms;
mod this_run;
mod token;

use jiff::Timestamp;

pub use advance::{Seen, advance, is_to_look_again};
pub use backoff::{Trouble, doubled};
pub use failure::{Failure, FailureKind, Operation};
pub use memory::{Fate, Finding, Inspected, LookedAt, Memory, OwnAttempt};
pub use narrowed::older_tokens_keep;
pub use observed::{
    InvalidSpec, Observed, OpenAttempt, OwnedSecret, Requests, SecretVersion, SecretView, SecretWish, TokenWish, User,
    Wish,
};
pub use parse::{controller, controller_uid};
pub use record::{TokenRecord, TokenRequest};
pub use renewal::{TokenLife, later};
pub use revocation::{Revocation, RevocationCause, Stage};
pub use secret::{DesiredSecret, Precondition};
pub use status::recording;
pub use step::{Decision, IssueCause, Outcome, Step, TokenOrder};
pub use terms::{Connection, ConnectionState, resource_of};
pub use this_run::{Bottleneck, InLine, ThisRun};

use crate::api::{Reason, Verdict};

/// The next step for this object at `now`.
///
/// # Guarantees
/// - Deletion comes first, whatever is wrong with the object, once its connection was looked at.
/// - When the desired state is reached and recorded, the answer is [`Decision::Settled`], and stays so until its wake-up.
/// - No attempt to create an identity begins while the outcome of an earlier one is not recorded.
pub fn decide(o: &Observed, now: Timestamp) -> Decision {
    if let ConnectionState::Pending { until } = o.connection.state
        && now < until
    {
        return Decision::Settled { wake_at: Some(until) };
    }
    if o.user.deleting {
        return deletion::decide(o, now);
    }
    if o.open_attempt().is_some_and(|open| open.fate == Fate::UnderWay) {
        return block::under_way(now);
    }
    if let Some(step) = o.identity_id().and_then(|id| custody::decide(o, id, now)) {
        return step;
    }
    let wish = match &o.user.wish {
        Ok(wish) => wish,
        Err(InvalidSpec { why, .. }) => {
            return status::settle(o, &Verdict::new(Reason::InvalidRequest, why.clone()), None, now);
        }
    };
    if wish.suspend {
        return suspended(o, wish, "spec.suspend is true", now);
    }
    if o.connection.state == ConnectionState::Suspended {
        let whose = format!("{} is suspended", o.connection.label);
        return suspended(o, wish, &whose, now);
    }
    match o.identity_id() {
        None => create::decide(o, wish, now),
        Some(id) => match &wish.pinned_id {
            Some(pinned) if pinned != id => {
                let message = format!(
                    "spec.identity.id is {pinned}, but this object holds {id} and keeps it for life. Create another \
                     CommunicationUser for the other identity"
                );
                status::settle(o, &Verdict::new(Reason::InvalidRequest, message), None, now)
            }
            _ => replace::decide(o, wish, id, now)
                .or_else(|| replace::withdrawn(o, id, now))
                .unwrap_or_else(|| token::decide(o, wish, id, now)),
        },
    }
}

/// No call to ACS. The verdict changes by itself when the token expires.
fn suspended(o: &Observed, wish: &Wish, why: &str, now: Timestamp) -> Decision {
    let ready = o.is_usable(now);
    let token = o.token_record().filter(|_| ready && wish.token.is_some());
    let expiry = token.map(|record| record.expires);
    let message = match (ready, expiry, o.identity_id()) {
        (true, Some(expiry), _) => {
            format!("{why}: nothing is renewed or changed until that ends. The token is valid until {expiry}")
        }
        (true, None, _) => format!("{why}: nothing is changed until that ends"),
        (false, _, None) => format!("{why}: no identity is created until that ends"),
        (false, _, Some(_)) => format!("{why} and there is no valid token: none is issued until that ends"),
    };
    let verdict = Verdict {
        ready,
        ..Verdict::new(Reason::Suspended, message)
    };
    status::settle(o, &verdict, expiry, now)
}
