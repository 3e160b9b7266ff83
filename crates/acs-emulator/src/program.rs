//! Runs an emulator until a signal ends it.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use acs_emulator::{Config, Emulator};
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

/// Serves until SIGTERM or SIGINT. Standard output gets two lines of the form `NAME=value`, the connection string last;
/// the log goes to standard error.
pub(crate) fn run(config: Config, log_level: LevelFilter) -> ExitCode {
    tracing_subscriber::fmt()
        .with_max_level(log_level)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "acs-emulator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before anything is announced, so that a signal right after finds a listener.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let emulator = Emulator::start(config)?;
        announce(&emulator)?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = emulator.stopped() => return Err("the emulator stopped by itself; its log says why".into()),
        }
        tracing::info!("stopping");
        Ok(())
    })
}

/// The only place where a key is shown.
fn announce(emulator: &Emulator) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if let Some(admin) = emulator.admin_address() {
        writeln!(out, "ACS_EMULATOR_ADMIN_URL=http://{admin}/")?;
    }
    writeln!(
        out,
        "COMMUNICATION_SERVICES_CONNECTION_STRING={}",
        emulator.connection_string()
    )?;
    out.flush()
}
