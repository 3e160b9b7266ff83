//! What is told of connections.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Report, regarding};
use crate::api::{Reason, Verdict};
use crate::cluster::ObjectKey;
use crate::cluster::events::EventType;
use crate::decide::connection::Warning;

/// The connection that something is told of.
pub struct Subject<'a> {
    /// Its kind.
    pub kind: &'static str,
    /// Which one.
    pub key: &'a ObjectKey,
    /// Its metadata. None where nothing is written to it: then there are no events on it either, and the log alone tells.
    pub metadata: Option<&'a ObjectMeta>,
}

impl Report {
    /// A connection is as `now` says. That is news where `before` said something else, and unless it merely is under way.
    pub fn connection(&self, connection: &Subject<'_>, before: Option<&Verdict>, now: &Verdict) {
        let is_known = before.is_some_and(|before| (before.ready, before.reason) == (now.ready, now.reason));
        if is_known || now.reason == Reason::Progressing {
            return;
        }
        let Subject { kind, key, .. } = connection;
        let (reason, detail) = (now.reason.as_str(), &now.message);
        let event = if now.ready {
            tracing::info!(kind, connection = %key, ready = "True", reason, detail, "connection status changed");
            EventType::Normal
        } else {
            tracing::warn!(kind, connection = %key, ready = "False", reason, detail, "connection status changed");
            EventType::Warning
        };
        self.connection_event(connection, event, reason, detail.clone());
    }

    /// A connection works, and something about it should be seen to.
    pub fn connection_warning(&self, connection: &Subject<'_>, warning: &Warning) {
        let (Subject { kind, key, .. }, Warning { reason, words }) = (connection, warning);
        tracing::warn!(kind, connection = %key, reason, detail = words, "a connection needs attention");
        self.connection_event(connection, EventType::Warning, reason, format!("{words}."));
    }

    fn connection_event(&self, on: &Subject<'_>, event: EventType, reason: &'static str, note: String) {
        if let Some(metadata) = on.metadata {
            self.events
                .publish(regarding(on.kind, metadata), event, reason, "Reconcile", note);
        }
    }
}
