//! Many users whose tokens live for a minute, in all weathers.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use acs_emulator::{Limits, TokenState};
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

/// So much more memory at the end than after a quarter is more than noise.
const GROWTH_PERCENT: u32 = 25;

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
    let measuring = figures.measure(world.users(), world.secrets());
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
    if orphans.found > orphans.counted {
        broken.push("identities are left in ACS that nobody counted".to_owned());
    }
    let [early, .., last] = figures.memory_mib();
    if last > early + early * GROWTH_PERCENT / 100 + 8 {
        broken.push(format!("memory grew from {early} to {last} MiB"));
    }
    Ok(broken)
}

/// Identities that no object names.
struct Orphans {
    found: usize,
    /// As far as those that are there tell: those that went took their counts with them into the metric of their time.
    counted: usize,
}

impl Orphans {
    async fn count(world: &World) -> Result<Self> {
        let users = world.users().list(&ListParams::default()).await?;
        let named: BTreeSet<_> = users.iter().filter_map(identity).collect();
        let alive = world.resource.identities().into_iter().map(|identity| identity.id);
        let connection = world.connections().get("contoso").await?;
        let counted = connection
            .status
            .and_then(|status| status.suspected_orphans)
            .unwrap_or(0);
        Ok(Self {
            found: alive.filter(|id| !named.contains(id)).count(),
            counted: usize::try_from(counted)?,
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
            "identities without an object, counted",
            format!("{}, {}", orphans.found, orphans.counted),
        ),
        ("memory, MiB, by quarter", format!("{first}, {second}, {third}, {last}")),
    ] {
        say(&format!("    {what:<42} {figure}"));
    }
}
