//! One connection as this process works with it: its clients, its permits, and what ACS said of its credentials.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use acs_identity::limiter::{BudgetShare, Limiter, RateLimits};
use acs_identity::{Client, Error, FailureClass};
use jiff::{SignedDuration, Timestamp};

use super::source::Place;
use crate::api::{ConnectionSettings, Verdict};
use crate::controller::permits::Permits;
use crate::decide::connection::{ConnectionMemory, Credential, Health, Unknown};
use crate::decide::resource_of;

/// A refusal while the clocks differ by more than this says nothing of the credential: signatures carry the time.
const TOLERATED_SKEW: SignedDuration = SignedDuration::from_mins(2);

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
    /// How many users there were, how many of them waiting for another token, and when that was counted.
    counted: Option<((i32, i32), Instant)>,
    /// When it was first asked for.
    since: Option<Timestamp>,
}

/// Clients of one resource, each with another credential, in the order in which they are tried.
#[derive(Clone)]
pub struct Ways {
    /// The URL, as told.
    pub endpoint: String,
    /// Whether creates carry a custom id.
    pub custom_ids: bool,
    /// By fingerprint.
    pub clients: Vec<(String, Client)>,
}

/// What a look at a connection came to, as far as its users go by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// What its conditions say.
    pub verdict: Verdict,
    /// The GUID of its resource.
    pub resource_id: Option<String>,
    /// Whether its credential leads to another resource than its users' identities are of.
    pub has_moved: bool,
    /// Whether nothing but deletions is to be done through it.
    pub is_suspended: bool,
    /// Whether it is being deleted.
    pub is_leaving: bool,
    /// Whether it is held, so that it does not go while users need it.
    pub is_held: bool,
    /// Fingerprints whose tokens are good; `None`: not known now.
    pub good: Option<Vec<String>>,
    /// The credential in use.
    pub in_use: Option<String>,
    /// When its credential was last proven.
    pub proven: Option<Timestamp>,
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

    fn credential(&self) -> &str {
        self.client.credential().fingerprint().as_str()
    }
}

impl Entry {
    /// The way to ACS with the credential in use; `None`: there is none, or all are refused.
    pub fn access(self: &Arc<Self>, look: Arc<dyn Fn() + Send + Sync>) -> Option<Access> {
        let inner = self.lock();
        let ways = inner.ways.as_ref()?;
        let credential = inner.health.in_use(&ways.fingerprints())?.clone();
        let (_, permits) = inner.budget.as_ref()?;
        Some(Access {
            client: ways.client(&credential)?.clone(),
            permits: Arc::clone(permits),
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
                inner.health.keep_only(&ways.fingerprints());
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

    /// Follows the limits that are declared. Those that did not change keep their windows.
    pub fn limit(&self, settings: &ConnectionSettings, now: Instant) {
        let budget = Budget::of(settings);
        let mut inner = self.lock();
        if inner.budget.as_ref().is_some_and(|(before, _)| *before == budget) {
            return;
        }
        let permits = Permits::new(Limiter::new(&budget.limits, budget.share, now));
        inner.budget = Some((budget, Arc::new(permits)));
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
                || before.is_held != standing.is_held
                || before.is_leaving != standing.is_leaving
                || before.proven.is_some() != standing.proven.is_some()
                || before.good != standing.good
                || before.in_use != standing.in_use
        });
        let recovered = inner.health.take_recovered();
        inner.standing = Some(standing);
        changed || recovered
    }

    /// When it was first asked for.
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
    pub fn count(&self, count: impl FnOnce() -> (i32, i32), now: Instant) -> (i32, i32) {
        let recent = self.lock().counted;
        let is_recent = |((users, _), at): &((i32, i32), Instant)| *users > 0 && now.duration_since(*at).as_secs() < 1;
        if let Some((counted, _)) = recent.filter(is_recent) {
            return counted;
        }
        let counted = count();
        self.lock().counted = Some((counted, now));
        counted
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
        self.clients
            .iter()
            .map(|(fingerprint, _)| fingerprint.clone())
            .collect()
    }

    fn client(&self, credential: &str) -> Option<&Client> {
        let mut clients = self.clients.iter();
        clients.find_map(|(fingerprint, client)| (fingerprint == credential).then_some(client))
    }

    fn as_credential(&self, outlived: Option<String>) -> Credential {
        Credential::Loaded {
            endpoint: self.endpoint.clone(),
            fingerprints: self.fingerprints(),
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
