//! Why a request for the Lease failed, and what to do about it.

use kube::core::response::reason;

use crate::cluster::{ObjectKey, cause::cause};

/// Why a request for the Lease failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is not the version any more that the write was based on, or exists where none was expected.
    Changed,
    /// The API server refuses: somebody has to see to it.
    Refused {
        /// What it says.
        words: String,
        /// What to do.
        remedy: String,
    },
    /// No answer, or none that means anything. What was asked for may have been done.
    Unavailable(String),
}

impl Trouble {
    pub(super) fn of(error: &kube::Error, lease: &ObjectKey) -> Self {
        let words = cause(error);
        let kube::Error::Api(status) = error else {
            return Self::Unavailable(words);
        };
        let namespace = lease.namespace().unwrap_or_default();
        let is_namespace = status
            .details
            .as_ref()
            .is_some_and(|details| details.kind == "namespaces");
        let remedy = match status.code {
            409 => return Self::Changed,
            // Gone between a look and a write: as if it had changed.
            404 if status.reason == reason::NOT_FOUND && !is_namespace => return Self::Changed,
            401 | 408 | 410 | 429 | 500..=599 => return Self::Unavailable(words),
            403 => format!(
                "allow the operator's ServiceAccount the verbs get, list, watch, create and patch on \
                 leases.coordination.k8s.io in namespace {namespace}, or run one replica with --leader-elect=false"
            ),
            404 if is_namespace => {
                format!("create namespace {namespace}, or say in POD_NAMESPACE which one is the operator's own")
            }
            _ => "compare the version of the API server with the supported ones".to_owned(),
        };
        Self::Refused { words, remedy }
    }
}

/// For logs and `/readyz`: what happened, and what to do.
impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Changed => f.write_str("it was changed by someone else in the meantime"),
            Self::Refused { words, remedy } => write!(f, "{words}: {remedy}"),
            Self::Unavailable(words) => f.write_str(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    fn trouble(status: serde_json::Value) -> Trouble {
        let status: Status = serde_json::from_value(status).unwrap();
        let lease = ObjectKey::namespaced("acs-operator-system", "acs-operator");
        Trouble::of(&kube::Error::Api(status.boxed()), &lease)
    }

    #[test]
    fn a_missing_right_and_a_missing_namespace_are_told_with_what_to_do() {
        let forbidden = trouble(json!({"code": 403, "reason": "Forbidden", "message": "cannot create leases"}));
        assert_eq!(
            forbidden.to_string(),
            "cannot create leases: allow the operator's ServiceAccount the verbs get, list, watch, create and patch on \
             leases.coordination.k8s.io in namespace acs-operator-system, or run one replica with --leader-elect=false"
        );
        let details = json!({"kind": "namespaces", "name": "acs-operator-system"});
        let nowhere = trouble(json!({"code": 404, "reason": "NotFound", "message": "not found", "details": details}));
        assert!(nowhere.to_string().contains("or say in POD_NAMESPACE"), "{nowhere}");
    }

    #[test]
    fn what_someone_else_did_to_it_is_no_refusal_and_what_passes_is_none_either() {
        let lease = json!({"kind": "leases", "name": "acs-operator"});
        for changed in [
            json!({"code": 409, "reason": "Conflict"}),
            json!({"code": 409, "reason": "AlreadyExists"}),
            json!({"code": 404, "reason": "NotFound", "details": lease}),
        ] {
            assert_eq!(trouble(changed.clone()), Trouble::Changed, "{changed}");
        }
        for code in [401, 429, 500, 503, 504] {
            let passes = trouble(json!({"code": code, "message": "words"}));
            assert_eq!(passes, Trouble::Unavailable("words".into()), "{code}");
        }
    }
}
