//! Very many new users at once, under the documented rate limits.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tokio::time::Instant;

use crate::{population, process::resident_mb, say};

/// The share of the limits that the operator may use.
const BUDGET_PERCENT: u32 = 90;

/// Five minutes at the limit itself for ten thousand, and as long again.
const SERVED_WITHIN: Duration = Duration::from_mins(20);

/// Runs it; what is not as it has to be.
pub async fn run(users: usize) -> Result<Vec<String>> {
    say(&format!(
        "==> {users} new users at {BUDGET_PERCENT} % of the documented rate limits"
    ));
    let logs = tempfile::tempdir()?;
    let world = population::world(logs.path(), |_| {}).await?;
    population::connect(&world, json!({"requestBudgetPercent": BUDGET_PERCENT})).await?;
    let begun = Instant::now();
    population::create(&world, users).await?;
    say(&format!("    created in {} s", begun.elapsed().as_secs()));
    population::until_all_are_served(&world, SERVED_WITHIN).await?;
    let throttled = world
        .operator
        .metric("acs_operator_acs_throttled_total{operation=\"create\"}")
        .await?;
    say(&format!(
        "    {:<42} {} s",
        "all are served after",
        begun.elapsed().as_secs()
    ));
    say(&format!("    {:<42} {throttled}", "answers of 429"));
    say(&format!(
        "    {:<42} {:.1} MB",
        "memory",
        resident_mb(world.operator.id())?
    ));
    let broken = (throttled > 0.0).then(|| "ACS had to throttle".to_owned());
    Ok(broken.into_iter().collect())
}
