//! How fast the operator is and what it takes, against what it may take.

use std::time::Duration;

use acs_emulator::Limits;
use acs_operator::api::CommunicationConnection;
use acs_operator_testbed::World;
use anyhow::Result;
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    population::{self, AT_A_TIME, name, spec},
    process::{processor_seconds, resident_mb},
    say,
    table::{Table, measured},
};

/// How many users there are for the first figures.
const SOME: usize = 1_000;

/// How many new users are timed, one after the other.
const NEWCOMERS: usize = 200;

/// Between two looks for the Secret of a new user.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long the operator is left alone, to see what it does then.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// A bench that takes longer than this has failed.
const SERVED_WITHIN: Duration = Duration::from_mins(20);

/// Runs it; what is over its budget.
pub async fn run(many: usize) -> Result<Vec<String>> {
    let mut table = Table::default();
    some(&mut table).await?;
    crowd(many, &mut table).await?;
    Ok(table.over_budget())
}

/// A moderate number of users, and one more now and then.
async fn some(table: &mut Table) -> Result<()> {
    say(&format!("==> {SOME} users, and {NEWCOMERS} more, one after the other"));
    let logs = tempfile::tempdir()?;
    let world = population::world(logs.path(), |settings| settings.emulator.limits = Limits::none()).await?;
    population::connect_without_limits(&world).await?;
    population::create(&world, SOME).await?;
    population::until_all_are_served(&world, SERVED_WITHIN).await?;
    world.quiet().await;
    table.at_most(
        &format!("memory, {SOME} users"),
        resident_mb(world.operator.id())?,
        20.0,
        "MB",
    );

    let mut waits = Vec::new();
    for number in SOME..SOME + NEWCOMERS {
        waits.push(time_to_secret(&world, &name(number)).await?);
    }
    waits.sort_unstable();
    let percentile = |percent: usize| waits[(waits.len() * percent / 100).min(waits.len() - 1)].as_secs_f64();
    measured("a new user's Secret is there after, half of them", percentile(50), "s");
    table.at_most("a new user's Secret is there after, 99 %", percentile(99), 2.0, "s");
    Ok(())
}

/// From the create of a user to its Secret.
async fn time_to_secret(world: &World, user: &str) -> Result<Duration> {
    let begun = Instant::now();
    world.create(user, spec()).await?;
    while world.secrets().get_metadata_opt(user).await?.is_none() {
        sleep(LOOK_EVERY).await;
    }
    Ok(begun.elapsed())
}

/// Very many users, all at once, at the documented rate limits; then a restart, and edits that change nothing.
async fn crowd(many: usize, table: &mut Table) -> Result<()> {
    say(&format!(
        "==> {many} new users at the whole of the documented rate limits"
    ));
    let logs = tempfile::tempdir()?;
    let mut world = population::world(logs.path(), |_| {}).await?;
    population::connect(&world, json!({"requestBudgetPercent": 100})).await?;
    let begun = Instant::now();
    population::create(&world, many).await?;
    measured("created by the API server after", begun.elapsed().as_secs_f64(), "s");
    population::until_all_are_served(&world, SERVED_WITHIN).await?;
    // Ten thousand may take six minutes.
    #[expect(clippy::cast_precision_loss, reason = "far from 2^52 users")]
    let may_take = 60.0 + 300.0 * many as f64 / 10_000.0;
    table.at_most("all are served after", begun.elapsed().as_secs_f64(), may_take, "s");
    let throttled = world
        .operator
        .metric("acs_operator_acs_throttled_total{operation=\"create\"}")
        .await?;
    table.at_most("answers of 429", throttled, 0.0, "");
    world.quiet().await;
    table.at_most(
        &format!("memory, {many} users"),
        resident_mb(world.operator.id())?,
        40.0,
        "MB",
    );

    // How many users it has, a connection tells every half minute.
    let all = i32::try_from(many)?;
    let tells_all = |connection: &CommunicationConnection| {
        let status = connection.status.as_ref();
        status.is_some_and(|status| status.users == Some(all))
    };
    world.until_connection("contoso", "of all users", tells_all).await?;

    say("==> a restart with nothing due");
    world.operator.stop(SERVED_WITHIN).await?;
    let (calls, before) = (world.resource.last_call(), writes(&world));
    let begun = Instant::now();
    world.operator.restart()?;
    world.operator.ready().await?;
    measured("ready after", begun.elapsed().as_secs_f64(), "s");
    sleep(IDLE_FOR).await;
    did_nothing("the restart", &world, calls, before, table)?;
    table.at_most(
        &format!("memory, {many} users, restarted"),
        resident_mb(world.operator.id())?,
        40.0,
        "MB",
    );
    let spent = processor_seconds(world.operator.id())?;
    sleep(IDLE_FOR).await;
    let busy = (processor_seconds(world.operator.id())? - spent) / IDLE_FOR.as_secs_f64();
    measured("processor while nothing is due", busy * 100.0, "%");

    say("==> every user gets another label");
    let (calls, before) = (world.resource.last_call(), writes(&world));
    let relabel = json!({"metadata": {"labels": {"bench": "1"}}});
    let edits = stream::iter(0..many).map(|number| {
        let (world, patch) = (&world, relabel.clone());
        async move { world.patch(&name(number), patch).await }
    });
    let edits: Vec<_> = edits.buffer_unordered(AT_A_TIME).collect().await;
    edits.into_iter().collect::<Result<Vec<_>>>()?;
    world.quiet().await;
    did_nothing("the relabelling", &world, calls, before, table)
}

/// Nothing was due, so it had no reason to call or to write.
fn did_nothing(what: &str, world: &World, calls: u64, before: usize, table: &mut Table) -> Result<()> {
    let calls = u32::try_from(world.resource.work_since(calls).len())?;
    let writes = u32::try_from(writes(world) - before)?;
    table.at_most(&format!("calls to ACS after {what}"), calls.into(), 0.0, "");
    table.at_most(&format!("writes after {what}"), writes.into(), 0.0, "");
    Ok(())
}

/// What the operator has written to the API server, but for events and its lease.
fn writes(world: &World) -> usize {
    let passed = world.traffic.passed();
    passed.iter().filter(|request| request.upstream == "Kubernetes").count()
}
