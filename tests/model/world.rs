//! The whole small world: an API server, ACS, and one or two processes of the operator.

mod people;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};

use acs_operator::api::{DeletionPolicy, Origin, Scope, SecretKeys};
use acs_operator::decide::{FailureKind, SecretWish, TokenWish, User, Wish};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::api_server::{ApiServer, StoredSecret};
use super::bugs::Bug;
use super::replica::{Due, Replica};
use super::service::Service;
use super::terms::Terms;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mishap {
    /// Nothing: it is carried out, and answered.
    None,
    /// It does not arrive.
    NotDone,
    /// It is carried out, and the answer is lost.
    AnswerLost,
    /// The API server refuses it: quota, admission.
    Refused,
    /// It is carried out, and the process is killed before the answer.
    Killed,
}

/// How many requests were sent, whatever became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// To ACS.
    pub calls: u32,
    /// To the API server, for a change.
    pub writes: u32,
    /// To the API server, for a look.
    pub reads: u32,
}

/// A rule that was broken by a single request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Breach {
    /// A Secret that isn't ours was changed or deleted.
    ForeignSecret,
    /// A token took the place of a newer one.
    OlderToken,
    /// A token went into the Secret that is not one of the recorded identity.
    TokenOfAnotherIdentity,
    /// An attempt was counted twice as a suspected orphan.
    CountedTwice,
    /// A status write changed nothing.
    FruitlessWrite,
    /// A run did not come to an end.
    EndlessRun,
    /// An identity was deleted in ACS that nobody wanted to be deleted.
    DeletedUnasked,
    /// Something was done about an object that was to be left alone, as its run knew.
    Meddled,
    /// ACS was called through a connection that can't be used, or is one of another resource.
    ForbiddenCall,
    /// An object was let go while its process still saw a Secret of it.
    SecretLeftBehind,
}

/// The state of everything.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// The API server.
    pub api: ApiServer,
    /// ACS.
    pub service: Service,
    /// The processes: the first leads until the second takes over.
    pub replicas: Vec<Replica>,
    /// The time.
    pub now: Timestamp,
    /// The attempts counted as suspected orphans, and the uid of the object of each.
    pub counted: BTreeMap<Uuid, String>,
    /// Identities that stay in ACS because someone wanted it so.
    pub kept: BTreeSet<String>,
    /// Rules that were broken on the way.
    pub breaches: BTreeSet<Breach>,
    /// A fault of the operator, put in on purpose.
    pub bug: Option<Bug>,
    /// Requests since this was set to zero.
    pub traffic: Traffic,
    /// The identity that another object holds as well, with the better claim.
    pub rival: Option<String>,
    /// The connection.
    pub terms: Terms,
    /// Identities that went without the operator, or by the word of another object than the one that records them now.
    pub lost: BTreeSet<String>,
    /// Identities that somebody wanted to be deleted, for a moment at least.
    pub condemned: BTreeSet<String>,
    /// How many requests were made: each is another one.
    pub asked: u8,
    /// The revocation request that was taken back last.
    pub withdrawn: Option<String>,
    /// The spec as it was before it became invalid.
    pub set_aside: Option<Wish>,
    uids: u32,
    stripped: bool,
}

impl World {
    /// An object that nobody has looked at yet, and as many processes.
    pub fn new(wish: Wish, processes: usize, bug: Option<Bug>) -> Self {
        let mut world = Self {
            api: ApiServer::default(),
            service: Service::default(),
            replicas: Vec::new(),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            counted: BTreeMap::new(),
            kept: BTreeSet::new(),
            breaches: BTreeSet::new(),
            bug,
            traffic: Traffic::default(),
            rival: None,
            terms: Terms::default(),
            lost: BTreeSet::new(),
            condemned: BTreeSet::new(),
            asked: 0,
            withdrawn: None,
            set_aside: None,
            uids: 0,
            stripped: false,
        };
        "key".clone_into(&mut world.service.key);
        world.create_object(wish);
        let user = world.api.user.clone();
        world.replicas = (0..processes)
            .map(|number| Replica::started(number == 0, user.clone(), BTreeMap::new(), 0))
            .collect();
        world
    }

    /// Notes which identity somebody wants to be deleted now.
    pub fn note_condemned(&mut self) {
        let Some(user) = &self.api.user else { return };
        let Some(id) = user.identity_id() else { return };
        let replaceable = |wish: &Wish| !wish.suspend && wish.pinned_id.is_none();
        let replaced = user.requests.replace.as_deref() == Some(id) && user.wish.as_ref().is_ok_and(replaceable);
        if (user.deleting || replaced) && !self.is_to_be_kept(user, id) {
            self.condemned.insert(id.to_owned());
        }
    }

