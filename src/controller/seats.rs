//! How many objects are worked on at a time. Whoever waits for another server than the API server leaves its seat to another
//! meanwhile: so neither one resource that leaves calls unanswered, nor all of a region, keep the users of others waiting.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Seats for so many runs at a time.
pub struct Seats(Arc<Semaphore>);

/// The seat of one run, until it is dropped.
pub struct Seat {
    all: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Seats {
    /// So many.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// A seat, as soon as one is free: first come, first served.
    pub async fn take(&self) -> Seat {
        let all = Arc::clone(&self.0);
        let taken = take(&all).await;
        Seat { all, taken }
    }
}

impl Seat {
    /// Waits without a seat, and comes back to one.
    pub async fn leave_for<T>(&mut self, wait: impl Future<Output = T>) -> T {
        self.taken = None;
        let outcome = wait.await;
        self.taken = take(&self.all).await;
        outcome
    }
}

async fn take(all: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // Nobody closes it.
    Arc::clone(all).acquire_owned().await.ok()
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::{FutureExt, future::poll_immediate};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_waits_for_another_server_leaves_its_seat_to_others_and_comes_back_to_one() {
        let seats = Seats::new(1);
        let (answer, answered) = oneshot::channel();
        let mut first = seats.take().await;
        let mut call = Box::pin(first.leave_for(answered));
        assert!(poll_immediate(&mut call).await.is_none());
        let second = seats.take().now_or_never().expect("there is a free seat");
        answer.send("an answer").unwrap();
        assert!(poll_immediate(&mut call).await.is_none(), "its seat is taken");
        let third = Box::pin(seats.take());
        drop(second);
        assert_eq!(call.await, Ok("an answer"));
        assert!(third.now_or_never().is_none(), "it has one again");
    }

    #[tokio::test]
    async fn any_number_may_wait_and_one_that_is_given_up_takes_no_seat_with_it() {
        let seats = Seats::new(1);
        for _ in 0..100 {
            let mut seat = seats.take().now_or_never().expect("there is a free seat");
            let mut call = Box::pin(seat.leave_for(pending::<()>()));
            assert!(poll_immediate(&mut call).await.is_none());
        }
        assert!(seats.take().now_or_never().is_some());
    }
}
