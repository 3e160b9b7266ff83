//! The composition root: where the parts of the operator are put together and taken apart.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{AdminError, AdminServer, Readiness},
    api::crd,
    cli::Settings,
    clock::Clock,
    telemetry::Metrics,
};

/// Why the operator ended with exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The operating system refused threads or timers.
    #[error("the asynchronous runtime cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// The operating system refused a signal handler.
    #[error("signals cannot be received: {0}")]
    Signals(#[source] io::Error),
    /// Probes and metrics cannot be served.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

/// Runs the operator on a runtime of its own until a signal ends it, and gives the process's exit code.
pub fn start(settings: Settings) -> ExitCode {
    settings.logs.install();
    // Fails only when a provider is installed already, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)
        .and_then(|runtime| runtime.block_on(run(settings)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the operator ends");
            ExitCode::FAILURE
        }
    }
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// When a part that the operator cannot do without cannot start, or ends by itself.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let (metrics, readiness) = (Metrics::new(Clock::system()), Readiness::default());
    let admin = AdminServer::bind(settings.admin_listen, readiness, metrics).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), admin = %admin.address(), "acs-operator starts");
    admin.serve(stop).await?;
    tracing::info!("acs-operator ends");
    Ok(())
}

/// Cancels `stop` on the first SIGTERM or SIGINT.
fn stop_on_signal(stop: CancellationToken) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
        stop.cancel();
    });
    Ok(())
}

/// Prints the CustomResourceDefinitions to standard output.
pub fn print_crds() -> ExitCode {
    let written = match crd::render_all() {
        Ok(yaml) => io::stdout()
            .write_all(yaml.as_bytes())
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
