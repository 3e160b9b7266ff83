//! One connection as this process works with it: its clients, its permits, and what ACS said of its credentials.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acs_identity::limiter::Limiter;
use acs_identity::{Client, Error, Operation};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::access::Access;
use super::budget::Budget;
use super::census::{Census, LastCensus};
use super::clock_skew::ClockSkew;
use super::keyring::Keyring;
use super::source::{Place, Source, kind_of};
use super::standing::{OpenTo, Standing};
use super::ways::Ways;
use crate::api::ConnectionSettings;
use crate::cluster::ObjectKey;
use crate::controller::permits::Permits;
use crate::decide::connection::{ConnectionMemory, Credential, Health, Obstacle, Warning};
use crate::decide::resource_of;
use crate::telemetry::metrics::ConnectionSample;

/// See the module's page. It outlives its object as long as users need it, to delete what they have.
#[derive(Default)]
pub struct Entry(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// The connection as it was declared when it was last asked for: whoever asks again needs no copy.
    source: Option<Arc<Source>>,
    /// Its credentials.
    keyring: Keyring,
    /// Where they lie.
    places: Places,
    /// The uid of the Secret of which a request told that its namespace goes with it, before the watch of namespaces did, if there is
    /// one. Another Secret of its name is in another namespace of that name.
    goes_with_namespace: Option<String>,
    /// What the last look at the connection came to.
    standing: Option<Standing>,
    /// What was warned of.
    warned: Vec<Warning>,
    memory: ConnectionMemory,
    /// Who uses it.
    users: LastCensus,
    budget: Option<(Budget, Arc<Permits>)>,
    clock_skew: Arc<ClockSkew>,
    /// When it was first asked for, or its credentials were all replaced.
    since: Option<Timestamp>,
    /// Since when it, or its Secret, has a user and is not guarded.
    unguarded_since: Option<Timestamp>,
}

/// Where a credential lies, and where it lay before its spec named another place.
#[derive(Default)]
struct Places {
    now: Option<Place>,
    former: Option<Place>,
}

impl Places {
    fn follow(&mut self, place: Option<&Place>) {
        if self.now.as_ref() != place {
            let before = std::mem::replace(&mut self.now, place.cloned());
            // Other keys of the same Secret are no other place.
            let left = before.filter(|before| place.is_none_or(|place| place.secret() != before.secret()));
            self.former = left.or(self.former.take());
        }
    }
}

impl Entry {
    /// The connection as declared, if it has not changed since it was last asked for.
    pub fn source(&self, metadata: &ObjectMeta) -> Option<Arc<Source>> {
        let inner = self.lock();
        let source = inner.source.as_ref()?;
        let known = &source.metadata;
        let is_same = known.uid == metadata.uid && known.resource_version == metadata.resource_version;
        is_same.then(|| Arc::clone(source))
    }

    /// Takes the connection as declared. False: it is another connection than before, which this is not the entry of.
    pub fn declare(&self, source: &Arc<Source>) -> bool {
        let mut inner = self.lock();
        let is_same = inner
            .source
            .as_ref()
            .is_none_or(|before| before.metadata.uid == source.metadata.uid);
        if is_same {
            inner.source = Some(Arc::clone(source));
        }
        is_same
    }

    /// The way to ACS with the credential in use; `None`: there is none, or all are refused.
    pub fn access(self: &Arc<Self>, look: Arc<dyn Fn() + Send + Sync>) -> Option<Access> {
        let inner = self.lock();
        let credential = inner.keyring.in_use()?;
        let (_, permits) = inner.budget.as_ref()?;
        Some(Access {
            client: inner.keyring.client(&credential)?.clone(),
            permits: Arc::clone(permits),
            entry: Arc::clone(self),
            look,
        })
    }

    /// The client with this credential, and the permits.
    pub fn client(&self, credential: &str) -> Option<(Client, Arc<Permits>)> {
        let inner = self.lock();
        let client = inner.keyring.client(credential)?.clone();
        Some((client, Arc::clone(&inner.budget.as_ref()?.1)))
    }

    /// A user needs no permits now.
    pub fn leave_line(&self, user: &ObjectKey) {
        let permits = self.lock().budget.as_ref().map(|(_, permits)| Arc::clone(permits));
        if let Some(permits) = permits {
            permits.leave(user);
        }
    }

