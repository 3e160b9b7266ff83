//! The overlay for an operator that serves some namespaces only.

use acs_emulator::{Config, Emulator};
use acs_operator::{
    api::CommunicationUser,
    cluster::{Scope, rights::missing},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{client_as, ensure_namespace, installed, objects, path, reader::Reader};

/// A team with a connection of its own, one that uses the shared connection, and one in a namespace that is not served.
const USERS: &str = r#"
read -r CONNECTION_STRING
for secret in acs-operator-system/shared/connectionString contact-center/contoso/primaryConnectionString
do
  IFS=/ read -r namespace name key <<< "$secret"
  kubectl -n "$namespace" create secret generic "$name" --from-literal="$key=$CONNECTION_STRING"
done
kubectl apply -f deploy/samples/connections/shared.yaml \
  -f deploy/samples/connections/connection-strings.yaml -f deploy/samples/connections/user.yaml
for namespace in contact-center elsewhere
do
  kubectl -n "$namespace" apply -f - <<< '
    apiVersion: acs-operator.dev/v1beta1
    kind: CommunicationUser
    metadata: {name: of-shared}
    spec:
      connectionRef: {kind: ClusterCommunicationConnection, name: shared}
      token: {scopes: [voip]}'
done
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_overlay_installs_an_operator_that_serves_its_namespaces_with_the_rights_it_has_and_leaves_the_others_alone()
 {
    let emulator = Emulator::start(Config::default()).unwrap();
    let mut reader = Reader::new(vec![emulator.control().connection_string()]);
    reader.types("kubectl create namespace contact-center && kubectl create namespace elsewhere");
    reader.types("kubectl apply -k deploy/overlays/namespaced");
    reader.types(USERS);
    reader.plays_kubelet();
    reader.types(
        "kubectl -n contact-center wait --for=condition=Ready --timeout=60s communicationconnection/contoso \
         communicationuser/agent-1 communicationuser/of-shared",
    );
    assert_eq!(emulator.control().identities().len(), 2);

    let touched = "{.metadata.finalizers}{.status.conditions}";
    let elsewhere = format!("kubectl -n elsewhere get communicationuser of-shared -o jsonpath='{touched}'");
    assert_eq!(reader.types(&elsewhere), "", "it is not served");
    let shared = format!("kubectl get clustercommunicationconnection shared -o jsonpath='{touched}'");
    assert_eq!(
        reader.types(&shared),
        "",
        "nothing is written to what others use as well"
    );
    let log = reader.log();
    for told in ["forbidden", "rights are missing"] {
        assert!(!log.contains(told), "no right is missing:\n{log}");
    }
}

#[tokio::test]
async fn the_rights_of_the_overlay_are_all_that_an_operator_of_some_namespaces_needs() {
    const ACCOUNT: &str = "operator-of-some-namespaces";
    ensure_namespace("contact-center").await;
    let overlay = path("deploy/overlays/namespaced");
    let mut rights = objects(&installed().kubectl(["kustomize", &overlay]).unwrap());
    rights.retain(|object| {
        // To lead is the same for all, and the shipped account has it already.
        object["apiVersion"] == "rbac.authorization.k8s.io/v1" && object["metadata"]["name"] != "acs-operator-lease"
    });
    for right in &mut rights {
        // An account of its own, so that it has no other rights.
        if right.get("subjects").is_some() {
            right["subjects"] = json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": ACCOUNT}]);
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    serde_json::to_writer(
        file.as_file(),
        &json!({"apiVersion": "v1", "kind": "List", "items": rights}),
    )
    .unwrap();
    installed()
        .kubectl(["apply", "-f", &file.path().to_string_lossy()])
        .unwrap();

    let client = client_as(ACCOUNT).await;
    let there = Scope::Namespace("contact-center".into());
    // The authorizer learns of a binding by a watch.
    let nothing_is_missing = async {
        while !missing(&client, std::slice::from_ref(&there)).await.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(30), nothing_is_missing).await;
    assert!(in_time.is_ok(), "{:?}", missing(&client, &[there]).await);
    let users: Api<CommunicationUser> = Api::namespaced(client.clone(), "contact-center");
    let user = serde_json::from_value(json!({"metadata": {"name": "of-a-page"}, "spec": {}})).unwrap();
    let by_admin: Api<CommunicationUser> = Api::namespaced(installed().client().await.unwrap(), "contact-center");
    by_admin.create(&PostParams::default(), &user).await.unwrap();
    let identity = json!({"status": {"observedGeneration": 1, "identity": {"origin": "Created"}}});
    let (params, patch) = (PatchParams::default(), Patch::Merge(identity));
    let told = users.patch_status("of-a-page", &params, &patch).await;
    assert!(told.is_ok(), "the policy lets it say whose an identity is: {told:?}");

    let secrets: Api<Secret> = Api::namespaced(client, "acs-operator-system");
    for (name, allowed) in [("shared", true), ("acs-operator-connection", false)] {
        let named = ListParams::default().fields(&format!("metadata.name={name}"));
        let listed = secrets.list(&named).await;
        assert_eq!(listed.is_ok(), allowed, "{name}: {listed:?}");
    }
}

#[test]
fn a_second_installation_takes_no_object_from_the_first_and_its_bindings_are_of_its_own_account_and_roles() {
    let rendered = |overlay: &str| {
        let overlay = path(&format!("deploy/overlays/{overlay}"));
        let mut all = objects(&installed().kubectl(["kustomize", &overlay]).unwrap());
        // These are the same for all.
        all.retain(|object| !["CustomResourceDefinition", "Namespace"].contains(&object["kind"].as_str().unwrap()));
        all
    };
    let name = |object: &Value| {
        (
            object["kind"].clone(),
            object["metadata"].get("namespace").cloned(),
            object["metadata"]["name"].clone(),
        )
    };
    let (first, second) = (rendered("namespaced"), rendered("second"));
    let names: Vec<_> = second.iter().map(name).collect();
    assert_eq!(second.len(), first.len());
    for object in &first {
        assert!(!names.contains(&name(object)), "{:?}", name(object));
    }
    let is_there = |kind: &str, name: &Value| {
        second
            .iter()
            .any(|object| object["kind"] == kind && object["metadata"]["name"] == *name)
    };
    let bindings: Vec<_> = second.iter().filter(|object| object.get("roleRef").is_some()).collect();
    assert_eq!(bindings.len(), 5);
    for binding in bindings {
        let (role, subject) = (&binding["roleRef"], &binding["subjects"][0]);
        assert!(is_there(role["kind"].as_str().unwrap(), &role["name"]), "{role}");
        assert!(is_there("ServiceAccount", &subject["name"]), "{subject}");
    }
    let operator = second.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let pod = &operator["spec"]["template"];
    assert!(is_there("ServiceAccount", &pod["spec"]["serviceAccountName"]));
    let labels = &pod["metadata"]["labels"];
    assert_eq!(&operator["spec"]["selector"]["matchLabels"], labels);
    let of_kind = |kind: &str, name: &str| {
        let mut all = second.iter();
        all.find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
            .unwrap()
    };
    let budget = of_kind("PodDisruptionBudget", "acs-operator-second");
    assert_eq!(
        budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/instance"],
        labels["app.kubernetes.io/instance"]
    );
    let environment = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    let lease = environment
        .iter()
        .find(|variable| variable["name"] == "ACS_OPERATOR_LEASE_NAME");
    assert_eq!(
        of_kind("Role", "acs-operator-lease-second")["rules"][0]["resourceNames"],
        json!([lease.unwrap()["value"]])
    );
    assert_ne!(
        labels,
        &first.iter().find(|object| object["kind"] == "Deployment").unwrap()["spec"]["template"]["metadata"]["labels"]
    );
}
