//! `make soak`: many users with short tokens for a long time, while they are edited, requests fail and the operator is killed.
//! Then ten thousand new users at the documented rate limits.
//!
//! It prints what it measures and ends with a line of its verdict; the exit code says the same.

mod chaos;
mod dice;
mod endurance;
mod figures;
mod flood;
mod population;

use std::{env, process::ExitCode, str::FromStr, time::Duration};

use anyhow::{Context, Result};

/// What is run. Each has an environment variable.
struct Plan {
    /// `SOAK_USERS`: users with tokens for a minute.
    users: usize,
    /// `SOAK_SECONDS`: for so long.
    endurance: Duration,
    /// `SOAK_NEW`: users that are created at once, afterwards.
    new: usize,
    /// `SOAK_SEED`: the same edits and faults again.
    seed: u64,
}

impl Plan {
    fn read() -> Result<Self> {
        Ok(Self {
            users: variable("SOAK_USERS", 1000)?,
            endurance: Duration::from_secs(variable("SOAK_SECONDS", 1200)?),
            new: variable("SOAK_NEW", 10_000)?,
            seed: variable("SOAK_SEED", u64::from(std::process::id()))?,
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "settings of the run, not of the operator")]
fn variable<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(name: &str, otherwise: T) -> Result<T> {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name}={text} is not a whole number")),
        Err(_) => Ok(otherwise),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(broken) if broken.is_empty() => {
            say("==> nothing was lost, late or over budget");
            ExitCode::SUCCESS
        }
        Ok(broken) => {
            for what in &broken {
                say(&format!("BROKEN: {what}"));
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Everything that was not as it has to be.
async fn run() -> Result<Vec<String>> {
    let plan = Plan::read()?;
    let mut broken = Vec::new();
    if !plan.endurance.is_zero() {
        broken.extend(endurance::run(plan.users, plan.endurance, plan.seed).await?);
    }
    if plan.new > 0 {
        broken.extend(flood::run(plan.new).await?);
    }
    Ok(broken)
}

/// One line for whoever watches.
#[allow(clippy::print_stdout, reason = "what it prints is what it is for")]
fn say(line: &str) {
    println!("{line}");
}
