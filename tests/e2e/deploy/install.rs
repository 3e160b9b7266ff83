//! Installing, and that the pods would be admitted.

use serde_json::{Value, json};

use super::{dry_run, ensure_namespace, installed, objects, path};

/// One test, because each step builds on who owned the fields before.
#[tokio::test]
async fn applying_twice_changes_nothing_and_server_side_apply_and_the_other_overlays_follow_without_a_conflict() {
    let again = installed().kubectl(["apply", "-k", &path("deploy")]).unwrap();
    assert!(again.lines().count() > 10, "{again}");
    for line in again.lines() {
        assert!(line.ends_with(" unchanged"), "{line}");
    }
    let server_side = ["apply", "--server-side", "-k"];
    installed()
        .kubectl(server_side.into_iter().chain([path("deploy").as_str()]))
        .unwrap();
    for namespace in ["contact-center", "billing"] {
        ensure_namespace(namespace).await;
    }
    for overlay in ["emulator", "namespaced", "second"] {
        let overlay = path(&format!("deploy/overlays/{overlay}"));
        let dry = server_side.into_iter().chain([overlay.as_str(), "--dry-run=server"]);
        installed().kubectl(dry).unwrap();
    }
}

#[test]
fn no_key_is_in_the_manifests_and_the_emulators_reaches_the_operator_by_expansion() {
    let rendered = installed()
        .kubectl(["kustomize", &path("deploy/overlays/emulator")])
        .unwrap();
    assert!(objects(&rendered).iter().all(|object| object["kind"] != "Secret"));
    let operator = deployment(&rendered, "acs-operator");
    let variables = operator["containers"][0]["env"].as_array().unwrap();
    let position = |name: &str| variables.iter().position(|variable| variable["name"] == name).unwrap();
    // A variable is expanded from those before it.
    let (key, connection) = (
        position("ACS_EMULATOR_PRIMARY_KEY"),
        position("COMMUNICATION_SERVICES_CONNECTION_STRING"),
    );
    assert!(key < connection);
    let value = variables[connection]["value"].as_str().unwrap();
    assert_eq!(
        value,
        "endpoint=http://acs-emulator:9080/;accesskey=$(ACS_EMULATOR_PRIMARY_KEY)"
    );
}

#[test]
fn the_pods_keep_to_the_restricted_pod_security_standard_which_their_namespace_enforces() {
    let rendered = |overlay: &str| {
        let overlay = path(&format!("deploy/overlays/{overlay}"));
        installed().kubectl(["kustomize", &overlay]).unwrap()
    };
    for (overlay, name) in [
        ("namespaced", "acs-operator"),
        ("emulator", "acs-operator"),
        ("emulator", "acs-emulator"),
    ] {
        let pod = pod(name, &deployment(&rendered(overlay), name));
        dry_run(&pod).unwrap_or_else(|error| panic!("{overlay}, {name}: {error}"));
    }
    let rendered = rendered("emulator");
    // The standard is enforced: the same pod as root is not admitted.
    let mut rooted = deployment(&rendered, "acs-operator");
    rooted["securityContext"]["runAsNonRoot"] = json!(false);
    let refused = dry_run(&pod("rooted", &rooted)).unwrap_err().to_string();
    assert!(refused.contains("violates PodSecurity \"restricted"), "{refused}");
}

#[test]
fn the_pod_has_longer_to_end_than_the_operator_to_drain() {
    let rendered = installed().kubectl(["kustomize", &path("deploy")]).unwrap();
    let grace = deployment(&rendered, "acs-operator")["terminationGracePeriodSeconds"]
        .as_u64()
        .unwrap();
    // The default of --drain-timeout and the second that the admin port takes.
    assert!(grace > 25 + 1, "{grace}");
}

#[tokio::test]
async fn deploying_into_a_cluster_with_samples_needs_only_the_samples_namespace() {
    ensure_namespace("contact-center").await;
    let samples = path("deploy/samples");
    let told = installed()
        .kubectl(["apply", "--dry-run=server", "-f", &samples])
        .unwrap();
    // Connections are in a directory of their own: the one named default would change whom the others belong to.
    let entries = std::fs::read_dir(&samples).unwrap();
    let files = entries.filter(|entry| entry.as_ref().unwrap().path().is_file());
    assert_eq!(told.lines().count(), files.count(), "{told}");
}

/// The pod template's spec of a Deployment.
fn deployment(rendered: &str, name: &str) -> Value {
    let found = objects(rendered)
        .into_iter()
        .find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no Deployment {name}"))["spec"]["template"]["spec"].clone()
}

fn pod(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "acs-operator-system"},
        "spec": spec,
    })
}
