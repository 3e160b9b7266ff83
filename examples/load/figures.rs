//! What is measured while it runs.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use acs_emulator::{Control, TokenState};
use acs_operator::{
    api::{
        CommunicationUser,
        names::{self, secret_annotation},
    },
    clock::Clock,
};
use acs_operator_testbed::ready;
use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{ListParams, PartialObjectMeta},
};
use tokio::{
    task::JoinHandle,
    time::{Instant, interval},
};

use crate::process::resident_kib;

/// How often.
const EVERY: Duration = Duration::from_secs(2);

/// So long after ACS is back a token may still be expired: everything was due at a time.
const RECOVERS_WITHIN: Duration = Duration::from_secs(30);

/// So long after a user is not suspended any more its token may still be expired.
const RESUMES_WITHIN: Duration = Duration::from_secs(10);

/// Shared with who drives the run.
#[derive(Clone, Default)]
pub struct Figures {
    /// The process of the operator; 0: there is none.
    pub process: Arc<AtomicU32>,
    /// Whether ACS can be reached.
    pub acs_is_up: Arc<AtomicBool>,
    expired: Arc<AtomicU64>,
    falsely_ready: Arc<AtomicU64>,
    /// Of each process, in KiB.
    memory: Arc<Mutex<Vec<(u32, u32)>>>,
}

impl Figures {
    /// Begins to measure; ends with the handle's task.
    pub fn measure(&self, users: Api<CommunicationUser>, secrets: Api<Secret>, acs: Control) -> JoinHandle<()> {
        let figures = self.clone();
        tokio::spawn(async move {
            let (mut ticks, mut up_since, mut left_alone) = (interval(EVERY), Instant::now(), HashMap::new());
            loop {
                ticks.tick().await;
                if !figures.acs_is_up.load(Ordering::Relaxed) {
                    up_since = Instant::now();
                }
                let late = expired(&users, &secrets, &mut left_alone).await;
                if let (true, Ok(late)) = (up_since.elapsed() > RECOVERS_WITHIN, late) {
                    figures.expired.fetch_add(late * EVERY.as_secs(), Ordering::Relaxed);
                }
                if let Ok(liars) = falsely_ready(&users, &secrets, &acs).await {
                    figures.falsely_ready.fetch_add(liars, Ordering::Relaxed);
                }
                let process = figures.process.load(Ordering::Relaxed);
                if let Ok(memory) = resident_kib(process) {
                    figures.memory().push((process, memory));
                }
            }
        })
    }

    fn memory(&self) -> MutexGuard<'_, Vec<(u32, u32)>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how many seconds Secrets held an expired token while ACS could be reached, all added up.
    pub fn expired_seconds(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    /// The operator's memory in MiB: after the first, the second, the third and the last quarter.
    pub fn memory_mib(&self) -> [u32; 4] {
        let samples = self.memory();
        [1, 2, 3, 4].map(|quarter| {
            let index = (samples.len() * quarter / 4).saturating_sub(1);
            samples.get(index).map_or(0, |(_, kib)| kib / 1024)
        })
    }

    /// The memory of the process that ran last, when it had served for a while and at the end.
    pub fn of_last_process_mib(&self) -> (u32, u32) {
        let samples = self.memory();
        let last = samples.last().map(|(process, _)| *process);
        let own = samples.iter().filter(|(process, _)| Some(*process) == last);
        let own: Vec<_> = own.map(|(_, kib)| kib / 1024).collect();
        let early = own.get(own.len() / 4).copied().unwrap_or(0);
        (early, own.last().copied().unwrap_or(0))
    }

    /// How often a user was told to be Ready whose Secret held a revoked token.
    pub fn falsely_ready(&self) -> u64 {
        self.falsely_ready.load(Ordering::Relaxed)
    }
}

/// How many Secrets hold an expired token. Those of users that were suspended a moment ago, which `left_alone` notes, may.
async fn expired(
    users: &Api<CommunicationUser>,
    secrets: &Api<Secret>,
    left_alone: &mut HashMap<String, Instant>,
) -> Result<u64> {
    for user in users.list(&ListParams::default()).await? {
        if user.spec.suspend {
            left_alone.insert(user.metadata.name.unwrap_or_default(), Instant::now());
        }
    }
    left_alone.retain(|_, since| since.elapsed() < RESUMES_WITHIN);
    let ours = ListParams::default().labels(&format!("{}={}", names::MANAGED_BY_LABEL, names::MANAGED_BY_VALUE));
    let secrets = secrets.list_metadata(&ours).await?;
    let now = Clock::system().now();
    let is_late = |secret: &&PartialObjectMeta<Secret>| {
        let annotations = secret.metadata.annotations.as_ref();
        let expiry = annotations.and_then(|annotations| annotations.get(secret_annotation::EXPIRATION_TIME));
        let expiry = expiry.and_then(|expiry| expiry.parse::<Timestamp>().ok());
        let user = secret.metadata.name.as_deref().unwrap_or_default();
        expiry.is_some_and(|expiry| expiry <= now) && !left_alone.contains_key(user)
    };
    Ok(u64::try_from(secrets.iter().filter(is_late).count())?)
}

/// How many users are told to be Ready whose Secret held a revoked token before that and does after it.
async fn falsely_ready(users: &Api<CommunicationUser>, secrets: &Api<Secret>, acs: &Control) -> Result<u64> {
    let ours = ListParams::default().labels(&format!("{}={}", names::MANAGED_BY_LABEL, names::MANAGED_BY_VALUE));
    let mut liars = 0;
    for secret in secrets.list(&ours).await? {
        let name = secret.metadata.name.clone().unwrap_or_default();
        let Some(token) = token(&secret).filter(|token| is_revoked(acs.token_state(token))) else {
            continue;
        };
        let user = users.get_opt(&name).await?;
        let is_ready = user.is_some_and(|user| ready(&user).is_some_and(|(is, _)| is == "True"));
        let now = secrets.get_opt(&name).await?;
        liars += u64::from(is_ready && now.and_then(|now| self::token(&now)) == Some(token));
    }
    Ok(liars)
}

fn token(secret: &Secret) -> Option<String> {
    let value = secret.data.as_ref()?.get("token")?;
    String::from_utf8(value.0.clone()).ok()
}

fn is_revoked(state: TokenState) -> bool {
    matches!(state, TokenState::Revoked | TokenState::RevokedInSameSecond)
}