    /// Whether an identity is to outlive its object or its replacement, as the manual says.
    fn is_to_be_kept(&self, user: &User, id: &str) -> bool {
        let identity = user.status.identity.as_ref();
        let wish = user.wish.as_ref().ok().or(self.set_aside.as_ref());
        let policy = wish.and_then(|wish| wish.deletion_policy.clone());
        let is_copy = identity.is_some_and(|identity| identity.owner_uid.as_ref() != Some(&user.uid));
        let origin = identity.and_then(|identity| identity.origin.as_ref());
        let restored = origin == Some(&Origin::Restored);
        let by_default = policy.is_none() && (is_copy || restored || origin == Some(&Origin::Adopted));
        let abandoned = user.requests.abandon.as_deref() == Some(id);
        abandoned || policy == Some(DeletionPolicy::Retain) || by_default || self.rival.as_deref() == Some(id)
    }

    /// Deletes an identity in ACS for the operator.
    pub fn delete_identity(&mut self, id: &str) -> Result<(), FailureKind> {
        self.service.delete(id)?;
        let recorded = identity_id(self.api.user.as_ref()) == Some(id);
        if recorded && !self.condemned.contains(id) && !self.lost.contains(id) {
            self.breaches.insert(Breach::DeletedUnasked);
        }
        Ok(())
    }

    /// A change of the object by the operator. An id that leaves status without its identity being deleted stays in sight
    /// only where someone wanted to keep it.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut ApiServer) -> T) -> T {
        let before = self.api.user.clone();
        let answer = change(&mut self.api);
        let Some(before) = before else { return answer };
        let recorded = identity_id(Some(&before));
        if let Some(id) = recorded.filter(|_| identity_id(self.api.user.as_ref()) != recorded)
            && self.is_to_be_kept(&before, id)
        {
            self.kept.insert(id.to_owned());
        }
        self.note_condemned();
        answer
    }

    /// What is lost because someone took the finalizers off is not the operator's fault.
    pub fn forgive(&mut self) {
        if self.stripped && self.api.user.is_none() {
            self.kept.extend(self.service.identities.keys().cloned());
        }
    }

    /// Counts an attempt for the object with this uid.
    pub fn count(&mut self, uid: &str, suspected: Option<Uuid>) {
        if let Some(attempt) = suspected
            && self.counted.insert(attempt, uid.to_owned()).is_some()
        {
            self.breaches.insert(Breach::CountedTwice);
        }
    }

    /// The controller looks again at an object that something may have touched which is no change of it.
    pub fn wake_all(&mut self) {
        self.replicas.iter_mut().for_each(|replica| replica.due = Due::Now);
    }

    /// The watch shows the object.
    pub fn show_object(&mut self, number: usize) {
        let replica = &mut self.replicas[number];
        if replica.user == self.api.user {
            return;
        }
        let uid = self.api.user.as_ref().map(|user| &user.uid);
        if let Some(old) = replica.user.as_ref().filter(|old| Some(&old.uid) != uid) {
            replica.memories.remove(&old.uid);
        }
        replica.user.clone_from(&self.api.user);
        replica.due = Due::Now;
    }

    /// The watch shows the Secrets.
    pub fn show_secrets(&mut self, number: usize) {
        let secrets = self.labelled_secrets();
        let replica = &mut self.replicas[number];
        if replica.secrets_shown != self.api.secret_versions {
            replica.secrets_shown = self.api.secret_versions;
            replica.secrets = secrets;
            replica.due = Due::Now;
        }
    }

    /// What the watch of Secrets shows.
    pub fn labelled_secrets(&self) -> BTreeMap<String, StoredSecret> {
        let labelled = self.api.secrets.iter().filter(|(_, secret)| secret.labelled);
        labelled.map(|(name, secret)| (name.clone(), secret.clone())).collect()
    }

    /// The process that holds the lease.
    pub fn leader(&self) -> usize {
        self.replicas.iter().position(|replica| replica.leads).unwrap()
    }
}

/// The identity that a spec names.
pub fn pinned_id(user: &User) -> Option<&str> {
    user.wish.as_ref().ok()?.pinned_id.as_deref()
}

/// The recorded identity of an object.
pub fn identity_id(user: Option<&User>) -> Option<&str> {
    user?.identity_id()
}

/// A token of a day for chat and calls, in a Secret named as the object.
pub fn wish() -> Wish {
    Wish {
        token: Some(TokenWish {
            scopes: vec![Scope::Chat, Scope::Voip],
            lifetime: SignedDuration::from_hours(24),
            renew_before: None,
        }),
        secret: SecretWish {
            name: "alice".to_owned(),
            keys: SecretKeys::default(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        },
        pinned_id: None,
        deletion_policy: None,
        suspend: false,
    }
}
