//! The `acs-emulator` program.

use std::process::ExitCode;

mod cli;
mod program;

fn main() -> ExitCode {
    match cli::parse() {
        Ok((config, log_level)) => program::run(config, log_level),
        Err(refusal) => refusal.report(),
    }
}
