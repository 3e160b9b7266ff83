//! Why there is no client.

use std::path::PathBuf;

use kube::{
    client::RustlsTlsError,
    config::{InClusterError, KubeconfigError, LoadDataError},
};

use super::super::cause;

/// Why no client can be built. Waiting would not help: somebody has to change something.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor a pod.
    #[error(
        "there is no cluster to talk to: this is not a pod, KUBECONFIG is not set, and there is no {}; \
         set KUBECONFIG to the path of a kubeconfig file",
        default.display()
    )]
    NoCluster {
        /// Where a kubeconfig was looked for last.
        default: PathBuf,
    },
    /// A kubeconfig that cannot be used.
    #[error("the kubeconfig {path} cannot be used: {problem}")]
    Kubeconfig {
        /// Its path; several as in `KUBECONFIG`.
        path: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A pod without a usable ServiceAccount.
    #[error(
        "this pod's ServiceAccount cannot be used: {0}; see that the pod has a ServiceAccount and that \
         automountServiceAccountToken is not false"
    )]
    ServiceAccount(String),
    /// A certificate, a key or a credential that cannot be used.
    #[error("the API server cannot be authenticated to or verified: {0}")]
    Unusable(String),
}

impl ConnectError {
    pub(super) fn service_account(error: &InClusterError) -> Self {
        Self::ServiceAccount(error.to_string())
    }

    pub(super) fn kubeconfig(path: &str, error: KubeconfigError) -> Self {
        Self::Kubeconfig {
            path: path.to_owned(),
            problem: problem(error),
        }
    }

    pub(super) fn unusable(error: kube::Error) -> Self {
        Self::Unusable(match error {
            kube::Error::InferKubeconfig(error) => problem(error),
            kube::Error::Auth(error) => cause::of_credentials(&error),
            // Their words hold the user and password of the proxy.
            kube::Error::ProxyProtocolDisabled { .. } | kube::Error::ProxyProtocolUnsupported { .. } => {
                "the kubeconfig has a proxy-url, which is not supported: name a server that can be reached directly"
                    .to_owned()
            }
            kube::Error::RustlsTls(
                RustlsTlsError::InvalidIdentityPem(_)
                | RustlsTlsError::MissingPrivateKey
                | RustlsTlsError::MissingCertificate
                | RustlsTlsError::UnknownPrivateKeyFormat,
            ) => "the client certificate or the client key is not in PEM form".to_owned(),
            error => cause::cause(&error),
        })
    }
}

/// What is wrong, without a word of what the file holds but names.
fn problem(error: KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        // Its own words quote the file.
        KubeconfigError::Parse(error) => match error.location() {
            Some(at) => format!(
                "line {}, column {} is not what a kubeconfig has there",
                at.line(),
                at.column()
            ),
            None => "it is not a kubeconfig in YAML".to_owned(),
        },
        KubeconfigError::CurrentContextNotSet => {
            "it has no current-context; choose one with `kubectl config use-context NAME`".to_owned()
        }
        KubeconfigError::LoadContext(name) => format!(
            "its current-context {name:?} is not among its contexts; choose one with `kubectl config use-context NAME`"
        ),
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("the cluster {name:?} of its current-context is not among its clusters")
        }
        KubeconfigError::MissingClusterUrl => "the cluster of its current-context has no server".to_owned(),
        KubeconfigError::ParseClusterUrl(error) => {
            format!("the server of its current-context's cluster is not a URL: {error}")
        }
        KubeconfigError::ParseProxyUrl(error) => {
            format!("proxy-url, or HTTPS_PROXY where that is not given, is not a URL: {error}")
        }
        KubeconfigError::LoadCertificateAuthority(error) => material("certificate-authority", &error),
        KubeconfigError::LoadClientCertificate(error) => material("client-certificate", &error),
        KubeconfigError::LoadClientKey(error) => material("client-key", &error),
        KubeconfigError::ParseCertificates(_) => "its certificate-authority is not in PEM form".to_owned(),
        error @ (KubeconfigError::KindMismatch | KubeconfigError::ApiVersionMismatch | KubeconfigError::FindPath) => {
            error.to_string()
        }
    }
}

fn material(what: &str, error: &LoadDataError) -> String {
    match error {
        LoadDataError::DecodeBase64(_) => format!("{what}-data is not base64"),
        LoadDataError::ReadFile(error, path) => {
            format!("{what} {} cannot be read: {error}", path.display())
        }
        LoadDataError::NoBase64DataOrFile => format!("there is neither {what} nor {what}-data"),
    }
}
