//! Why a request to the API server failed, as far as the caller acts differently on it.

use kube::core::{Status, response::reason};

use crate::cluster::{
    cause::{cause, chain},
    fence::NotLeading,
};

/// Why a request to the API server failed. The words come from the API server or name the fault of the connection; they
/// never hold a value that was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The object is not the observed version any more, or exists where none was expected.
    #[error("the object was changed by someone else in the meantime")]
    Conflict,
    /// There is no such object, or another one with the same name.
    #[error("the object does not exist any more")]
    Gone,
    /// The API server understood and refused.
    #[error("the API server refuses it: {0}")]
    Refused(String),
    /// The API server could not be reached, was too slow, or failed. The request may have been carried out.
    #[error("the API server cannot be reached or does not work: {0}")]
    Unavailable(String),
    /// It was not sent: this process does not hold the lease any more.
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
}

impl WriteError {
    /// What a failed request about the object `name` means.
    pub(in crate::cluster) fn of(error: &kube::Error, name: &str) -> Self {
        match error {
            kube::Error::Api(status) => Self::judged(status, name, cause(error)),
            error => match chain(error).find_map(|cause| cause.downcast_ref::<NotLeading>()) {
                Some(refusal) => Self::NotLeading(*refusal),
                None => Self::Unavailable(cause(error)),
            },
        }
    }

    /// What a conflict is over an object that is still the version that was seen, as a webhook may tell of one: to look and write again
    /// at once would go on for ever.
    pub fn conflict_over_nothing() -> Self {
        Self::Unavailable("it refuses the write as a conflict, although the object is as it was seen".to_owned())
    }

    fn judged(status: &Status, name: &str, words: String) -> Self {
        match status.code {
            404 => Self::not_found(status, name, words),
            409 => Self::Conflict,
            // An object of another uid, in the version that was asked for.
            422 if names_field(status, "metadata.uid") => Self::Conflict,
            // It says something of this process's account, and nothing of the object.
            401 => Self::Unavailable(format!("it does not accept the operator's credentials: {words}")),
            // 410: a list of many pages took so long that its beginning is history.
            408 | 410 | 429 | 500..=599 => Self::Unavailable(words),
            _ => Self::Refused(words),
        }
    }

    /// 404 is the answer about more than objects: where a definition is (still, or again) not served, and from a proxy.
    /// To take that for the object's end would be to forget an object that lives.
    fn not_found(status: &Status, name: &str, words: String) -> Self {
        let details = status.details.as_ref().filter(|_| status.reason == reason::NOT_FOUND);
        match details {
            Some(details) if details.kind == "namespaces" => Self::Refused(words),
            Some(details) if details.name == name => Self::Gone,
            _ => Self::Unavailable(format!("it does not serve this kind of object: {words}")),
        }
    }
}

fn names_field(status: &Status, field: &str) -> bool {
    let details = status.details.iter();
    details
        .flat_map(|details| &details.causes)
        .any(|cause| cause.field == field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error_of(status: serde_json::Value) -> WriteError {
        let status: Status = serde_json::from_value(status).unwrap();
        WriteError::of(&kube::Error::Api(status.boxed()), "alice")
    }

    #[test]
    fn only_the_api_servers_word_about_this_object_makes_it_gone() {
        let not_found =
            |details| error_of(json!({"code": 404, "reason": "NotFound", "message": "no", "details": details}));
        assert_eq!(
            not_found(json!({"name": "alice", "kind": "communicationusers"})),
            WriteError::Gone
        );
        assert!(matches!(
            not_found(json!({"name": "alice", "kind": "namespaces"})),
            WriteError::Refused(_)
        ));
        assert!(matches!(not_found(json!({})), WriteError::Unavailable(_)));
        assert!(matches!(not_found(json!(null)), WriteError::Unavailable(_)));
        // As kube makes it of an answer that is no Status.
        let page =
            error_of(json!({"code": 404, "reason": "Failed to parse error data", "message": "404 page not found"}));
        assert_eq!(
            page,
            WriteError::Unavailable("it does not serve this kind of object: 404 page not found".into())
        );
    }

    #[test]
    fn what_the_server_may_do_right_the_next_time_is_no_refusal() {
        for code in [401, 408, 410, 429, 500, 503, 504] {
            let error = error_of(json!({"code": code, "message": "words"}));
            assert!(
                matches!(&error, WriteError::Unavailable(words) if words.contains("words")),
                "{code}: {error}"
            );
        }
        for code in [400, 403, 413, 422] {
            assert_eq!(
                error_of(json!({"code": code, "message": "words"})),
                WriteError::Refused("words".into()),
                "{code}"
            );
        }
    }

    #[test]
    fn an_object_of_another_uid_is_a_conflict_however_it_is_told() {
        let causes = json!([{"field": "metadata.uid", "message": "field is immutable"}]);
        let invalid = json!({"code": 422, "reason": "Invalid", "message": "no", "details": {"causes": causes}});
        assert_eq!(error_of(invalid), WriteError::Conflict);
        assert_eq!(error_of(json!({"code": 409, "message": "no"})), WriteError::Conflict);
    }
}
