//! The events that wait to be written.

use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::record::Occurrence;

/// What was taken and is not written yet: warnings first, and each kind in the order in which it came.
pub(super) struct Waiting {
    pub(super) warnings: Receiver<Occurrence>,
    pub(super) others: Receiver<Occurrence>,
}

impl Waiting {
    /// The next event. After `stop` no more is taken, so that it comes to an end: `None`.
    pub(super) async fn next(&mut self, stop: &CancellationToken) -> Option<Occurrence> {
        if let Some(next) = stop.run_until_cancelled(self.first()).await {
            return next;
        }
        self.close();
        self.first().await
    }

    /// Takes no more, and returns how many are left that nobody will write.
    pub(super) fn abandon(mut self) -> u64 {
        self.close();
        let mut left = 0;
        while self.warnings.try_recv().is_ok() || self.others.try_recv().is_ok() {
            left += 1;
        }
        left
    }

    async fn first(&mut self) -> Option<Occurrence> {
        tokio::select! {
            biased;
            Some(warning) = self.warnings.recv() => Some(warning),
            Some(other) = self.others.recv() => Some(other),
            else => None,
        }
    }

    fn close(&mut self) {
        self.warnings.close();
        self.others.close();
    }
}
