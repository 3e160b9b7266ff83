//! Tells people and machines what came of a step: logs, metrics, events. Never anything that only a status may say twice:
//! events are written on transitions only.

mod connections;

use std::collections::VecDeque;
use std::mem::discriminant;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use uuid::Uuid;

pub use self::connections::Subject;

use super::connections::Access;
use crate::api::{CommunicationUserStatus, ConditionType, Reason, Verdict, names};
use crate::cluster::events::{EventRecorder, EventType};
use crate::decide::{
    DesiredSecret, Failure, FailureKind, Finding, IssueCause, Observed, Outcome, Precondition,
    RevocationCause as Cause, SecretView, Step, TokenRecord, User, older_tokens_keep,
};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::{RevocationCause, TokenCause};

/// How many suspected orphans are remembered as told: more than creates can be under way while one of them is told again.
const REMEMBERED: usize = 4096;

/// Tells what happened.
pub struct Report {
    metrics: Metrics,
    events: Arc<EventRecorder>,
    /// The suspected orphans that were told last.
    told: Mutex<VecDeque<Uuid>>,
}

impl Report {
    /// Tells it by these counters, and by events on the objects.
    pub fn new(metrics: Metrics, events: Arc<EventRecorder>) -> Self {
        Self {
            metrics,
            events,
            told: Mutex::default(),
        }
    }

    /// `step`, decided on `o`, ended in `outcome`.
    pub fn outcome(&self, o: &Observed, step: &Step, outcome: &Outcome) {
        let object = name(&o.user);
        match outcome {
            Outcome::Created { user, fresh } => self.created(o, user, fresh.as_ref()),
            Outcome::Issued(record) => {
                if let Step::IssueToken { cause, .. } = step {
                    self.narrowed(o, record);
                    self.issued(&o.user, label(*cause), record);
                }
            }
            Outcome::SecretWritten(_) => self.secret_written(o, step),
            Outcome::SecretDeleted => {
                if let Step::DeleteSecret(secret) = step {
                    tracing::info!(%object, secret = secret.name, "Secret deleted");
                }
            }
            Outcome::Revoked => self.revoked(o, step),
            Outcome::IdentityDeleted => {
                if let Step::DeleteIdentity { id } = step {
                    self.metrics.identities.deleted();
                    tracing::info!(%object, identity = id, "identity deleted");
                    let note = format!("The identity {id} was deleted from ACS.");
                    self.event(&o.user, EventType::Normal, "IdentityDeleted", "Delete", note);
                }
            }
            Outcome::StatusWritten(written) => {
                if o.is_copy() {
                    self.claimed(o);
                }
                if o.identity_id().is_none() {
                    self.adopted(&o.user, written);
                }
                self.transition(o, &written.status);
            }
            Outcome::Released => self.released(o),
            Outcome::Protected(_) => self.protected(o),
            Outcome::Failed(failure) | Outcome::Withdrawn { failure } => self.failed(o, failure),
            Outcome::Announced(_)
            | Outcome::Waited
            | Outcome::SecretAcceptable
            | Outcome::Inspected(_)
            | Outcome::UserSeen(_)
            | Outcome::SecretSeen(_) => {}
        }
    }

    fn created(&self, o: &Observed, written: &User, fresh: Option<&TokenRecord>) {
        let status = written.status.identity.as_ref();
        let id = status.and_then(|identity| identity.id.as_deref()).unwrap_or_default();
        self.metrics.identities.created();
        let token_wanted = o.user.wants_token();
        tracing::info!(object = %name(&o.user), identity = id, token_wanted, "identity created");
        let note = format!("The identity {id} was created in ACS.");
        self.event(&o.user, EventType::Normal, "IdentityCreated", "Create", note);
        if let Some(record) = fresh {
            self.issued(&o.user, TokenCause::First, record);
        }
    }

    fn issued(&self, user: &User, cause: TokenCause, record: &TokenRecord) {
        self.metrics.identities.issued(cause);
        let (identity, cause) = (&record.identity, cause.as_str());
        tracing::info!(object = %name(user), identity, cause, expires = %record.expires, "token issued");
    }

    /// A new token with fewer scopes does not take them from those handed out before.
    fn narrowed(&self, o: &Observed, record: &TokenRecord) {
        let Some(words) = older_tokens_keep(o, record) else {
            return;
        };
        self.event(&o.user, EventType::Warning, "ScopesNarrowed", "Issue", words + ".");
    }

