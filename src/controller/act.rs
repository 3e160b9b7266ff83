//! Carries out steps. What to do is decided elsewhere; here is only how.

mod create;
mod object;
mod service;

use std::sync::Arc;

use acs_identity::Client;
use tokio_util::task::TaskTracker;

use self::service::Minted;
use super::memory::Memories;
use super::sources::{SecretCache, UserCache};
use crate::clock::Clock;
use crate::cluster::writes::Writes;
use crate::decide::{Failure, FailureKind, Observed, Operation, Outcome, Step};

/// Carries out steps.
pub struct Act {
    /// The API server.
    pub writes: Writes,
    /// The objects; takes our own writes.
    pub users: Arc<UserCache>,
    /// The Secrets; takes our own writes.
    pub secrets: Arc<SecretCache>,
    /// What the process remembers.
    pub memories: Arc<Memories>,
    /// Creates that must not be cut off.
    pub unfinished: TaskTracker,
    /// The clock.
    pub clock: Clock,
}

/// What came of a step.
pub enum Acted {
    /// Something to decide on.
    Outcome(Outcome),
    /// There is no such object any more: nothing is left to decide.
    ObjectGone,
}

/// What a run holds in its hand: a token between its issue and its Secret. It goes when the run ends.
#[derive(Default)]
pub struct Hand(Option<Minted>);

impl Act {
    /// Carries out one step. `client` is the one of the object's connection, where it can be used.
    pub async fn perform(
        self: &Arc<Self>,
        o: &Observed,
        step: &Step,
        client: Option<&Arc<Client>>,
        hand: &mut Hand,
    ) -> Acted {
        match step {
            Step::Announce { attempt } => self.announce(o, *attempt).await,
            Step::CreateIdentity { attempt, token } => {
                let Some(client) = client else {
                    return no_connection(Operation::Create);
                };
                let created = self
                    .create_identity(o, Arc::clone(client), *attempt, token.clone())
                    .await;
                hand.0 = created.minted;
                created.acted
            }
            Step::IssueToken { id, order, .. } => {
                let Some(client) = client else {
                    return no_connection(Operation::Issue);
                };
                match service::issue(client, &self.clock, id, order).await {
                    Ok(minted) => {
                        let record = minted.record.clone();
                        hand.0 = Some(minted);
                        Acted::Outcome(Outcome::Issued(record))
                    }
                    Err(failure) => Acted::Outcome(Outcome::Failed(failure)),
                }
            }
            Step::LookAtSecret { name } => self.look_at_secret(o, name).await,
            Step::WriteSecret { desired, precondition } => {
                match hand.0.as_ref().filter(|minted| minted.record == desired.record) {
                    Some(minted) => self.write_secret(o, desired, precondition, &minted.token).await,
                    None => no_connection(Operation::Write),
                }
            }
            Step::DeleteSecret(secret) => self.delete_secret(o, secret).await,
            Step::DeleteIdentity { id } => {
                let Some(client) = client else {
                    return no_connection(Operation::Delete);
                };
                Acted::Outcome(match service::delete(client, &self.clock, id).await {
                    Ok(()) => Outcome::IdentityDeleted,
                    Err(failure) => Outcome::Failed(failure),
                })
            }
            Step::WriteStatus { status, .. } => self.write_status(o, status).await,
            Step::Release { .. } => self.release(o).await,
        }
    }
}

/// Decisions ask for no call without a usable connection; should one, nothing was sent.
fn no_connection(operation: Operation) -> Acted {
    let words = format!("{}: there is no usable connection", operation.doing());
    Acted::Outcome(Outcome::Failed(Failure {
        kind: FailureKind::NotSent,
        operation,
        words,
    }))
}