    /// How far the clock of its resource is ahead, for who observes its calls to note.
    pub fn clock_skew(&self) -> Arc<ClockSkew> {
        Arc::clone(&self.lock().clock_skew)
    }

    /// Where its users' tokens go to, and whether creates carry custom ids.
    pub fn endpoint(&self) -> Option<(String, bool)> {
        let inner = self.lock();
        let (endpoint, custom_ids) = inner.keyring.endpoint()?;
        Some((endpoint.to_owned(), custom_ids))
    }

    /// Takes what was loaded. What can't be loaded any more is used on as it was, what is known of other credentials is
    /// forgotten, and whatever was changed is tried at once.
    pub fn load(&self, loaded: Result<Ways, Credential>) {
        let mut inner = self.lock();
        let change = inner.keyring.load(loaded);
        if change.leads_elsewhere {
            (inner.memory.resource_id, inner.memory.former_resource) = (None, None);
            // Whether it may lead there hangs on who holds an identity at this very moment.
            inner.users.outdate();
        }
        if change.is_any {
            inner.memory.probing = None;
            if inner.keyring.health().proven().is_none() {
                inner.since = None;
            }
        }
    }

    /// Follows the limits that are declared; what ACS asked to wait for holds under the new ones too. Whether there were others
    /// before: what who waits for its turn was told holds no more. The first time, `permits` makes them: that is the first look of
    /// this replica as the leader, so nothing is left of a window that its predecessor used.
    pub fn limit(&self, settings: &ConnectionSettings, now: Instant, permits: impl FnOnce(Limiter) -> Permits) -> bool {
        let budget = Budget::of(settings);
        let mut inner = self.lock();
        let Some((before, permits)) = &mut inner.budget else {
            let permits = permits(Limiter::new(&budget.limits, budget.share, now));
            inner.budget = Some((budget, Arc::new(permits)));
            return false;
        };
        if *before == budget {
            return false;
        }
        permits.adjust(&budget.limits, budget.share, now);
        *before = budget;
        true
    }

    /// Follows the place of the credential; the place before, where it lay elsewhere.
    pub fn place(&self, place: Option<&Place>) -> Option<Place> {
        let mut inner = self.lock();
        inner.places.follow(place);
        inner.places.former.clone()
    }

    /// The Secret at this place is let go.
    pub fn left(&self, namespace: &str, name: &str) {
        let is_that = |place: &mut Place| place.namespace == namespace && place.name == name;
        self.lock().places.former.take_if(is_that);
    }

    /// The namespace of this Secret goes with it.
    pub fn note_goes_with_namespace(&self, uid: &str) {
        self.lock().goes_with_namespace = Some(uid.to_owned());
    }

    /// Whether that was noted.
    pub fn goes_with_namespace(&self, uid: &str) -> bool {
        self.lock().goes_with_namespace.as_deref() == Some(uid)
    }

    /// What is known for decisions.
    pub fn known(&self) -> (Option<Credential>, Health, ConnectionMemory) {
        let inner = self.lock();
        (
            inner.keyring.credential().cloned(),
            inner.keyring.health().clone(),
            inner.memory.clone(),
        )
    }

    /// Whether the probe that began at this instant is still the one under way.
    pub fn is_probing_since(&self, began: Timestamp) -> bool {
        self.lock().memory.probing == Some(began)
    }

    /// Changes what is remembered.
    pub fn remember<T>(&self, change: impl FnOnce(&mut ConnectionMemory) -> T) -> T {
        change(&mut self.lock().memory)
    }

    /// Notes what a look came to; whether its users have to be looked at for it.
    pub fn stands(&self, standing: Standing) -> bool {
        let mut inner = self.lock();
        let before = inner.standing.as_ref();
        let changed = before.is_none_or(|before| before.for_users() != standing.for_users());
        let recovered = inner.keyring.take_recovered();
        if !matches!(standing.open_to, OpenTo::NobodyYet | OpenTo::NobodyNewYet) {
            inner.unguarded_since = None;
        }
        inner.standing = Some(standing);
        changed || recovered
    }

    /// Since when it waits to be guarded.
    pub fn unguarded_since(&self, now: Timestamp) -> Timestamp {
        *self.lock().unguarded_since.get_or_insert(now)
    }