    /// A Secret that was written because someone else had deleted or changed it is news; the others follow from the spec and
    /// from renewals.
    fn secret_written(&self, o: &Observed, step: &Step) {
        let Step::WriteSecret { desired, precondition } = step else {
            return;
        };
        let (object, secret) = (name(&o.user), &desired.name);
        let Some(damage) = repaired(o, desired, precondition) else {
            tracing::debug!(%object, secret, "Secret written");
            return;
        };
        let same_token = o
            .token_record()
            .is_some_and(|before| before.sha256 == desired.record.sha256);
        let token = if same_token { "the same token" } else { "a new token" };
        tracing::info!(%object, secret, damage, same_token, "Secret repaired");
        let note = format!("Secret {secret} had been {damage} by someone else. It is as declared again, with {token}.");
        self.event(&o.user, EventType::Normal, "SecretRepaired", "Write", note);
    }

    fn revoked(&self, o: &Observed, step: &Step) {
        let Step::RevokeTokens { id, cause } = step else {
            return;
        };
        let (label, request, why) = match cause {
            Cause::Requested(request) => (
                RevocationCause::Requested,
                Some(request),
                format!("as {}={request:?} asks", names::annotation::REVOKE_REQUESTED_AT),
            ),
            Cause::TokensValidFrom => (
                RevocationCause::TokensValidFrom,
                None,
                format!("as spec.tokensValidFrom of {} asks", o.connection.label),
            ),
            Cause::Announced => (
                RevocationCause::Announced,
                None,
                "because status.token.revocationTime announced it, and it was not known to be done".to_owned(),
            ),
            Cause::TokenRemoved => (
                RevocationCause::TokenRemoved,
                None,
                "because spec.token was removed".to_owned(),
            ),
            // Its tokens go with it: ACS is asked for nothing besides.
            Cause::Replaced => return,
        };
        self.metrics.identities.revoked(label);
        tracing::info!(object = %name(&o.user), identity = id, request, cause = label.as_str(), "tokens revoked");
        let note = format!("All tokens of the identity {id} were revoked, {why}.");
        self.event(&o.user, EventType::Normal, "TokensRevoked", "Revoke", note);
    }

    /// With the object goes the last thing that tells of an identity that stays.
    fn released(&self, o: &Observed) {
        if let Some(id) = o.identity_id().filter(|_| !o.is_deleted()) {
            tracing::info!(object = %name(&o.user), identity = id, "object released, its identity is kept in ACS");
            let note = format!("The identity {id} is kept in ACS, with the tokens that it has.");
            self.event(&o.user, EventType::Normal, "IdentityKept", "Delete", note);
        } else {
            tracing::info!(object = %name(&o.user), "object released");
        }
    }

    /// What came with an identity, from a backup or as a copy, came without being told of by a create.
    fn claimed(&self, o: &Observed) {
        let id = o.identity_id().unwrap_or_default();
        tracing::info!(object = %name(&o.user), identity = id, "identity taken over from another object or a backup");
        let note = format!(
            "The identity {id} was recorded for another object, of which this is a copy or a backup. By default it is kept in \
             ACS when this object is deleted."
        );
        self.event(&o.user, EventType::Normal, "IdentityRestored", "Restore", note);
    }

    /// A status that has an id where there was none, without a create.
    fn adopted(&self, user: &User, written: &User) {
        let Some(id) = written.identity_id() else { return };
        self.metrics.identities.adopted();
        tracing::info!(object = %name(user), identity = id, "identity adopted");
        let note = format!(
            "The identity {id} was adopted, as spec.identity.id asks. By default it is kept in ACS when this object is deleted."
        );
        self.event(user, EventType::Normal, "IdentityAdopted", "Adopt", note);
    }

    fn protected(&self, o: &Observed) {
        let id = o.identity_id().unwrap_or_default();
        let finalizer = names::finalizer::IDENTITY;
        if o.is_copy() {
            // It came without one, which is nobody's doing.
            return;
        }
        tracing::warn!(object = %name(&o.user), identity = id, finalizer, "the finalizer was taken off by someone and is back");
        let note = format!(
            "Someone took the finalizer {finalizer} off. It is back: without it, deleting this object would leave the \
             identity {id} in ACS."
        );
        self.event(&o.user, EventType::Warning, "FinalizerRestored", "Protect", note);
    }

    /// Said once in the log when it begins, then at debug, so that an outage does not fill the logs.
    fn failed(&self, o: &Observed, failure: &Failure) {
        self.metrics.reconciles.failed(failure.reason());
        let (object, reason) = (name(&o.user), failure.reason().as_str());
        let before = o.memory.trouble.as_ref().map(|trouble| &trouble.failure);
        let is_known = before.is_some_and(|before| discriminant(&before.kind) == discriminant(&failure.kind));
        if is_known {
            tracing::debug!(%object, reason, error = failure.words, "reconcile failed again");
        } else {
            tracing::warn!(%object, reason, error = failure.words, "reconcile failed");
        }
        if failure.kind == FailureKind::WriteRefused && !is_known {
            // Not every refusal is in the way of what the status tells about.
            let note = Verdict::new(failure.reason(), &failure.words).message;
            self.event(&o.user, EventType::Warning, "WriteRefused", "Write", note);
        }
    }

