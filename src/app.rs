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

mod caches;
mod leadership;
mod operator;
mod parts;
mod samples;
mod watches;

use acs_identity::BuildError;

use self::{
    leadership::Leadership,
    operator::{Operator, Surroundings},
    watches::Watching,
};
use crate::{
    admin::{AdminError, AdminServer, Gate, Readiness},
    api::crd,
    cli::Settings,
    clock::Clock,
    cluster::{
        ObjectKey,
        client::{self, ConnectError, Connected},
        crds,
        lease::LeaseLost,
        rights,
    },
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
    /// There is no usable configuration for an API server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No HTTP client can be set up for the default connection.
    #[error("the default connection cannot be used: {0}")]
    Connection(#[from] BuildError),
    /// A part that never should has ended.
    #[error("{0} ended unexpectedly")]
    Died(&'static str),
    /// This replica does not lead any more. To lead again it has to start anew.
    #[error("{0}; so this replica stops working, and ends to start anew as one that stands by")]
    LeaseLost(#[from] LeaseLost),
    /// Probes and metrics cannot be served.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

/// Runs the operator on a runtime of its own until a signal ends it, and gives the process's exit code.
pub fn start(settings: Settings) -> ExitCode {
    settings.logs.install();
    // Fails only when a provider is installed already, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match on_runtime(run(settings)).map_err(RunError::Runtime).flatten() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error.to_string(), "acs-operator ends");
            ExitCode::FAILURE
        }
    }
}

/// Runs it on a runtime of its own. What cannot be interrupted, such as the look-up of a name, is left behind, not waited for.
fn on_runtime<T>(program: impl Future<Output = T>) -> io::Result<T> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(program);
    runtime.shutdown_background();
    Ok(outcome)
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// When the lease is lost, or a part that the operator cannot do without cannot start, or ends by itself.
pub async fn run(mut settings: Settings) -> Result<(), RunError> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let clock = Clock::system();
    let (metrics, readiness) = (Metrics::new(clock.clone()), Readiness::default());
    let process = readiness.gate("process", "the operator is starting");
    let (definitions, caches, lease) = gates(&readiness);
    let admin = AdminServer::bind(settings.admin_listen, readiness, metrics.clone()).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), admin = %admin.address(), "acs-operator starts");
    let mut admin = tokio::spawn(admin.serve(CancellationToken::new()));
    let work = async {
        let connected = client::connect(metrics.kube.clone()).await?;
        let own_namespace = settings.own_namespace(&connected.default_namespace).to_owned();
        let clients = operator::client_maker(&settings, &metrics)?;
        let environment = operator::environment(&mut settings, &own_namespace);
        if !prerequisites(&connected, &settings, &own_namespace, &definitions, &stop).await {
            return Ok(());
        }
        let leadership = Leadership::new(
            settings.election.as_ref(),
            &own_namespace,
            connected.client.clone(),
            clock.clone(),
            lease,
        );
        let watching = Watching {
            gate: caches,
            metrics: metrics.watches.clone(),
        };
        let surroundings = Surroundings {
            settings: &settings,
            kube: connected.client,
            leadership,
            environment,
            clients,
            metrics,
            clock,
            watching,
        };
        let mut operator = Operator::start(surroundings, &stop);
        process.open();
        let ended = tokio::select! {
            // On a stop the parts end too: that is looked at first.
            biased;
            () = stop.cancelled() => Ok(()),
            failed = operator.failed() => Err(failed),
            failed = &mut admin => Err(admin_failed(failed)),
        };
        process.close("the operator is stopping");
        let drained = operator.drain(settings.drain_timeout).await;
        ended.and(drained.map_err(RunError::from))
    };
    let ended = work.await;
    admin.abort();
    if ended.is_ok() {
        tracing::info!("acs-operator ends");
    }
    ended
}

/// Waits until the API server answers and serves our kinds; tells of missing rights. False: stopped before.
async fn prerequisites(
    connected: &Connected,
    settings: &Settings,
    own_namespace: &str,
    definitions: &Gate,
    stop: &CancellationToken,
) -> bool {
    if !connected.wait_reachable(stop).await {
        return false;
    }
    let kube = &connected.client;
    let on_missing = |missing: &[&str]| definitions.close(format!("not served: {}", missing.join(", ")));
    if !crds::wait_served(kube, stop, on_missing).await {
        return false;
    }
    definitions.open();
    rights::warn_of(&rights::missing(kube, &operator::scopes(&settings.watch_namespaces)).await);
    if let Some(election) = &settings.election {
        let lease = ObjectKey::namespaced(own_namespace, &election.lease_name);
        rights::warn_of(&rights::missing_to_lead(kube, &lease).await);
    }
    true
}

fn admin_failed(ended: Result<Result<(), AdminError>, tokio::task::JoinError>) -> RunError {
    match ended {
        Ok(Err(error)) => RunError::Admin(error),
        Ok(Ok(())) | Err(_) => RunError::Died("the admin port"),
    }
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

fn gates(readiness: &Readiness) -> (Gate, Gate, Gate) {
    let definitions = readiness.gate("definitions", "the CustomResourceDefinitions are being looked for");
    let caches = readiness.gate(
        "caches",
        "the first lists of CommunicationUsers, Secrets and connections are not complete yet",
    );
    let lease = readiness.gate(
        "lease",
        "the lease that decides which replica works was not looked at yet",
    );
    (definitions, caches, lease)
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, thread, time::Duration};

    use super::*;

    #[test]
    fn what_cannot_be_interrupted_does_not_keep_the_process_from_ending() {
        let (answer, look_up) = channel::<()>();
        let (ended, end) = channel();
        thread::spawn(move || {
            let program = async { drop(tokio::task::spawn_blocking(move || look_up.recv())) };
            ended.send(on_runtime(program))
        });
        let outcome = end.recv_timeout(Duration::from_mins(1));
        assert!(outcome.expect("it is waited for").is_ok());
        drop(answer);
    }
}
