//! Why a watch fails, and what to do about it.

use std::fmt;

use kube::{core::Status, runtime::watcher};

use super::{
    super::{Scope, cause::cause},
    Subject,
};

/// A failure in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// What happened.
    pub(super) words: String,
    /// What to check.
    pub(super) remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.words, self.remedy)
    }
}

/// Puts a failure into words. `None` for what belongs to the life of a watch: it is told that it was left behind, and lists
/// anew.
pub(super) fn explain(error: &watcher::Error, subject: &Subject, scope: &Scope) -> Option<Fault> {
    let remedy = match status(error).map(|status| status.code) {
        Some(410) if matches!(error, watcher::Error::WatchError(_)) => return None,
        Some(410) => {
            "it lists anew. If this lasts, the API server, or what stands before it, keeps too little of its history"
                .to_owned()
        }
        Some(401) => {
            "the API server does not know the operator: check its ServiceAccount token or kubeconfig".to_owned()
        }
        Some(403) => format!(
            "allow the operator's ServiceAccount the verbs list and watch on {} in {scope}",
            subject.full_name()
        ),
        Some(404) if subject.is_custom() => format!(
            "install the CustomResourceDefinition {}: acs-operator crds | kubectl apply --server-side -f -",
            subject.full_name()
        ),
        Some(429 | 500..) => "the API server is busy or starting: look at it if this lasts".to_owned(),
        Some(_) => "the API server does not accept the request: compare its version with the supported ones".to_owned(),
        None => "check that the API server can be reached".to_owned(),
    };
    let words = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => cause(error),
        watcher::Error::WatchError(status) => cause(&kube::Error::Api(status.clone())),
        watcher::Error::NoResourceVersion => error.to_string(),
    };
    Some(Fault { words, remedy })
}

/// Whether what is to be watched cannot be had: the operator has no right to it, or there is no such kind.
pub(super) fn is_refusal(error: &watcher::Error) -> bool {
    status(error).is_some_and(|status| matches!(status.code, 403 | 404))
}

/// Whether the place in the history where the watch was to go on is lost, and kube would ask for it for ever: it lists anew
/// only when a watch that began is told so.
pub(super) fn is_lost(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(_)) && status(error).is_some_and(|status| status.code == 410)
}

fn status(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Secret};

    use super::*;
    use crate::api::CommunicationUser;

    fn refused(code: u16, message: &str) -> watcher::Error {
        let status = Status::failure(message, "Some").with_code(code).boxed();
        watcher::Error::InitialListFailed(kube::Error::Api(status))
    }

    #[test]
    fn a_missing_right_is_named_as_rbac_names_it() {
        let fault = |subject, scope| explain(&refused(403, "forbidden"), &subject, &scope).unwrap().remedy;
        assert_eq!(
            fault(Subject::of::<CommunicationUser>(), Scope::Cluster),
            "allow the operator's ServiceAccount the verbs list and watch on communicationusers.acs-operator.dev in the cluster"
        );
        assert_eq!(
            fault(Subject::of::<Secret>(), Scope::Namespace("shop".into())),
            "allow the operator's ServiceAccount the verbs list and watch on secrets in namespace shop"
        );
    }

    #[test]
    fn a_missing_definition_is_named_with_the_command_that_installs_it() {
        let fault = explain(
            &refused(404, "not found"),
            &Subject::of::<CommunicationUser>(),
            &Scope::Cluster,
        )
        .unwrap();
        assert!(
            fault
                .remedy
                .contains("CustomResourceDefinition communicationusers.acs-operator.dev: acs-operator crds")
        );
    }

    #[test]
    fn what_is_forbidden_or_not_installed_cannot_be_had_and_what_fails_otherwise_may_be() {
        for (code, expected) in [
            (403, true),
            (404, true),
            (401, false),
            (410, false),
            (429, false),
            (500, false),
        ] {
            assert_eq!(is_refusal(&refused(code, "told")), expected, "{code}");
        }
    }

    #[test]
    fn losing_the_place_in_the_history_is_no_fault_and_failing_to_find_another_is() {
        let expired = || Status::failure("too old", "Expired").with_code(410).boxed();
        let explained = |error| explain(&error, &Subject::of::<ConfigMap>(), &Scope::Cluster);
        assert_eq!(explained(watcher::Error::WatchError(expired())), None);
        for request_failed in [watcher::Error::InitialListFailed, watcher::Error::WatchStartFailed] {
            let fault = explained(request_failed(kube::Error::Api(expired()))).unwrap();
            assert!(fault.remedy.contains("lists anew"), "{fault:?}");
        }
    }

    #[test]
    fn a_connection_that_fails_is_told_by_its_cause() {
        let cause = std::io::Error::other("connection refused");
        let error = watcher::Error::WatchStartFailed(kube::Error::Service(Box::new(cause)));
        let fault = explain(&error, &Subject::of::<ConfigMap>(), &Scope::Cluster).unwrap();
        assert_eq!(
            (fault.words.as_str(), fault.remedy.contains("can be reached")),
            ("connection refused", true)
        );
    }
}