    /// Whether it has users, as counted last.
    pub fn has_users(&self) -> bool {
        self.lock().users.census().users.all > 0
    }

    /// Those of `warnings` that were not there before.
    pub fn new_warnings(&self, warnings: Vec<Warning>) -> Vec<Warning> {
        let mut inner = self.lock();
        let before = std::mem::replace(&mut inner.warned, warnings.clone());
        let is_new = |warning: &Warning| !before.iter().any(|known| known.reason == warning.reason);
        warnings.into_iter().filter(is_new).collect()
    }

    /// When it was first asked for, or its credentials were all replaced.
    pub fn since(&self, now: Timestamp) -> Timestamp {
        *self.lock().since.get_or_insert(now)
    }

    /// Fingerprints whose tokens are good, as known now; `None`: not known.
    pub fn good(&self) -> Option<Vec<String>> {
        self.lock().keyring.good()
    }

    /// The resource that was at the same endpoint before.
    pub fn former_resource(&self) -> Option<String> {
        self.lock().memory.former_resource.clone()
    }

    /// What the last look came to.
    pub fn standing(&self) -> Option<Standing> {
        self.lock().standing.clone()
    }

    /// A recent count of its users, or one that is made now. Where it was not made now, when to count again.
    pub fn count(&self, count: impl FnOnce() -> Census, now: Instant) -> (Census, Option<Duration>) {
        let recent = self.lock().users.recent(now);
        if let Some((census, good_for)) = recent {
            return (census, Some(good_for));
        }
        // It looks at every user, without holding up who asks for anything else.
        let census = count();
        self.lock().users.note(census, now);
        (census, None)
    }

    /// The connection as metrics see it; `None` before it was looked at.
    pub fn sample(&self, key: &ObjectKey) -> Option<ConnectionSample> {
        let inner = self.lock();
        let standing = inner.standing.as_ref()?;
        let census = inner.users.census();
        let permits = inner.budget.as_ref().map(|(_, permits)| permits);
        let budget = permits.map_or(0.0, |permits| permits.per_second(Operation::Issue));
        let unknown = inner.keyring.health().why_unknown();
        Some(ConnectionSample {
            kind: kind_of(key),
            namespace: key.namespace().unwrap_or_default().to_owned(),
            name: key.name().to_owned(),
            ready: standing.verdict.ready,
            api_version_supported: unknown.is_none_or(|unknown| unknown.obstacle != Obstacle::Rejected),
            users: census.users.all,
            capacity_ratio: if budget > 0.0 {
                census.renewals_per_second / budget
            } else {
                0.0
            },
            clock_skew: inner.clock_skew.last(),
        })
    }

    /// The credential in use.
    pub fn in_use(&self) -> Option<String> {
        self.lock().keyring.in_use()
    }

    /// What an answer to a call means hangs on a proof that is made from now on.
    pub fn await_proof(&self, now: Timestamp) {
        self.lock().keyring.await_proof(now);
    }

    /// A probe of a credential ended that began at this instant. One that something was changed under tells nothing.
    pub fn probed(&self, began: Timestamp, credential: &str, answer: &Result<(), Error>, now: Timestamp) {
        let mut inner = self.lock();
        if inner.memory.probing == Some(began) {
            inner.keyring.probed(credential, answer, now);
        }
    }

    /// A call of a user was answered. Whether that is news for who looks after the connection.
    pub fn answered(&self, credential: &str, error: Option<&Error>, now: Timestamp) -> bool {
        self.lock().keyring.answered(credential, error, now)
    }

    /// An identity is one of this resource. Whether that is news. Where another resource was there before, it was deleted and
    /// made anew.
    pub fn learned(&self, id: &str) -> bool {
        let Some(resource) = resource_of(id) else { return false };
        let mut inner = self.lock();
        let recorded = || {
            inner
                .standing
                .as_ref()
                .and_then(|standing| standing.resource_id.clone())
        };
        let known = inner.memory.resource_id.clone().or_else(recorded);
        if known.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(resource)) {
            return false;
        }
        // An earlier one is not forgotten for that: its users may be there still.
        let former = known.filter(|_| inner.memory.former_resource.is_none());
        inner.memory.former_resource = former.or(inner.memory.former_resource.take());
        inner.memory.resource_id = Some(resource.to_owned());
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
