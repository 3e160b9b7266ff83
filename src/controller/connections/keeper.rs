//! Looks after one connection at a time: looks, decides, acts, until nothing is due.

mod act;
mod look;
mod users;

use std::sync::Arc;

use acs_identity::{Observer, Transport};
use jiff::SignedDuration;

use self::act::Done;
use super::Connections;
use super::credential::EndpointRule;
use super::entry::Entry;
use super::secrets::CredentialSecrets;
use super::source::Source;
use super::standing::Standing;
use crate::api::Verdict;
use crate::clock::Clock;
use crate::cluster::ObjectKey;
use crate::cluster::lease::Hold;
use crate::cluster::writes::{WriteError, Writes};
use crate::controller::memory::Memories;
use crate::controller::queue::{Lane, WorkQueue};
use crate::controller::reconcile::Ending;
use crate::controller::report::{Report, Subject};
use crate::controller::sources::UserCache;
use crate::decide::connection::{ConnectionDecision, ObservedConnection, WriteTrouble, decide_connection, warnings};
use crate::decide::{doubled, later};

/// No path of decisions is this long.
const MOST_STEPS: usize = 16;

/// Pauses after failed writes, doubling. Users may wait for what was to be written, for half a minute at most.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(20);

/// Makes clients.
pub struct ClientMaker {
    /// The connections to ACS.
    pub transport: Transport,
    /// Who counts calls.
    pub observer: Arc<dyn Observer>,
}

/// See the module's page.
pub struct Keeper {
    /// The connections.
    pub connections: Arc<Connections>,
    /// Who uses them.
    pub users: Arc<UserCache>,
    /// The users to be looked at.
    pub user_queue: Arc<WorkQueue<ObjectKey>>,
    /// What is remembered of them.
    pub memories: Arc<Memories>,
    /// Their credentials.
    pub secrets: Arc<CredentialSecrets>,
    /// Where a credential may be sent to.
    pub rule: EndpointRule,
    /// Makes clients of them.
    pub clients: ClientMaker,
    /// The API server.
    pub writes: Writes,
    /// Who is told.
    pub report: Arc<Report>,
    /// Whether this replica leads.
    pub hold: Hold,
    /// How often a good credential is proven again; `None`: never.
    pub probe_interval: Option<SignedDuration>,
    /// The clock.
    pub clock: Clock,
}

impl Keeper {
    /// Looks after one connection.
    pub async fn run(&self, key: &ObjectKey) -> Ending {
        if !self.connections.is_known(key) {
            self.connections.look_when_known(key);
            return Ending::Settled {
                wake_at: None,
                unmet: None,
            };
        }
        if self.connections.has_become_known(key) {
            self.wake_users(key);
        }
        for _ in 0..MOST_STEPS {
            if !self.hold.is_held() {
                return Ending::Deposed;
            }
            let Some(source) = self.connections.source(key) else {
                return self.gone(key).await;
            };
            let entry = self.connections.entry_of(&source);
            if self.connections.limit(&source, &entry) {
                self.wake_users(key);
            }
            let (o, recount) = self.look(&source, &entry);
            let standing = Standing::of(&o);
            let in_trouble = !standing.verdict.ready;
            self.tell(&source, &entry, &o, &standing.verdict);
            if entry.stands(standing) {
                self.wake_users(key);
            }
            let step = match decide_connection(&o, self.clock.now()) {
                ConnectionDecision::Do(step) => step,
                ConnectionDecision::Settled { wake_at } => {
                    let recount = recount.and_then(|wait| self.clock.now().checked_add(wait).ok());
                    let wake_at = wake_at.into_iter().chain(recount).min();
                    return Ending::Settled {
                        wake_at,
                        unmet: in_trouble.then_some(Lane::Routine),
                    };
                }
            };
            match self.perform(&source, &entry, &step).await {
                Done::Yes => entry.remember(|memory| memory.trouble = None),
                Done::NotBefore(turn) => return Ending::InLine { turn },
                Done::No(WriteError::NotLeading(_)) => return Ending::Deposed,
                Done::No(error) => drop(self.failed(key, &entry, &error)),
            }
        }
        Ending::Contended
    }

    /// Tells what no status tells: what a person should see to, and how a connection is that is not written to.
    fn tell(&self, source: &Source, entry: &Entry, o: &ObservedConnection, verdict: &Verdict) {
        let subject = self.subject(source);
        for warning in entry.new_warnings(warnings(o)) {
            self.report.connection_warning(&subject, &warning);
        }
        if !o.object.is_writable {
            let before = entry.standing().map(|standing| standing.verdict);
            self.report.connection(&subject, before.as_ref(), verdict);
        }
    }

    fn subject<'a>(&self, source: &'a Source) -> Subject<'a> {
        Subject {
            kind: source.kind(),
            key: &source.key,
            metadata: self.connections.is_writable(source).then_some(&source.metadata),
        }
    }

    /// The pause before it is tried again.
    fn failed(&self, key: &ObjectKey, entry: &Entry, error: &WriteError) -> SignedDuration {
        let now = self.clock.now();
        tracing::warn!(connection = %key, %error, "a connection could not be brought up to date, and is tried again");
        entry.remember(|memory| {
            let count = memory
                .trouble
                .as_ref()
                .map_or(0, |trouble| trouble.count)
                .saturating_add(1);
            let pause = doubled(FIRST_PAUSE, LONGEST_PAUSE, count);
            memory.trouble = Some(WriteTrouble { count, at: now, pause });
            pause
        })
    }

    /// Its users have to be told; who goes may still need what it led to.
    async fn gone(&self, key: &ObjectKey) -> Ending {
        self.secrets.dropped_by(key);
        let mut is_used = false;
        self.for_each_user(key, |_, _| is_used = true);
        if is_used {
            self.wake_users(key);
            return Ending::Gone;
        }
        // Someone may have taken the finalizer off the connection: nothing else lets go of its Secret then.
        if let Some(entry) = self.connections.find(key)
            && let Done::No(error) = self.release_left(key, &entry).await
        {
            if matches!(error, WriteError::NotLeading(_)) {
                return Ending::Deposed;
            }
            let pause = self.failed(key, &entry, &error);
            return Ending::Settled {
                wake_at: Some(later(self.clock.now(), pause)),
                unmet: Some(Lane::Routine),
            };
        }
        self.connections.forget(key);
        Ending::Gone
    }
}
