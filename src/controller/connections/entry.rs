//! One connection as this process works with it: its clients, its permits, and what ACS said of its credentials.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acs_identity::limiter::Limiter;
use acs_identity::{Client, Error, FailureClass, Operation};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::access::Access;
use super::budget::Budget;
use super::source::{Place, kind_of};
use super::standing::{OpenTo, Standing};
use super::ways::Ways;
use crate::api::ConnectionSettings;
use crate::cluster::ObjectKey;
use crate::controller::permits::Permits;
use crate::decide::connection::{ConnectionMemory, Credential, Health, Unknown, Users, Warning};
use crate::decide::resource_of;
use crate::telemetry::metrics::ConnectionSample;

/// A refusal while the clocks differ by more than this says nothing of the credential: signatures carry the time.
const TOLERATED_SKEW: SignedDuration = SignedDuration::from_mins(2);

/// The users of a connection are counted at most this often.
const BETWEEN_COUNTS: Duration = Duration::from_secs(1);

/// See the module's page. It outlives its object as long as users need it, to delete what they have.
#[derive(Default)]
pub struct Entry(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// Whose it is, once that was asked: the uid of the object, which is empty for that of the environment.
    owner: Option<String>,
    /// What was loaded last.
    ways: Option<Ways>,
    credential: Option<Credential>,
    health: Health,
    memory: ConnectionMemory,
    budget: Option<(Budget, Arc<Permits>)>,
    /// What the last look at the connection came to.
    standing: Option<Standing>,
    /// Where its credential lay before its spec named another place.
    former_place: Option<Place>,
    place: Option<Place>,
    /// Who used it, and when that was counted.
    counted: Option<(Census, Instant)>,
    /// When it was first asked for, or its credentials were all replaced.
    since: Option<Timestamp>,
    /// Since when it has a user and is not held.
    unheld_since: Option<Timestamp>,
    /// Room for calls under way.
    in_flight: Option<Arc<Semaphore>>,
    /// What was warned of.
    warned: Vec<Warning>,
}

/// The users of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Census {
    /// How many there are.
    pub users: Users,
    /// How many renewals they will need in a second.
    pub renewals_per_second: f64,
}

impl Entry {
    /// The way to ACS with the credential in use; `None`: there is none, or all are refused.
    pub fn access(self: &Arc<Self>, most_calls: usize, look: Arc<dyn Fn() + Send + Sync>) -> Option<Access> {
        let mut inner = self.lock();
        let in_flight = inner
            .in_flight
            .get_or_insert_with(|| Arc::new(Semaphore::new(most_calls)));
        let in_flight = Arc::clone(in_flight);
        let ways = inner.ways.as_ref()?;
        let credential = inner.health.in_use(&ways.fingerprints())?.clone();
        let (_, permits) = inner.budget.as_ref()?;
        Some(Access {
            client: ways.client(&credential)?.clone(),
            permits: Arc::clone(permits),
            in_flight,
            entry: Arc::clone(self),
            look,
        })
    }

    /// The client with this credential, and the permits.
    pub fn client(&self, credential: &str) -> Option<(Client, Arc<Permits>)> {
        let inner = self.lock();
        let client = inner.ways.as_ref()?.client(credential)?.clone();
        Some((client, Arc::clone(&inner.budget.as_ref()?.1)))
    }

    /// Where its users' tokens go to, and whether creates carry custom ids.
    pub fn endpoint(&self) -> Option<(String, bool)> {
        let inner = self.lock();
        let ways = inner.ways.as_ref()?;
        Some((ways.endpoint.clone(), ways.custom_ids))
    }

    /// Whether this is the entry of the connection with this uid, none being that of the environment. The first to ask decides.
    pub fn is_of(&self, uid: Option<&str>) -> bool {
        let mut inner = self.lock();
        let uid = uid.unwrap_or_default();
        inner.owner.get_or_insert_with(|| uid.to_owned()) == uid
    }

