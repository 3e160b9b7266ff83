//! Which cluster to talk to, and how.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use kube::{
    Config,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::ConnectError;

/// The order is that of controller-runtime. kube's own `Config::infer` falls back to the pod when a kubeconfig is broken,
/// so that a typing error could end in another cluster.
pub(super) async fn find() -> Result<Config, ConnectError> {
    if let Some(paths) = kubeconfig_variable() {
        return of_files(&paths).await;
    }
    match Config::incluster() {
        Ok(config) => Ok(config),
        Err(InClusterError::ReadEnvironmentVariable(_)) => of_home(env::home_dir()).await,
        Err(error) => Err(ConnectError::service_account(&error)),
    }
}

/// An empty one counts as not set.
#[allow(
    clippy::disallowed_methods,
    reason = "a convention of Kubernetes' clients, which kube reads by itself as well"
)]
fn kubeconfig_variable() -> Option<OsString> {
    env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty())
}

async fn of_home(home: Option<PathBuf>) -> Result<Config, ConnectError> {
    let default = home.unwrap_or_default().join(".kube/config");
    if default.exists() {
        of_files(default.as_os_str()).await
    } else {
        Err(ConnectError::NoCluster { default })
    }
}

/// `paths` as in `KUBECONFIG`: one path or a list of them.
pub(super) async fn of_files(paths: &OsStr) -> Result<Config, ConnectError> {
    let mut merged = Kubeconfig::default();
    for path in env::split_paths(paths).filter(|path| !path.as_os_str().is_empty()) {
        merged = Kubeconfig::read_from(&path)
            .and_then(|kubeconfig| merged.merge(kubeconfig))
            .map_err(|error| ConnectError::kubeconfig(&path.to_string_lossy(), error))?;
    }
    of_kubeconfig(merged)
        .await
        .map_err(|error| ConnectError::kubeconfig(&paths.to_string_lossy(), error))
}

async fn of_kubeconfig(kubeconfig: Kubeconfig) -> Result<Config, KubeconfigError> {
    let wants_proxy = names_proxy(&kubeconfig);
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    if !wants_proxy {
        // kube takes HTTPS_PROXY here, and never asks NO_PROXY about the API server.
        config.proxy_url = None;
    }
    Ok(config)
}

/// Whether the cluster of the current context has a `proxy-url`.
fn names_proxy(kubeconfig: &Kubeconfig) -> bool {
    let context = kubeconfig
        .contexts
        .iter()
        .filter(|named| Some(&named.name) == kubeconfig.current_context.as_ref())
        .find_map(|named| named.context.as_ref());
    let cluster = context.and_then(|context| {
        let mut clusters = kubeconfig.clusters.iter();
        clusters.find(|named| named.name == context.cluster)?.cluster.as_ref()
    });
    cluster.is_some_and(|cluster| cluster.proxy_url.as_ref().is_some_and(|url| !url.is_empty()))
}
