//! Why a request to the API server failed, in a few words that hold no secret.

use std::{error::Error, io};

use kube::client::AuthError;

/// Longest text, in characters.
const LENGTH: usize = 300;

/// What the API server said, or the innermost cause of the failure: kube's own words wrap it in phrases that tell a user
/// of the operator nothing. Never a part of a request, of an answer's content, or of what a credential plugin printed.
pub(super) fn cause(error: &kube::Error) -> String {
    let words = match error {
        kube::Error::Api(status) if status.message.is_empty() => format!("status {} without a message", status.code),
        kube::Error::Api(status) => status.message.clone(),
        // Its words can quote the content that was not expected.
        kube::Error::SerdeError(error) => format!("the answer is not as expected ({:?} error)", error.classify()),
        error => of_transport(error),
    };
    words.chars().take(LENGTH).collect()
}

fn of_transport(error: &kube::Error) -> String {
    let credentials = chain(error).find_map(|error| error.downcast_ref::<AuthError>());
    if let Some(error) = credentials {
        return of_credentials(error);
    }
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// Why there is nothing to authenticate with. What a plugin printed stays out: it can be the credential itself.
pub(super) fn of_credentials(error: &AuthError) -> String {
    match error {
        // The command has its arguments and its part of the environment in it.
        AuthError::AuthExecRun { out, .. } => format!("the credential plugin failed with {}", out.status),
        AuthError::AuthExecStart(error) => format!("the credential plugin cannot be started: {error}"),
        AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_) | AuthError::MalformedTokenExpirationDate(_) => {
            "the credential plugin printed no usable credential".to_owned()
        }
        AuthError::ReadTokenFile(error, path) => format!("the token file {} cannot be read: {error}", path.display()),
        AuthError::InvalidBearerToken(_) | AuthError::InvalidBasicAuth(_) => {
            "the token or password has characters that cannot be sent".to_owned()
        }
        // kube's own sentences; what they name is the provider of the kubeconfig.
        AuthError::AuthExec(_)
        | AuthError::ExecPluginFailed
        | AuthError::MissingCommand
        | AuthError::ExecMissingClusterInfo
        | AuthError::UnrefreshableTokenResponse => error.to_string(),
        _ => "there is no usable credential".to_owned(),
    }
}

/// The error and all its causes, the innermost last. An [`io::Error`] can hold another error that `source` steps over.
pub(super) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process};

    use kube::core::Status;

    use super::*;

    #[test]
    fn the_api_servers_own_words_are_told() {
        let status = Status::failure("quota exceeded", "Forbidden").with_code(403);
        assert_eq!(cause(&kube::Error::Api(status.boxed())), "quota exceeded");
        let status = Status::failure("", "").with_code(502);
        assert_eq!(cause(&kube::Error::Api(status.boxed())), "status 502 without a message");
    }

    #[test]
    fn the_innermost_cause_is_told() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let wrapped = io::Error::other(io::Error::other(refused));
        assert_eq!(cause(&kube::Error::Service(wrapped.into())), "connection refused");
    }

    #[test]
    fn what_an_answer_holds_is_not_told() {
        let error = serde_json::from_str::<u32>(r#""eyJhbGciOi""#).unwrap_err();
        assert!(error.to_string().contains("eyJhbGciOi"), "serde quotes it");
        assert_eq!(
            cause(&kube::Error::SerdeError(error)),
            "the answer is not as expected (Data error)"
        );
    }

    #[test]
    fn what_a_credential_plugin_printed_is_not_told() {
        let out = process::Output {
            status: process::ExitStatus::from_raw(256),
            stdout: b"eyJhbGciOi".to_vec(),
            stderr: b"password hunter2".to_vec(),
        };
        let error = AuthError::AuthExecRun {
            cmd: r#"AAD_SECRET="hunter2" "kubelogin" "--client-secret" "hunter2""#.into(),
            out: Box::new(out),
        };
        assert_eq!(
            cause(&kube::Error::Service(error.into())),
            "the credential plugin failed with exit status: 1"
        );
    }

    #[test]
    fn a_long_text_is_cut() {
        let status = Status::failure(&"é".repeat(1000), "Forbidden").with_code(403);
        assert_eq!(cause(&kube::Error::Api(status.boxed())).chars().count(), 300);
    }
}
