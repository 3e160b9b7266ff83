//! Waiting for an API server that is not there yet, as when a whole node starts.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        cause::{cause, chain, of_credentials},
        log_interval::LogInterval,
        retry_delays::retry_delays,
    },
    Connected,
};

/// Longest that one look may take.
const LOOK: Duration = Duration::from_secs(10);

/// The same obstacle is logged once in this time.
const REMINDER: Duration = Duration::from_mins(1);

/// Why the API server does not serve this client at the moment. Each can pass by itself, or by what somebody does
/// outside of the operator.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Obstacle {
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    #[error(
        "the certificate of the API server is not trusted: {0}; compare the certificate-authority and the server of the \
         kubeconfig with those of the cluster"
    )]
    Certificate(String),
    #[error(
        "the API server does not accept the credential (401 Unauthorized): it has expired, was revoked, or belongs to \
         another cluster"
    )]
    Unauthorized,
    #[error("there is no credential for the API server: {0}")]
    Credential(String),
    #[error("the API server fails: {0}")]
    Failing(String),
    #[error("what answers is not a Kubernetes API server: {0}; check the server of the kubeconfig")]
    Foreign(String),
}

impl Connected {
    /// Waits until the API server answers and knows this client, and logs what is in the way: at once, when it changes,
    /// and every minute. `false` when `stop` came first.
    pub async fn wait_reachable(&self, stop: &CancellationToken) -> bool {
        stop.run_until_cancelled(self.reach()).await.is_some()
    }

    async fn reach(&self) {
        let mut reminder = LogInterval::new(REMINDER);
        let mut known = None;
        for delay in retry_delays() {
            let obstacle = match self.look().await {
                Ok(version) => {
                    tracing::info!(server = self.server, version, "the API server is reached");
                    return;
                }
                Err(obstacle) => obstacle,
            };
            // In this order: asking when it is due starts the next minute.
            if reminder.is_due() || known.as_ref() != Some(&obstacle) {
                tracing::warn!(
                    server = self.server,
                    error = obstacle.to_string(),
                    "waiting for the API server"
                );
            }
            known = Some(obstacle);
            sleep(delay).await;
        }
    }

    /// The server's version, which every account may ask for.
    pub(super) async fn look(&self) -> Result<String, Obstacle> {
        match timeout(LOOK, self.client.apiserver_version()).await {
            Ok(Ok(version)) => Ok(version.git_version),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => Ok("not told".to_owned()),
            Ok(Err(error)) => Err(Obstacle::of(&error)),
            Err(_) => Err(Obstacle::Unreachable(format!("no answer within {} s", LOOK.as_secs()))),
        }
    }
}

impl Obstacle {
    pub(super) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Self::Unauthorized,
                408 | 429 | 500..=599 => Self::Failing(cause(error)),
                _ => Self::Foreign(cause(error).trim_end_matches('.').to_owned()),
            },
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Self::Foreign(cause(error)),
            kube::Error::Auth(error) => Self::Credential(of_credentials(error)),
            error => Self::of_transport(error),
        }
    }

    fn of_transport(error: &kube::Error) -> Self {
        for link in chain(error) {
            if let Some(error) = link.downcast_ref::<kube::client::AuthError>() {
                return Self::Credential(of_credentials(error));
            }
            if let Some(error @ rustls::Error::InvalidCertificate(_)) = link.downcast_ref() {
                return Self::Certificate(error.to_string());
            }
        }
        Self::Unreachable(cause(error))
    }
}
