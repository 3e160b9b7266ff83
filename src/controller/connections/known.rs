//! Whether what is declared is known: a list that can't be had tells nothing of what it would have held.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::sleep;

use super::{Connections, Declared};
use crate::cluster::cache::FirstList;
use crate::cluster::{ObjectKey, retry_delays};

/// Connections of which somebody wants to know whether there are any.
#[derive(Default)]
pub(super) struct Questions(Mutex<BTreeMap<ObjectKey, Question>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    Open,
    Answered,
}

impl Questions {
    /// Whether nobody has asked yet.
    fn ask(&self, key: &ObjectKey) -> bool {
        self.lock().insert(key.clone(), Question::Open) != Some(Question::Open)
    }

    fn answer(&self, key: &ObjectKey) {
        self.lock().insert(key.clone(), Question::Answered);
    }

    fn take_answer(&self, key: &ObjectKey) -> bool {
        let mut questions = self.lock();
        let is_answered = questions.get(key) == Some(&Question::Answered);
        if is_answered {
            questions.remove(key);
        }
        is_answered
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Question>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
        if self.questions.ask(key) {
            let (declared, questions) = (self.declared.clone(), Arc::clone(&self.questions));
            let (key, look) = (key.clone(), self.look(key));
            tokio::spawn(async move {
                declared.become_known(&key).await;
                questions.answer(&key);
                look();
            });
        }
    }

    /// Whether that has become known since it was asked last. The connection may stand as it did, but its users do not know that.
    pub(super) fn has_become_known(&self, key: &ObjectKey) -> bool {
        self.questions.take_answer(key)
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
