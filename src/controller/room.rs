//! Room for calls under way. Nobody waits for those of another ([seats](super::seats)), but each takes memory and a socket: so of each
//! operation one connection has no more of them than a share of the workers, and neither have all connections of one namespace together,
//! for whoever may declare one there may declare many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use acs_identity::Operation;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::cluster::ObjectKey;

/// Room for calls, inside all of these bounds.
#[derive(Clone)]
pub struct Room {
    size: usize,
    bounds: Vec<Arc<Semaphore>>,
}

/// A place in it, until it is dropped.
#[must_use]
pub struct Taken(#[allow(dead_code, reason = "held, never looked at")] Vec<OwnedSemaphorePermit>);

impl Room {
    /// Room for so many calls.
    pub fn of(most: usize) -> Self {
        Self {
            size: most,
            bounds: vec![Arc::new(Semaphore::new(most))],
        }
    }

    /// How many calls there is room for where nobody else takes any of it.
    pub fn size(&self) -> usize {
        self.size
    }

    /// A place, as soon as there is one: first come, first served.
    pub async fn take(&self) -> Taken {
        let mut taken = Vec::new();
        for bound in &self.bounds {
            // Nobody closes it.
            taken.extend(Arc::clone(bound).acquire_owned().await);
        }
        Taken(taken)
    }

    /// Whether there is no place.
    pub fn is_full(&self) -> bool {
        self.bounds.iter().any(|bound| bound.available_permits() == 0)
    }

    /// A place, if there is one.
    pub fn try_take(&self) -> Option<Taken> {
        let take = |bound: &Arc<Semaphore>| Arc::clone(bound).try_acquire_owned().ok();
        self.bounds.iter().map(take).collect::<Option<_>>().map(Taken)
    }
}

/// Most probes under way, of all connections and of those of one namespace: after a restart all are due at once.
const PROBES: usize = 64;
const PROBES_OF_NAMESPACE: usize = 16;

/// The rooms of all connections.
pub struct Rooms {
    /// Most calls of one operation through one connection.
    each: usize,
    /// Those through all connections of a namespace.
    namespaces: Shares,
    probes: Arc<Semaphore>,
    probes_of_namespaces: Shares,
}

impl Rooms {
    /// One connection has as many calls of each operation as a quarter of the `workers` at most, and those of one namespace together have
    /// as many as half; but two at least, so that one that hangs does not keep all others waiting.
    pub fn new(workers: usize) -> Self {
        Self {
            each: (workers / 4).max(2),
            namespaces: Shares::new((workers / 2).max(2)),
            probes: Arc::new(Semaphore::new(PROBES)),
            probes_of_namespaces: Shares::new(PROBES_OF_NAMESPACE),
        }
    }

    /// Room for the calls of one operation for the users of a connection, which is to be kept as long as the connection is.
    pub fn for_users(&self, connection: &ObjectKey, operation: Operation) -> Room {
        let own = Arc::new(Semaphore::new(self.each));
        Room {
            size: self.each,
            bounds: [own]
                .into_iter()
                .chain(self.namespaces.of(connection, operation))
                .collect(),
        }
    }

    /// Room for probes of a connection. Who waits for the share of its namespace takes no place from the others.
    pub fn for_probes(&self, connection: &ObjectKey) -> Room {
        let share = self.probes_of_namespaces.of(connection, Operation::Probe).into_iter();
        Room {
            size: PROBES_OF_NAMESPACE,
            bounds: share.chain([Arc::clone(&self.probes)]).collect(),
        }
    }
}

/// A bound for each operation of a namespace. Cluster connections have none: they are the administrator's.
struct Shares {
    most: usize,
    of: Mutex<HashMap<(String, Operation), Weak<Semaphore>>>,
}

impl Shares {
    fn new(most: usize) -> Self {
        Self {
            most,
            of: Mutex::default(),
        }
    }

    fn of(&self, connection: &ObjectKey, operation: Operation) -> Option<Arc<Semaphore>> {
        let whose = (connection.namespace()?.to_owned(), operation);
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = of.get(&whose).and_then(Weak::upgrade) {
            return Some(share);
        }
        of.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.most));
        of.insert(whose, Arc::downgrade(&share));
        Some(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(rooms: &Rooms, namespace: &str, connections: usize) -> Vec<Taken> {
        let of = |number| {
            let connection = ObjectKey::namespaced(namespace, &format!("c-{number}"));
            rooms.for_users(&connection, Operation::Issue)
        };
        let all: Vec<_> = (0..connections).map(of).collect();
        let fill = |room: &Room| std::iter::from_fn(|| room.try_take()).collect::<Vec<_>>();
        all.iter().flat_map(fill).collect()
    }

    #[test]
    fn one_connection_takes_a_quarter_and_all_of_a_namespace_take_half() {
        let rooms = Rooms::new(32);
        assert_eq!(fill(&rooms, "team", 1).len(), 8);
        let taken = fill(&rooms, "team", 10);
        assert_eq!(taken.len(), 16);
        assert_eq!(fill(&rooms, "other", 1).len(), 8);
        let contoso = ObjectKey::namespaced("team", "contoso");
        let other_calls = rooms.for_users(&contoso, Operation::Delete);
        assert!(!other_calls.is_full() && rooms.for_users(&contoso, Operation::Issue).is_full());
        drop(taken);
        assert_eq!(fill(&rooms, "team", 10).len(), 16, "what ends makes room");
    }

    #[tokio::test(start_paused = true)]
    async fn probes_of_one_namespace_leave_room_for_others_and_are_made_in_the_end() {
        let rooms = Rooms::new(32);
        let room = |namespace: &str| rooms.for_probes(&ObjectKey::namespaced(namespace, "contoso"));
        let crowded = room("team");
        let mut taken: Vec<_> = std::iter::from_fn(|| crowded.try_take()).collect();
        assert_eq!(taken.len(), 16);
        let waits = crowded.take();
        tokio::pin!(waits);
        assert!(futures::poll!(&mut waits).is_pending());
        for other in ["a", "b", "c"] {
            let other = room(other);
            taken.extend(std::iter::from_fn(|| other.try_take()));
        }
        assert_eq!(taken.len(), 64, "that one takes no place while it waits");
        taken.clear();
        drop(waits.await);
    }

    #[test]
    fn there_is_room_for_two_however_few_workers_there_are() {
        assert_eq!(fill(&Rooms::new(1), "team", 3).len(), 2);
    }
}
