//! The shipped manifests on a real API server: that they are accepted, and what they allow to whom.
//!
//! They are cluster-wide, so these tests have a control plane of their own.

use std::{path::PathBuf, sync::OnceLock};

use acs_operator_testbed::ControlPlane;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

mod connections_page;
mod documents;
mod install;
mod namespaced;
mod needed_rights;
mod policy;
mod reader;
mod readme;
mod rights;

pub(crate) use documents::samples;

const OPERATOR: &str = "system:serviceaccount:acs-operator-system:acs-operator";

/// A control plane with `kubectl apply -k deploy` done to it. A failure is not tried again for every test.
fn installed() -> &'static ControlPlane {
    static INSTALLED: OnceLock<anyhow::Result<ControlPlane>> = OnceLock::new();
    let install = || {
        let control_plane = ControlPlane::start()?;
        control_plane.kubectl(["apply", "-k", &path("deploy")])?;
        let established = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
        control_plane.kubectl(established)?;
        Ok(control_plane)
    };
    match INSTALLED.get_or_init(install) {
        Ok(control_plane) => control_plane,
        Err(error) => panic!("deploy/ is not installed: {error:#}"),
    }
}

/// A path of the repository.
fn path(relative: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative);
    path.to_str().unwrap().to_owned()
}

/// A client that acts as `user`.
async fn client_as(user: &str) -> Client {
    installed().client_as(user).await.unwrap()
}

/// Creates this namespace, if it is not there yet.
async fn ensure_namespace(name: &str) {
    let namespaces: Api<Namespace> = Api::all(installed().client().await.unwrap());
    let wanted: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    match namespaces.create(&PostParams::default(), &wanted).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => panic!("{error}"),
    }
}

/// The objects of a multi-document YAML text.
fn objects(yaml: &str) -> Vec<Value> {
    yaml.split("\n---\n")
        .filter(|document| {
            document
                .lines()
                .any(|line| !line.trim().is_empty() && !line.starts_with('#'))
        })
        .map(|document| serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error} in\n{document}")))
        .collect()
}

/// Lets the API server judge a manifest, without storing it.
fn dry_run(manifest: &Value) -> anyhow::Result<String> {
    let file = tempfile::NamedTempFile::new()?;
    serde_json::to_writer(file.as_file(), manifest)?;
    let name = file.path().to_string_lossy();
    installed().kubectl([
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "-f",
        &name,
    ])
}
