//! What a person is told.

use std::fmt::Write;

use crate::kill_point::KillPoint;
use crate::runner::Outcome;

/// The first line of the table.
pub fn header() -> String {
    format!(
        "{:<50} {:>8} {:>6}  {:<8} {:>7} {:>8}",
        "scenario", "requests", "kills", "verdict", "orphans", "time"
    )
}

/// The line of a scenario.
pub fn row(outcome: &Outcome) -> String {
    format!(
        "{:<50} {:>8} {:>6}  {:<8} {:>7} {:>6.1} s",
        outcome.scenario,
        outcome.requests,
        outcome.points - outcome.unreached.len(),
        if outcome.breaches.is_empty() {
            "holds"
        } else {
            "BREACHED"
        },
        outcome.orphans,
        outcome.took.as_secs_f64(),
    )
}

/// Every breach, and every kill that never came about.
pub fn remarks(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let scenario = outcome.scenario;
        for of_a_run in outcome.breaches.chunk_by(|one, next| one.kills == next.kills) {
            let killed = match of_a_run[0].kills.as_slice() {
                [] => "not killed".to_owned(),
                kills => format!("killed {}", places(kills)),
            };
            let _ = writeln!(text, "\n{scenario}, {killed}:");
            for breach in of_a_run {
                let _ = writeln!(text, "  broken: {}\n  seen:   {}", breach.invariant, breach.seen);
            }
        }
        for kills in &outcome.unreached {
            let _ = writeln!(
                text,
                "\n{scenario}, to be killed {}:\n  that request did not come this time",
                places(kills)
            );
        }
    }
    text
}

fn places(kills: &[KillPoint]) -> String {
    let places: Vec<_> = kills.iter().map(KillPoint::to_string).collect();
    places.join(", then ")
}

/// All of it in a line.
pub fn sum(outcomes: &[Outcome]) -> String {
    let points: usize = outcomes.iter().map(|outcome| outcome.points).sum();
    let unreached: usize = outcomes.iter().map(|outcome| outcome.unreached.len()).sum();
    let breaches: usize = outcomes.iter().map(|outcome| outcome.breaches.len()).sum();
    let orphans: i32 = outcomes.iter().map(|outcome| outcome.orphans).sum();
    format!(
        "{} scenarios, {} kills, {unreached} places not reached, {orphans} suspected orphans counted, {breaches} breaches",
        outcomes.len(),
        points - unreached,
    )
}
