//! Whether the API server serves our kinds.

use std::time::Duration;

use kube::{Client, Resource};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{cause::cause, log_interval::LogInterval, retry_delays::retry_delays};
use crate::api::{ClusterCommunicationConnection, CommunicationConnection, CommunicationUser, names};

/// Longest that one look may take.
const LOOK: Duration = Duration::from_secs(10);

/// What is missing is logged once in this time.
const REMINDER: Duration = Duration::from_mins(1);

/// Waits until the API server serves every kind in the version that the operator speaks. Missing definitions are no
/// reason to exit: a rollout from Git often brings them later than the operator.
///
/// `on_missing` gets the names of the missing CustomResourceDefinitions after the first look, and when they change. They
/// are logged then too, with what to do, and every minute. `false` when `stop` came first. Every authenticated account may
/// ask this.
pub async fn wait_served(client: &Client, stop: &CancellationToken, on_missing: impl FnMut(&[&str])) -> bool {
    stop.run_until_cancelled(served(client, on_missing)).await.is_some()
}

async fn served(client: &Client, mut on_missing: impl FnMut(&[&str])) {
    let mut reminder = LogInterval::new(REMINDER);
    let mut complaints = LogInterval::new(REMINDER);
    let mut known: Vec<String> = Vec::new();
    for delay in retry_delays() {
        match missing(client).await {
            Ok(missing) if missing.is_empty() => return,
            Ok(missing) => {
                let changed = missing != known;
                if changed {
                    on_missing(&missing.iter().map(String::as_str).collect::<Vec<_>>());
                }
                // In this order: asking when it is due starts the next minute.
                if reminder.is_due() || changed {
                    log(&missing);
                }
                known = missing;
            }
            Err(error) if complaints.is_due() => {
                tracing::warn!(
                    error,
                    "the API server cannot be asked which kinds it serves; trying again"
                );
            }
            Err(error) => tracing::debug!(error, "the API server cannot be asked which kinds it serves"),
        }
        sleep(delay).await;
    }
}

fn log(missing: &[String]) {
    tracing::warn!(
        missing = missing.join(", "),
        "CustomResourceDefinitions are missing; install them with: acs-operator crds | kubectl apply --server-side -f -"
    );
}

/// The names of the definitions that are not served in our version.
async fn missing(client: &Client) -> Result<Vec<String>, String> {
    let version = format!("{}/{}", names::GROUP, names::VERSION);
    let served = match timeout(LOOK, client.list_api_group_resources(&version)).await {
        Ok(Ok(list)) => list.resources.into_iter().map(|resource| resource.name).collect(),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Vec::new(),
        Ok(Err(error)) => return Err(cause(&error)),
        Err(_) => return Err(format!("no answer within {} s", LOOK.as_secs())),
    };
    let wanted = plurals().into_iter().filter(|plural| !served.contains(plural));
    Ok(wanted.map(|plural| format!("{plural}.{}", names::GROUP)).collect())
}

fn plurals() -> [String; 3] {
    [
        CommunicationUser::plural(&()).into_owned(),
        CommunicationConnection::plural(&()).into_owned(),
        ClusterCommunicationConnection::plural(&()).into_owned(),
    ]
}

#[cfg(test)]
mod tests;
