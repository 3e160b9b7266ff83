//! Which of several replicas works: the one that holds a Lease (`coordination.k8s.io/v1`).
//!
//! # Guarantees
//! - At most one process [holds](Hold::is_held) it at a time, as long as the clocks of the machines run equally fast to within a
//!   few percent; what time they show does not matter. The holder takes it as lost when a third of its duration is still to go.
//! - A holder that ends in order clears it, and another has it as fast as a watch tells; one that dies is followed when the
//!   duration is over.
//! - Whoever lost it never gets it back: its process ends.
//!
//! # Assumptions
//! - Candidates are programs like this one, or built on client-go, whose record and rules are the same.
//!
//! # Caveats
//! - A request that was sent while the lease was held can arrive later. Writes are conditional on a version, and a create is
//!   recorded before, for that reason. A revocation that is carried out so late that the next holder has issued a token meanwhile
//!   ends that token too: it is replaced a minute later, whether or not it was ended.
//! - Where somebody deletes the Lease, a process that has never seen it takes it at once; the holder finds out by the watch.
//!
//! The core (`record.rs`) is pure. There is no such thing in kube (kube-rs/kube#485).

mod candidate;
mod election;
mod hold;
mod object;
mod record;
mod trouble;

use std::time::Duration;

pub use election::{Election, LeaseLost};
pub use hold::Hold;

/// Which Lease, and how it is competed for.
#[derive(Debug, Clone)]
pub struct LeaseSettings {
    /// Where the Lease is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who competes: no other process, not even a later one in the same pod, has this identity.
    pub identity: String,
    /// How long it is held without being renewed, in whole seconds.
    pub duration: Duration,
}

/// What happens when, within the duration of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    /// From one renewal to the next.
    renew: Duration,
    /// How long the holder relies on a renewal, from before it was sent. The others wait for the whole duration, from when they
    /// saw it: what is between is for requests that are on their way.
    rely: Duration,
    /// Before a failed request is tried again.
    retry: Duration,
    /// So long at least a request is waited for.
    request: Duration,
    /// And so long at most: an API server that is busy takes seconds.
    patience: Duration,
}

/// Who gives the lease back waits for twice this at most, within the time that a pod has to end.
const LONGEST_REQUEST: Duration = Duration::from_secs(3);

/// Where there is time, as for every other request of the operator.
const LONGEST_PATIENCE: Duration = Duration::from_secs(10);

impl Pace {
    fn of(duration: Duration) -> Self {
        Self {
            renew: duration / 5,
            rely: duration * 2 / 3,
            retry: duration / 15,
            request: (duration * 2 / 15).min(LONGEST_REQUEST),
            patience: (duration / 3).min(LONGEST_PATIENCE),
        }
    }

    /// How long a renewal is waited for when the lease is `left` for so long: all but what another try takes, which may go to an API server
    /// that has just started, or past a connection that is dead.
    fn renewal_within(&self, left: Duration) -> Duration {
        let another = self.retry + self.request;
        if left > another + self.request {
            return left.saturating_sub(another).min(self.patience);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next renewal is due from when the last one was sent, as the hold is.
    #[test]
    fn an_api_server_that_takes_a_fifth_of_the_duration_for_each_answer_costs_nobody_the_lease() {
        for seconds in [5, 15, 30, 60, 300] {
            let duration = Duration::from_secs(seconds);
            let (pace, answer) = (Pace::of(duration), (duration / 5).min(Duration::from_secs(9)));
            let left = pace.rely.saturating_sub(pace.renew.max(answer));
            assert!(
                answer <= pace.renewal_within(left) && answer <= pace.patience,
                "{pace:?}"
            );
        }
    }

    #[test]
    fn a_renewal_is_tried_twice_at_least_before_the_holder_gives_up_and_that_is_well_before_another_may_take_it() {
        for seconds in [3, 5, 15, 60, 300] {
            let duration = Duration::from_secs(seconds);
            let pace = Pace::of(duration);
            let left = pace.rely.saturating_sub(pace.renew);
            let first = pace.renewal_within(left);
            let second = pace.renewal_within(left.saturating_sub(first + pace.retry));
            assert!(first >= 2 * pace.request && second >= pace.request, "{pace:?}");
            assert!(first + pace.retry + second <= left, "{pace:?}");
            assert!(pace.rely + Duration::from_secs(1) <= duration, "{pace:?}");
        }
    }
}
