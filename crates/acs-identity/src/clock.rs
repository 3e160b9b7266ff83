//! The one place where the wall clock is read: requests are dated by it, and the service's clock compared with it.

use jiff::Timestamp;

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