    /// Takes what was loaded. What can't be loaded any more is used on as it was, and what is known of other credentials is
    /// forgotten.
    pub fn load(&self, loaded: Result<Ways, Credential>) {
        let mut inner = self.lock();
        inner.credential = Some(match loaded {
            Ok(ways) => {
                let credential = ways.as_credential(None);
                if inner.health.keep_only(&ways.fingerprints()) {
                    inner.since = None;
                }
                if inner
                    .ways
                    .as_ref()
                    .is_some_and(|before| before.endpoint != ways.endpoint)
                {
                    inner.memory.resource_id = None;
                }
                inner.ways = Some(ways);
                credential
            }
            Err(Credential::Missing(why)) => match &inner.ways {
                Some(ways) => ways.as_credential(Some(why)),
                None => Credential::Missing(why),
            },
            Err(other) => other,
        });
    }

    /// Follows the limits that are declared. Those that did not change keep their windows; the first begin with the first look, and so
    /// when this replica begins to lead, with nothing left of a window that its predecessor used. Whether there were others before: who
    /// waited for a turn under these has none any more.
    pub fn limit(&self, settings: &ConnectionSettings, now: Instant) -> bool {
        let budget = Budget::of(settings);
        let mut inner = self.lock();
        if inner.budget.as_ref().is_some_and(|(before, _)| *before == budget) {
            return false;
        }
        let permits = Permits::new(Limiter::new(&budget.limits, budget.share, now));
        inner.budget.replace((budget, Arc::new(permits))).is_some()
    }

    /// Follows the place of the credential; the place before, where it lay elsewhere.
    pub fn place(&self, place: Option<&Place>) -> Option<Place> {
        let mut inner = self.lock();
        if inner.place.as_ref() != place {
            let before = std::mem::replace(&mut inner.place, place.cloned());
            inner.former_place = before.or(inner.former_place.take());
        }
        inner.former_place.clone()
    }

    /// The Secret at this place is let go.
    pub fn left(&self, namespace: &str, name: &str) {
        let is_that = |place: &mut Place| place.namespace == namespace && place.name == name;
        self.lock().former_place.take_if(is_that);
    }

    /// What is known for decisions.
    pub fn known(&self) -> (Option<Credential>, Health, ConnectionMemory) {
        let inner = self.lock();
        (inner.credential.clone(), inner.health.clone(), inner.memory.clone())
    }

    /// Changes what is remembered.
    pub fn remember(&self, change: impl FnOnce(&mut ConnectionMemory)) {
        change(&mut self.lock().memory);
    }

    /// Notes what a look came to; whether its users have to be looked at for it.
    pub fn stands(&self, standing: Standing) -> bool {
        let mut inner = self.lock();
        let changed = inner.standing.as_ref().is_none_or(|before| {
            let told = |standing: &Standing| (standing.verdict.ready, standing.verdict.reason);
            told(before) != told(&standing)
                || before.resource_id != standing.resource_id
                || before.generation != standing.generation
                || before.open_to != standing.open_to
                || before.proven.is_some() != standing.proven.is_some()
                || before.good != standing.good
                || before.in_use != standing.in_use
        });
        let recovered = inner.health.take_recovered();
        if standing.open_to != OpenTo::NobodyYet {
            inner.unheld_since = None;
        }
        inner.standing = Some(standing);
        changed || recovered
    }

    /// Since when it waits to be held.
    pub fn unheld_since(&self, now: Timestamp) -> Timestamp {
        *self.lock().unheld_since.get_or_insert(now)
    }

    /// Whether it has users, as counted last.
    pub fn has_users(&self) -> bool {
        self.lock().counted.is_some_and(|(census, _)| census.users.all > 0)
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
        let inner = self.lock();
        let credentials = inner.ways.as_ref()?.fingerprints();
        inner.health.proven().map(|_| inner.health.good(&credentials))
    }

    /// What the last look came to.
    pub fn standing(&self) -> Option<Standing> {
        self.lock().standing.clone()
    }

