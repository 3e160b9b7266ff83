//! Many users whose tokens live for a minute, in all weathers.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::Ordering,
    time::Duration,
};

use acs_emulator::{Limits, Operation, TokenState};
use acs_operator_testbed::{World, identity};
use anyhow::Result;
use kube::api::ListParams;

use crate::{
    chaos::{self, Done},
    dice::Dice,
    figures::Figures,
    population, say,
};

const TOKENS_LIVE: Duration = Duration::from_mins(1);

/// How long all may take to be served, at the beginning and after the last fault.
const SERVED_WITHIN: Duration = Duration::from_mins(10);

/// So much more memory at the end than when the last process had served for a while is more than noise.
const GROWTH_PERCENT: u32 = 10;

/// Runs it; what is not as it has to be.
pub async fn run(users: usize, time: Duration, seed: u64) -> Result<Vec<String>> {
    say(&format!(
        "==> {users} users whose tokens live for {} s, edited, with faults and restarts, for {} s (SOAK_SEED={seed})",
        TOKENS_LIVE.as_secs(),
        time.as_secs()
    ));
    let logs = tempfile::tempdir()?;
    let mut world = population::world(logs.path(), |settings| {
        settings.emulator.token_ttl = Some(TOKENS_LIVE);
        settings.emulator.limits = Limits::none();
    })
    .await?;
    population::connect_without_limits(&world).await?;
    population::create(&world, users).await?;
    population::until_all_are_served(&world, SERVED_WITHIN).await?;
    say("    all are served");

    let figures = Figures::default();
    figures.process.store(world.operator.id(), Ordering::Relaxed);
    figures.acs_is_up.store(true, Ordering::Relaxed);
    let (before, calls_before) = (world.traffic.passed().len(), world.resource.last_call());
    let measuring = figures.measure(world.users(), world.secrets(), world.resource.clone());
    let done = chaos::rage(&mut world, users, &figures, &mut Dice::new(seed), time).await?;
    measuring.abort();
    let calls = world.resource.last_call() - calls_before;
    let writes = world.traffic.passed().len().saturating_sub(before);

    chaos::make_good(&world, users).await?;
    let mut broken = Vec::new();
    if let Err(error) = population::until_all_are_served(&world, SERVED_WITHIN).await {
        broken.push(format!("{error:#}"));
    }
    let orphans = Orphans::count(&world).await?;
    broken.extend(wrong_tokens(&world).await?);
    report(&figures, &done, calls, writes, &orphans);
    if figures.expired_seconds() > 0 {
        broken.push("tokens expired while ACS could be reached".to_owned());
    }
    if figures.falsely_ready() > 0 {
        broken.push("users were told to be Ready whose token was revoked".to_owned());
    }
    if !orphans.uncounted.is_empty() {
        let all = orphans.uncounted.join(", ");
        broken.push(format!("identities are left in ACS that nobody counted: {all}"));
    }
    let (early, late) = figures.of_last_process_mib();
    if late > early + early * GROWTH_PERCENT / 100 + 4 {
        broken.push(format!("memory of the last process grew from {early} to {late} MiB"));
    }
    Ok(broken)
}

/// Identities that no object names.
struct Orphans {
    found: usize,
    /// Those of which no process said that it suspects them.
    uncounted: Vec<String>,
}

impl Orphans {
    async fn count(world: &World) -> Result<Self> {
        let users = world.users().list(&ListParams::default()).await?;
        let named: BTreeSet<_> = users.iter().filter_map(identity).collect();
        let alive = world.resource.identities().into_iter().map(|identity| identity.id);
        let orphans: Vec<_> = alive.filter(|id| !named.contains(id)).collect();
        let log = world.operator.log();
        let suspected: Vec<_> = log.lines().filter(|line| line.contains("suspected orphan")).collect();
        let creates: HashMap<_, _> = world
            .resource
            .calls()
            .into_iter()
            .filter(|call| call.operation == Operation::Create)
            .filter_map(|call| Some((call.identity?, call.request_id?)))
            .collect();
        let is_counted = |id: &&String| {
            let attempt = creates.get(*id);
            attempt.is_some_and(|attempt| suspected.iter().any(|line| line.contains(attempt.as_str())))
        };
        Ok(Self {
            found: orphans.len(),
            uncounted: orphans.iter().filter(|id| !is_counted(id)).cloned().collect(),
        })
    }
}

/// Tokens in Secrets that are not valid, or of another identity.
async fn wrong_tokens(world: &World) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for user in world.users().list(&ListParams::default()).await? {
        let name = user.metadata.name.clone().unwrap_or_default();
        let values = world.secret_values(&name).await?;
        let state = world
            .resource
            .token_state(values.get("token").map_or("", String::as_str));
        if state != TokenState::Valid {
            wrong.push(format!("the token of {name} is {state:?}"));
        }
        if values.get("userId") != identity(&user).as_ref() {
            wrong.push(format!("the Secret of {name} is of another identity"));
        }
    }
    Ok(wrong)
}

fn report(figures: &Figures, done: &Done, calls: u64, writes: usize, orphans: &Orphans) {
    let [first, second, third, last] = figures.memory_mib();
    let (early, late) = figures.of_last_process_mib();
    for (what, figure) in [
        ("edits", done.edits.to_string()),
        ("faults", done.faults.to_string()),
        ("kills, stops", format!("{}, {}", done.kills, done.stops)),
        ("calls to ACS", calls.to_string()),
        ("calls and writes", writes.to_string()),
        (
            "expired-token seconds while ACS was up",
            figures.expired_seconds().to_string(),
        ),
        (
            "users that were Ready with a revoked token",
            figures.falsely_ready().to_string(),
        ),
        (
            "identities without an object, uncounted",
            format!("{}, {}", orphans.found, orphans.uncounted.len()),
        ),
        ("memory, MiB, by quarter", format!("{first}, {second}, {third}, {last}")),
        ("memory of the last process, MiB", format!("{early} to {late}")),
    ] {
        say(&format!("    {what:<42} {figure}"));
    }
}
