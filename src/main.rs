//! The `acs-operator` program.

use std::process::ExitCode;

use acs_operator::{
    app,
    cli::{Invocation, parse},
};

fn main() -> ExitCode {
    match parse() {
        Ok(Invocation::Run(settings)) => app::start(*settings),
        Ok(Invocation::Crds) => app::print_crds(),
        Err(refusal) => refusal.report(),
    }
}