    /// A count of its users that is younger than a second, or made now. Many users coming and going cost no more than that.
    /// Where it was not made now, when to count again.
    pub fn count(&self, count: impl FnOnce() -> Census, now: Instant) -> (Census, Option<Duration>) {
        let recent = self.lock().counted;
        let is_recent =
            |(census, at): &(Census, Instant)| census.users.all > 0 && now.duration_since(*at) < BETWEEN_COUNTS;
        if let Some((census, at)) = recent.filter(is_recent) {
            return (census, Some(BETWEEN_COUNTS.saturating_sub(now.duration_since(at))));
        }
        let census = count();
        self.lock().counted = Some((census, now));
        (census, None)
    }

    /// The connection as metrics see it; `None` before it was looked at.
    pub fn sample(&self, key: &ObjectKey) -> Option<ConnectionSample> {
        let inner = self.lock();
        let standing = inner.standing.as_ref()?;
        let census = inner.counted.map(|(census, _)| census).unwrap_or_default();
        let budget = inner
            .budget
            .as_ref()
            .map_or(0.0, |(_, permits)| permits.per_second(Operation::Issue));
        let is_unsupported = inner.health.why_unknown().is_some_and(|unknown| unknown.rejected);
        Some(ConnectionSample {
            kind: kind_of(key),
            namespace: key.namespace().unwrap_or_default().to_owned(),
            name: key.name().to_owned(),
            ready: standing.verdict.ready,
            api_version_supported: !is_unsupported,
            users: census.users.all,
            capacity_ratio: if budget > 0.0 {
                census.renewals_per_second / budget
            } else {
                0.0
            },
        })
    }

    /// The credential in use.
    pub fn in_use(&self) -> Option<String> {
        let inner = self.lock();
        let credentials = inner.ways.as_ref()?.fingerprints();
        inner.health.in_use(&credentials).cloned()
    }

    /// Something was answered as it is when ACS is away, or when it has another resource.
    pub fn suspect(&self, now: Timestamp) {
        self.lock().health.suspected(now);
    }

    /// A probe of a credential ended.
    pub fn probed(&self, credential: &str, answer: &Result<(), Error>, now: Timestamp) {
        let mut inner = self.lock();
        match answer {
            Ok(()) => inner.health.accepted(credential, now),
            Err(error) => match error.class() {
                FailureClass::CredentialRejected => {
                    let blamed = !is_skewed(error);
                    inner.health.refused(credential, &refusal_words(error), blamed, now);
                }
                class => inner.health.unknown(Unknown {
                    words: error.fault().to_string(),
                    throttled: matches!(class, FailureClass::Throttled { .. }),
                    rejected: class == FailureClass::Rejected,
                }),
            },
        }
        inner.health.probed(now);
    }

    /// A call of a user was answered. Whether that is news for who looks after the connection.
    pub fn answered(&self, credential: &str, error: Option<&Error>, now: Timestamp) -> bool {
        let mut inner = self.lock();
        let Some(error) = error else {
            return inner.health.served(credential, now);
        };
        match error.class() {
            FailureClass::CredentialRejected => {
                inner
                    .health
                    .refused(credential, &refusal_words(error), !is_skewed(error), now);
                true
            }
            FailureClass::NotSent | FailureClass::Transient { .. } | FailureClass::InDoubt => {
                inner.health.suspected(now);
                true
            }
            _ => false,
        }
    }

    /// An identity is one of this resource. Whether that is news.
    pub fn learned(&self, id: &str) -> bool {
        let mut inner = self.lock();
        let is_known = inner
            .standing
            .as_ref()
            .is_some_and(|standing| standing.resource_id.is_some());
        if is_known || inner.memory.resource_id.is_some() {
            return false;
        }
        inner.memory.resource_id = resource_of(id).map(str::to_owned);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_skewed(error: &Error) -> bool {
    error.clock_skew().is_some_and(|skew| skew.abs() > TOLERATED_SKEW)
}

fn refusal_words(error: &Error) -> String {
    match error.clock_skew().filter(|_| is_skewed(error)) {
        Some(skew) => format!(
            "{}; the operator's clock differs from that of ACS by {skew:#}",
            error.fault()
        ),
        None => error.fault().to_string(),
    }
}
