//! Installing, and that the pods would be admitted.

use serde_json::{Value, json};

use super::{dry_run, ensure_namespace, installed, objects, path};

/// One test, because each step builds on who owned the fields before.
#[tokio::test]
async fn applying_twice_changes_nothing_and_server_side_apply_and_the_other_overlays_follow_without_a_conflict() {
    let budget = || {
        let version = ["-o", "jsonpath={.metadata.resourceVersion}"];
        let get = [
            "-n",
            "acs-operator-system",
            "get",
            "poddisruptionbudget",
            "acs-operator",
        ];
        installed().kubectl(get.into_iter().chain(version)).unwrap()
    };
    let before = budget();
    let again = installed().kubectl(["apply", "-k", &path("deploy")]).unwrap();
    assert!(again.lines().count() > 10, "{again}");
    for line in again.lines() {
        // kubectl sends the selector of a budget whatever is stored, because a patch replaces it whole.
        let is_budget = line.starts_with("poddisruptionbudget.policy/");
        assert!(is_budget || line.ends_with(" unchanged"), "{line}");
    }
    assert_eq!(budget(), before);
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
    // The default of --drain-timeout, then the last events, and giving the lease back with three requests of 3 s.
    assert!(grace > 25 + 2 + 3 * 3, "{grace}");
}

#[test]
fn an_update_starts_a_new_replica_before_it_ends_an_old_one_and_nodes_are_drained_one_after_the_other() {
    let rendered = installed().kubectl(["kustomize", &path("deploy")]).unwrap();
    let objects = objects(&rendered);
    let of_kind = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap();
    let deployment = &of_kind("Deployment")["spec"];
    assert_eq!(deployment["replicas"], 2);
    assert_eq!(
        deployment["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
    );
    let budget = &of_kind("PodDisruptionBudget")["spec"];
    assert_eq!(budget["maxUnavailable"], 1);
    assert_eq!(
        budget["selector"], deployment["selector"],
        "of these pods and no others"
    );
    for spread in deployment["template"]["spec"]["topologySpreadConstraints"]
        .as_array()
        .unwrap()
    {
        assert_eq!(spread["labelSelector"], deployment["selector"]);
        assert_eq!(spread["whenUnsatisfiable"], "ScheduleAnyway", "one node is enough");
    }
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
