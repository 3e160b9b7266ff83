//! The shipped manifests on the control plane, and the account that they give the operator.

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::{Context, Result, ensure};
use kube::{
    Client, Config,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use crate::{ControlPlane, control_plane::workspace, operator::FreeLease};

/// The namespace of the shipped manifests.
pub const OPERATOR_NAMESPACE: &str = "acs-operator-system";

/// The account of the shipped manifests.
pub const OPERATOR_ACCOUNT: &str = "acs-operator";

/// The Lease of the shipped manifests, and what allows it.
pub const LEASE: &str = "acs-operator";
const LEASE_ROLE: &str = "acs-operator-lease";

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

    /// Lets the operator's account have the Lease of the shipped name in every namespace, as it may in the one that the manifests
    /// are for: operators of many tests share a control plane, and each has a namespace of its own.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub(crate) fn allow_leases_everywhere(&self) -> Result<()> {
        let role = self.kubectl(["-n", OPERATOR_NAMESPACE, "get", "role", LEASE_ROLE, "-o", "json"])?;
        let role: serde_json::Value = serde_json::from_str(&role)?;
        let (group, name) = ("rbac.authorization.k8s.io", "acs-operator-lease-everywhere");
        let rights = json!({"apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": name},
                "rules": role["rules"],
            },
            {
                "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": OPERATOR_ACCOUNT, "namespace": OPERATOR_NAMESPACE}],
            },
        ]});
        let file = tempfile::NamedTempFile::new()?;
        serde_json::to_writer(file.as_file(), &rights)?;
        self.kubectl(["apply", "--server-side", "-f", &file.path().to_string_lossy()])
            .map(drop)
    }

    /// What deletes the Lease of an operator that lives in this namespace.
    pub(crate) fn lease_deletion(&self, namespace: &str) -> FreeLease {
        let mut command = self.kubectl_command();
        command.args(["-n", namespace, "delete", "lease", LEASE, "--ignore-not-found"]);
        let command = std::sync::Mutex::new(command);
        Box::new(move || {
            let mut command = command.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let output = command.output().context("run kubectl")?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Ok(())
        })
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
