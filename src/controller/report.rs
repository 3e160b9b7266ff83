//! Tells people and machines what came of a step: logs, metrics, events. Never anything that only a status may say twice:
//! events are written on transitions only.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use uuid::Uuid;

use crate::api::{CommunicationUserStatus, ConditionType, Reason, Scope, names};
use crate::cluster::events::{EventRecorder, EventType};
use crate::decide::{Failure, IssueCause, Observed, Outcome, Step, TokenRecord, User};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::TokenCause;

/// Tells what happened.
pub struct Report {
    /// Counters.
    pub metrics: Metrics,
    /// Events on the objects.
    pub events: Arc<EventRecorder>,
}

impl Report {
    /// `step`, decided on `o`, ended in `outcome`.
    pub fn outcome(&self, o: &Observed, step: &Step, outcome: &Outcome) {
        let user = &o.user;
        match outcome {
            Outcome::Created { user: written, fresh } => {
                if let Some(id) = written
                    .status
                    .identity
                    .as_ref()
                    .and_then(|identity| identity.id.as_deref())
                {
                    tracing::info!(object = %name(user), identity = id, "identity created");
                    self.event(
                        user,
                        EventType::Normal,
                        "IdentityCreated",
                        "Create",
                        format!("Created the identity {id}"),
                    );
                }
                self.metrics.identities.created();
                if fresh.is_some() {
                    self.metrics.identities.issued(TokenCause::First);
                }
            }
            Outcome::Issued(record) => {
                if let Step::IssueToken { cause, .. } = step {
                    self.narrowed(o, record);
                    self.metrics.identities.issued(label(*cause));
                    tracing::info!(object = %name(user), ?cause, expires = %record.expires, "token issued");
                }
            }
            Outcome::IdentityDeleted => {
                self.metrics.identities.deleted();
                if let Step::DeleteIdentity { id } = step {
                    tracing::info!(object = %name(user), identity = id, "identity deleted");
                    self.event(
                        user,
                        EventType::Normal,
                        "IdentityDeleted",
                        "Delete",
                        format!("Deleted the identity {id}"),
                    );
                }
            }
            Outcome::StatusWritten(written) => {
                if let Step::WriteStatus {
                    suspected: Some(attempt),
                    ..
                } = step
                {
                    self.suspected_orphan(user, *attempt);
                }
                self.transition(user, &written.status);
            }
            Outcome::Released => {
                if let Step::Release {
                    suspected: Some(attempt),
                } = step
                {
                    self.suspected_orphan(user, *attempt);
                }
            }
            Outcome::Failed(failure) | Outcome::Withdrawn { failure } => self.failed(o, failure),
            Outcome::Revoked => {
                tracing::info!(object = %name(user), "all tokens revoked");
                self.event(
                    user,
                    EventType::Normal,
                    "TokensRevoked",
                    "Revoke",
                    "Revoked all tokens of the identity".into(),
                );
            }
            Outcome::Protected(_) => {
                tracing::warn!(object = %name(user), "the finalizer was taken off by someone and is back");
            }
            Outcome::Announced(_)
            | Outcome::Waited
            | Outcome::SecretAcceptable
            | Outcome::Inspected(_)
            | Outcome::UserSeen(_)
            | Outcome::SecretSeen(_)
            | Outcome::SecretWritten(_)
            | Outcome::SecretDeleted => {}
        }
    }

    /// A new token with fewer scopes does not take them from those handed out before.
    fn narrowed(&self, o: &Observed, record: &TokenRecord) {
        let Some(before) = o.token_record() else { return };
        let lost: Vec<_> = before
            .scopes
            .iter()
            .filter(|scope| !record.scopes.contains(scope))
            .collect();
        if lost.is_empty() {
            return;
        }
        let lost: Vec<_> = lost.into_iter().map(Scope::as_str).collect();
        let note = format!(
            "Tokens issued before keep {} until {}; to end that now, revoke them: annotate the object with {}=<any text>",
            lost.join(", "),
            before.expires,
            names::annotation::REVOKE_REQUESTED_AT,
        );
        self.event(&o.user, EventType::Warning, "ScopesNarrowed", "Issue", note);
    }

    /// Said once in the log when it begins, then at debug, so that an outage does not fill the logs.
    fn failed(&self, o: &Observed, failure: &Failure) {
        self.metrics.reconciles.failed(failure.reason());
        let object = name(&o.user);
        if o.memory
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.failure.reason() == failure.reason())
        {
            tracing::debug!(%object, reason = %failure.reason().as_str(), error = %failure.words, "failed again");
        } else {
            tracing::warn!(%object, reason = %failure.reason().as_str(), error = %failure.words, "failed");
        }
    }

    /// Counts an attempt that may have left an identity in ACS.
    pub fn suspected_orphan(&self, user: &User, attempt: Uuid) {
        self.metrics.identities.suspected_orphan();
        tracing::warn!(
            object = %name(user), %attempt,
            "suspected orphan: a create had no known result; search the logs of ACS for this client request id"
        );
        let note = format!(
            "an attempt to create the identity had no known result, so ACS may hold an identity that nobody uses; \
             search its logs for the client request id {attempt}"
        );
        self.event(user, EventType::Warning, "SuspectedOrphan", "Create", note);
    }

    /// An event when what the Ready condition says has changed; what is merely under way is not worth one.
    fn transition(&self, user: &User, after: &CommunicationUserStatus) {
        let of = |status: &CommunicationUserStatus| {
            ConditionType::Ready
                .find(&status.conditions)
                .map(|ready| (ready.status.clone(), ready.reason.clone()))
        };
        let Some(ready) = ConditionType::Ready.find(&after.conditions) else {
            return;
        };
        if of(&user.status) == of(after) || ready.reason == Reason::Progressing.as_str() {
            return;
        }
        let kind = if ready.status == "True" && ready.reason != Reason::RenewalDelayed.as_str() {
            EventType::Normal
        } else {
            EventType::Warning
        };
        if let Ok(reason) = ready.reason.parse::<Reason>() {
            tracing::info!(object = %name(user), ready = ready.status, reason = reason.as_str(), says = ready.message, "status changed");
            self.event(user, kind, reason.as_str(), "Reconcile", ready.message.clone());
        }
    }

    fn event(&self, user: &User, kind: EventType, reason: &'static str, action: &'static str, note: String) {
        let regarding = ObjectReference {
            api_version: Some(format!("{}/{}", names::GROUP, names::VERSION)),
            kind: Some("CommunicationUser".to_owned()),
            namespace: Some(user.namespace.clone()),
            name: Some(user.name.clone()),
            uid: Some(user.uid.clone()),
            resource_version: Some(user.resource_version.clone()),
            ..ObjectReference::default()
        };
        self.events.publish(regarding, kind, reason, action, note);
    }
}

fn name(user: &User) -> String {
    format!("{}/{}", user.namespace, user.name)
}

fn label(cause: IssueCause) -> TokenCause {
    match cause {
        IssueCause::First => TokenCause::First,
        IssueCause::Renewal => TokenCause::Renewal,
        IssueCause::Requested => TokenCause::Requested,
        IssueCause::ScopesChanged => TokenCause::ScopesChanged,
        IssueCause::LifetimeChanged => TokenCause::LifetimeChanged,
        IssueCause::SecretLost => TokenCause::SecretLost,
        IssueCause::Revoked => TokenCause::Revoked,
    }
}
