//! The shipped manifests on the control plane, and the account that they give the operator.

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::{Context, Result};
use kube::{
    Client, Config,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use crate::{ControlPlane, control_plane::workspace};

/// The namespace of the shipped manifests.
pub const OPERATOR_NAMESPACE: &str = "acs-operator-system";

/// The account of the shipped manifests.
pub const OPERATOR_ACCOUNT: &str = "acs-operator";

/// A week: longer than any local world is used.
const TOKEN_LIFETIME: &str = "--duration=168h";

impl ControlPlane {
    /// Applies `deploy/`: rights, policy, Deployment. (Nothing runs the Deployment: there is no node here.)
    ///
    /// # Errors
    /// When the API server refuses any of it.
    pub fn install_manifests(&self) -> Result<()> {
        let directory = workspace().join("deploy");
        self.kubectl(["apply", "--server-side", "-k", &directory.to_string_lossy()])
            .map(drop)
    }

    /// A client with the rights of the operator's account, and nothing else. It sends each request once.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn operator_client(&self) -> Result<Client> {
        let kubeconfig = self.operator_kubeconfig()?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.default_retry = false;
        config.read_timeout = None;
        Ok(Client::try_from(config)?)
    }

    /// Writes a kubeconfig of the operator's account, readable for this user only.
    ///
    /// # Errors
    /// When there is no such account, or the file cannot be written.
    pub fn write_operator_kubeconfig(&self, path: &Path) -> Result<()> {
        let kubeconfig = self.operator_kubeconfig()?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("create {}", path.display()))?;
        // JSON is YAML.
        serde_json::to_writer(file, &kubeconfig).with_context(|| format!("write {}", path.display()))
    }

    fn operator_kubeconfig(&self) -> Result<Kubeconfig> {
        let token = self.kubectl([
            "-n",
            OPERATOR_NAMESPACE,
            "create",
            "token",
            OPERATOR_ACCOUNT,
            TOKEN_LIFETIME,
        ])?;
        let mut kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        for user in &mut kubeconfig.auth_infos {
            user.auth_info = Some(AuthInfo {
                token: Some(token.trim().to_owned().into()),
                ..AuthInfo::default()
            });
        }
        Ok(kubeconfig)
    }
}

/// Writes a kubeconfig for a server that needs no credentials, since it adds them itself.
///
/// # Errors
/// When the file cannot be written.
pub fn write_kubeconfig(path: &Path, server: &str) -> Result<()> {
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "gate", "cluster": {"server": server}}],
        "users": [{"name": "gate", "user": {}}],
        "contexts": [{"name": "gate", "context": {"cluster": "gate", "user": "gate"}}],
        "current-context": "gate",
    });
    // JSON is YAML.
    std::fs::write(path, serde_json::to_vec(&kubeconfig)?).with_context(|| format!("write {}", path.display()))
}
