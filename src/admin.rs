//! The admin port: `/livez`, `/readyz` and `/metrics` over HTTP, without authentication and without secrets.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

mod readiness;

pub use readiness::{Gate, Readiness};

use crate::telemetry::metrics::{self, Metrics};

/// How long answers under way may take after the stop; a client that never finishes its request is cut off.
const FAREWELL: Duration = Duration::from_secs(1);

/// The admin port failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It cannot be opened.
    #[error("the admin port cannot listen on {address}: {source}; choose another address with --admin-listen")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// It ended by itself.
    #[error("the admin port failed: {0}")]
    Serve(#[source] io::Error),
}

/// The admin port, open but not served yet.
pub struct AdminServer {
    listener: TcpListener,
    address: SocketAddr,
    routes: Router,
}

#[derive(Clone)]
struct Shown {
    readiness: Readiness,
    metrics: Metrics,
}

impl AdminServer {
    /// Opens the port. Port 0 takes a free one, see [`AdminServer::address`].
    ///
    /// # Errors
    /// When the address is in use or not this machine's.
    pub async fn bind(address: SocketAddr, readiness: Readiness, metrics: Metrics) -> Result<Self, AdminError> {
        let failed = |source| AdminError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let routes = Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(render))
            .with_state(Shown { readiness, metrics });
        Ok(Self {
            listener,
            address,
            routes,
        })
    }

    /// Where the port listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled, and at most a second longer.
    ///
    /// # Errors
    /// When the port ends by itself.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), AdminError> {
        let graceful = stop.clone().cancelled_owned();
        let server = axum::serve(self.listener, self.routes).with_graceful_shutdown(graceful);
        let farewell = async {
            stop.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            ended = server.into_future() => ended.map_err(AdminError::Serve),
            () = farewell => Ok(()),
        }
    }
}

async fn readyz(State(shown): State<Shown>) -> Response {
    let closed = shown.readiness.closed();
    if closed.is_empty() {
        return "ok\n".into_response();
    }
    let lines: Vec<String> = closed
        .into_iter()
        .map(|(name, reason)| format!("{name}: {reason}\n"))
        .collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines.concat()).into_response()
}

async fn render(State(shown): State<Shown>) -> Response {
    match shown.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests;
