//! What the metrics ask for when they are read.

use std::sync::Arc;

use crate::{
    api::{CommunicationUser, ConditionType, Reason},
    cluster::ObjectKey,
    controller::{connections::Connections, queue::WorkQueue, sources::UserCache},
    telemetry::{Metrics, metrics::UserSample},
};

/// Lets the metrics look at the objects and the queue.
pub(super) fn offer(
    metrics: &Metrics,
    users: &Arc<UserCache>,
    queue: &Arc<WorkQueue<ObjectKey>>,
    connections: &Arc<Connections>,
) {
    let (users, queue, connections) = (Arc::clone(users), Arc::clone(queue), Arc::clone(connections));
    metrics.connections.ask(move |visit| connections.for_each(visit));
    metrics
        .users
        .ask(move |visit| users.for_each(|_, user| visit(sample(user))));
    metrics.queue.ask(move || {
        let depths = queue.len_by_lane();
        depths
            .into_iter()
            .map(|(lane, depth)| (lane.as_str(), depth.due))
            .collect()
    });
}

fn sample(user: &CommunicationUser) -> UserSample {
    let status = user.status.as_ref();
    let ready = status.and_then(|status| ConditionType::Ready.find(&status.conditions));
    let reason = ready
        .and_then(|ready| ready.reason.parse().ok())
        .unwrap_or(Reason::Progressing);
    let token = status.and_then(|status| status.token.as_ref());
    // Nothing is renewed for an object that is suspended or going away.
    let renews = !user.spec.suspend && user.metadata.deletion_timestamp.is_none();
    UserSample {
        reason,
        expires: token.and_then(|token| Some(token.expiration_time.as_ref()?.0)),
        renewal_due: token
            .filter(|_| renews)
            .and_then(|token| Some(token.renewal_time.as_ref()?.0)),
    }
}
