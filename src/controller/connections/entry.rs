//! One connection as this process works with it: its clients, its permits, and what ACS said of its credentials.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acs_identity::limiter::{BudgetShare, Limiter, RateLimits};
use acs_identity::{Client, Error, FailureClass, Operation};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::source::{Place, kind_of};
use crate::api::{ConnectionSettings, Verdict};
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

/// Clients of one resource, each with another credential, in the order in which they are tried.
#[derive(Clone)]
pub struct Ways {
    /// The URL, as told.
    pub endpoint: String,
    /// Whether creates carry a custom id.
    pub custom_ids: bool,
    /// One for each credential.
    pub all: Vec<Way>,
}

/// A client with one credential.
#[derive(Clone)]
pub struct Way {
    /// The fingerprint of its credential.
    pub fingerprint: String,
    /// The key of the Secret that it lies under.
    pub key: Option<String>,
    /// The client.
    pub client: Client,
}

/// What a look at a connection came to, as far as its users go by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// What its conditions say.
    pub verdict: Verdict,
    /// For whom it is there.
    pub open_to: OpenTo,
    /// The GUID of its resource.
    pub resource_id: Option<String>,
    /// The generation of the spec that was looked at.
    pub generation: i64,
    /// Fingerprints whose tokens are good; `None`: not known now.
    pub good: Option<Vec<String>>,
    /// The credential in use.
    pub in_use: Option<String>,
    /// When its credential was last proven.
    pub proven: Option<Timestamp>,
}

/// For whom a connection is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenTo {
    /// For everyone that it serves.
    All,
    /// For nobody yet: it is not held, so it could go while users need it.
    NobodyYet,
    /// For those who are there: it is being deleted.
    UsersOfOld,
    /// For deletions only: it is suspended.
    Deletions,
    /// For nobody: its credential leads to another resource than its users' identities are of.
    Nobody,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Budget {
    limits: RateLimits,
    share: BudgetShare,
}

/// The way to one ACS resource, with one credential.
pub struct Access {
    /// The client, with its credential.
    pub client: Client,
    /// Keeps its calls inside the rate limits.
    pub permits: Arc<Permits>,
    /// Keeps its calls from taking all workers.
    pub in_flight: Arc<Semaphore>,
    entry: Arc<Entry>,
    /// Wakes whoever looks after the connection.
    look: Arc<dyn Fn() + Send + Sync>,
}

impl Access {
    /// What ACS answered to a call tells of the connection too.
    pub fn answered<T>(&self, answer: &Result<T, Error>, now: Timestamp) {
        let error = answer.as_ref().err();
        if self.entry.answered(self.credential(), error, now) {
            (self.look)();
        }
    }

    /// An identity that ACS has made, or has issued a token for, tells which resource this is.
    pub fn learned(&self, id: &str) {
        if self.entry.learned(id) {
            (self.look)();
        }
    }

    /// An attempt was counted as a suspected orphan.
    pub fn suspected_orphan(&self) {
        self.entry.lock().memory.suspected_orphans += 1;
        (self.look)();
    }

    /// ACS says of an identity that it is not one of this resource: whether the credential is good tells what that means.
    pub fn doubted(&self, now: Timestamp) {
        self.entry.lock().health.suspected(now);
        (self.look)();
    }

    /// Whether another credential is used by now: what was refused with this one may be accepted.
    pub fn is_superseded(&self) -> bool {
        let inner = self.entry.lock();
        let ways = inner.ways.as_ref().map(Ways::fingerprints).unwrap_or_default();
        inner
            .health
            .in_use(&ways)
            .is_some_and(|credential| credential != self.credential())
    }

    fn credential(&self) -> &str {
        self.client.credential().fingerprint().as_str()
    }
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

    /// Follows the limits that are declared. Those that did not change keep their windows. Whether there were others before: who
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

    /// Whether its credential was ever looked for and, if there is one, shown to ACS.
    pub fn is_known(&self) -> bool {
        let inner = self.lock();
        let has_answer = !matches!(inner.credential, None | Some(Credential::Loaded { .. })) || inner.health.is_known();
        inner.standing.is_some() && has_answer
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
                    words: error.to_string(),
                    throttled: matches!(class, FailureClass::Throttled { .. }),
                    rejected: class == FailureClass::Rejected,
                }),
            },
        }
        inner.health.probed(now);
    }

    /// Whether that is news for who looks after the connection.
    fn answered(&self, credential: &str, error: Option<&Error>, now: Timestamp) -> bool {
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

    fn learned(&self, id: &str) -> bool {
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

impl Ways {
    /// The fingerprints, in order.
    pub fn fingerprints(&self) -> Vec<String> {
        self.all.iter().map(|way| way.fingerprint.clone()).collect()
    }

    fn client(&self, credential: &str) -> Option<&Client> {
        let mut ways = self.all.iter();
        ways.find(|way| way.fingerprint == credential).map(|way| &way.client)
    }

    fn as_credential(&self, outlived: Option<String>) -> Credential {
        Credential::Loaded {
            endpoint: self.endpoint.clone(),
            fingerprints: self.fingerprints(),
            keys: self.all.iter().filter_map(|way| way.key.clone()).collect(),
            outlived,
        }
    }
}

impl Budget {
    fn of(settings: &ConnectionSettings) -> Self {
        let documented = RateLimits::default();
        let declared = settings.rate_limits.clone().unwrap_or_default();
        let or = |declared: Option<i32>, documented: NonZeroU32| {
            let declared = declared.and_then(|limit| u32::try_from(limit).ok());
            declared.and_then(NonZeroU32::new).unwrap_or(documented)
        };
        let percent = u8::try_from(settings.request_budget_percent).ok();
        Self {
            limits: RateLimits {
                create: or(declared.create, documented.create),
                issue: or(declared.issue, documented.issue),
                revoke: or(declared.revoke, documented.revoke),
                delete: or(declared.delete, documented.delete),
            },
            // What no schema let through is the least: too slow is better than too much.
            share: percent
                .and_then(BudgetShare::percent)
                .or_else(|| BudgetShare::percent(1))
                .unwrap_or(BudgetShare::ALL),
        }
    }
}

fn is_skewed(error: &Error) -> bool {
    error.clock_skew().is_some_and(|skew| skew.abs() > TOLERATED_SKEW)
}

fn refusal_words(error: &Error) -> String {
    match error.clock_skew().filter(|_| is_skewed(error)) {
        Some(skew) => format!("{error}; the operator's clock differs from that of ACS by {skew:#}"),
        None => error.to_string(),
    }
}
