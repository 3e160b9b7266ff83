//! Whether what is declared is known: a list that can't be had tells nothing of what it would have held.

use std::sync::{Arc, PoisonError};

use tokio::time::sleep;

use super::{Connections, Declared};
use crate::cluster::cache::FirstList;
use crate::cluster::{ObjectKey, retry_delays};

impl Declared {
    /// Whether the list of a kind without namespaces tells what there is. Where an operator serves some namespaces only, it
    /// may have no right to it: then there is nothing of that kind for it.
    fn tells_of_the_cluster(&self, list: FirstList) -> bool {
        match list {
            FirstList::Complete => true,
            FirstList::Refused => !self.holds_cluster_connections,
            FirstList::Awaited | FirstList::Failing => false,
        }
    }

    /// Waits for what [`Connections::is_known`] asks.
    async fn become_known(&self, key: &ObjectKey) {
        if key.namespace().is_some() {
            self.namespaced.first_list_is(key, is_complete).await;
        } else {
            let tells = |list| self.tells_of_the_cluster(list);
            self.cluster.first_list_is(key, tells).await;
        }
        self.users.first_list_is(key, is_complete).await;
        for delay in retry_delays() {
            if !self.is_hidden(key) {
                return;
            }
            sleep(delay).await;
        }
    }

    /// Whether there is a connection with this key that can't be decoded. It may be another resource than that of the
    /// environment.
    fn is_hidden(&self, key: &ObjectKey) -> bool {
        if key.namespace().is_some() {
            self.namespaced.is_hidden(key)
        } else {
            self.cluster.is_hidden(key)
        }
    }
}

impl Connections {
    /// Whether it is known if there is a connection with this key, and who uses it. There may be one named default, and it
    /// may be another resource than that of the environment; and one whose users are not known looks as if it had none.
    pub(super) fn is_known(&self, key: &ObjectKey) -> bool {
        let declared = &self.declared;
        let itself = if key.namespace().is_some() {
            is_complete(declared.namespaced.first_list(key))
        } else {
            declared.tells_of_the_cluster(declared.cluster.first_list(key))
        };
        itself && is_complete(declared.users.first_list(key)) && !declared.is_hidden(key)
    }

    /// Whether it is not because it can't be decoded.
    pub(super) fn is_hidden(&self, key: &ObjectKey) -> bool {
        self.declared.is_hidden(key)
    }

    /// Asks for a look at a connection once that is known.
    pub(super) fn look_when_known(&self, key: &ObjectKey) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        if awaited.insert(key.clone()) {
            let (declared, awaited) = (self.declared.clone(), Arc::clone(&self.awaited));
            let (key, look) = (key.clone(), self.look(key));
            tokio::spawn(async move {
                declared.become_known(&key).await;
                awaited.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
                look();
            });
        }
    }

    /// Whether the labels of this namespace are known, if there is one.
    pub(super) fn knows_labels_of(&self, namespace: &str) -> bool {
        let namespaces = &self.declared.namespaces;
        let list = namespaces.first_list(&ObjectKey::cluster_scoped(namespace));
        self.declared.tells_of_the_cluster(list)
    }
}

fn is_complete(list: FirstList) -> bool {
    list == FirstList::Complete
}