    /// Counts an attempt that may have left an identity in ACS, on the connection too where that is known. Whoever finds it out
    /// tells it before anything is written, since a write may be refused, or its answer lost; it is told once all the same.
    pub fn suspected_orphan(&self, user: &User, attempt: Uuid, access: Option<&Access>) {
        if !self.is_news(attempt) {
            return;
        }
        self.metrics.identities.suspected_orphan();
        if let Some(access) = access {
            access.suspected_orphan();
        }
        tracing::warn!(
            object = %name(user), %attempt,
            "suspected orphan: a create had no known result; search the logs of the ACS resource for this client request id"
        );
        let note = format!(
            "An attempt to create the identity had no known result, so ACS may hold an identity that nobody uses. To find \
             its id, search the logs of the ACS resource for the client request id {attempt}."
        );
        self.event(user, EventType::Warning, "SuspectedOrphan", "Create", note);
    }

    fn is_news(&self, attempt: Uuid) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.contains(&attempt) {
            return false;
        }
        if told.len() == REMEMBERED {
            told.pop_front();
        }
        told.push_back(attempt);
        true
    }

    /// An event when what the Ready condition says has changed; what is merely under way is not worth one.
    fn transition(&self, o: &Observed, after: &CommunicationUserStatus) {
        let of = |status: &CommunicationUserStatus| {
            ConditionType::Ready
                .find(&status.conditions)
                .map(|ready| (ready.status.clone(), ready.reason.clone()))
        };
        let Some(ready) = ConditionType::Ready.find(&after.conditions) else {
            return;
        };
        if of(&o.user.status) == of(after) || ready.reason == Reason::Progressing.as_str() {
            return;
        }
        let Ok(reason) = ready.reason.parse::<Reason>() else {
            return;
        };
        let (object, is_ready, detail) = (name(&o.user), &ready.status, &ready.message);
        let good = ready.status == "True" && reason != Reason::RenewalDelayed;
        let trouble = o.memory.trouble.as_ref();
        let is_told = trouble.is_some_and(|trouble| trouble.failure.reason() == reason);
        if good || is_told {
            tracing::info!(%object, ready = is_ready, reason = reason.as_str(), detail, "status changed");
        } else {
            tracing::warn!(%object, ready = is_ready, reason = reason.as_str(), detail, "status changed");
        }
        let kind = if good { EventType::Normal } else { EventType::Warning };
        self.event(&o.user, kind, reason.as_str(), "Reconcile", ready.message.clone());
    }

    fn event(&self, user: &User, kind: EventType, reason: &'static str, action: &'static str, note: String) {
        let metadata = ObjectMeta {
            namespace: Some(user.namespace.clone()),
            name: Some(user.name.clone()),
            uid: Some(user.uid.clone()),
            resource_version: Some(user.resource_version.clone()),
            ..ObjectMeta::default()
        };
        let regarding = regarding("CommunicationUser", &metadata);
        self.events.publish(regarding, kind, reason, action, note);
    }
}

fn regarding(kind: &str, metadata: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{}/{}", names::GROUP, names::VERSION)),
        kind: Some(kind.to_owned()),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        ..ObjectReference::default()
    }
}

/// What someone else had done to a Secret that was just written; `None`: nothing, it was written for another reason.
fn repaired(o: &Observed, desired: &DesiredSecret, precondition: &Precondition) -> Option<&'static str> {
    match (precondition, &o.secret) {
        (Precondition::Absent, _) => {
            let recorded = o.user.status.secret.as_ref().and_then(|secret| secret.name.as_ref());
            (recorded == Some(&desired.name)).then_some("deleted")
        }
        (Precondition::Version(version), SecretView::Ours(secret)) => {
            let Some(record) = &secret.record else {
                return Some("changed");
            };
            let inspected = o.memory.inspected.as_ref().filter(|seen| seen.version == *version);
            let differs = inspected.is_some_and(|seen| seen.finding != Finding::Intact);
            // With another layout it is the spec that has changed.
            (differs && record.request.layout == desired.record.request.layout).then_some("changed")
        }
        _ => None,
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
        IssueCause::Revoked | IssueCause::RevocationInDoubt => TokenCause::Revoked,
        IssueCause::CredentialRetired => TokenCause::CredentialRetired,
    }
}
