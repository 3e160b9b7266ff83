//! Runs with many users, on a local control plane.
//!
//! `load soak` (`make soak`): users with short tokens for a long time, while they are edited, requests fail and the operator is
//! killed; then ten thousand new ones at the documented rate limits. `load bench` (`make bench`): speed and memory, against
//! budgets.
//!
//! It prints what it measures and ends with a line of its verdict; the exit code says the same.

mod bench;
mod chaos;
mod dice;
mod endurance;
mod figures;
mod flood;
mod population;
mod process;
mod table;

use std::{env, process::ExitCode, str::FromStr, time::Duration};

use anyhow::{Context, Result, bail};

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
    match env::args().nth(1).as_deref() {
        Some("soak") => soak().await,
        Some("bench") => bench::run(variable("BENCH_NEW", 10_000)?).await,
        other => bail!("{} is not a run: write soak or bench", other.unwrap_or("nothing")),
    }
}

/// `SOAK_USERS` users for `SOAK_SECONDS`, then `SOAK_NEW` at once. The same `SOAK_SEED` brings the same edits and faults.
async fn soak() -> Result<Vec<String>> {
    let mut broken = Vec::new();
    let time = Duration::from_secs(variable("SOAK_SECONDS", 1200)?);
    if !time.is_zero() {
        let users = variable("SOAK_USERS", 1000)?;
        let seed = variable("SOAK_SEED", u64::from(std::process::id()))?;
        broken.extend(endurance::run(users, time, seed).await?);
    }
    let new = variable("SOAK_NEW", 10_000)?;
    if new > 0 {
        broken.extend(flood::run(new).await?);
    }
    Ok(broken)
}

/// One line for whoever watches.
#[allow(clippy::print_stdout, reason = "what it prints is what it is for")]
fn say(line: &str) {
    println!("{line}");
}
