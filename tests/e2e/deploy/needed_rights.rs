//! What the operator finds out about its own rights.

use acs_operator::{
    api::CommunicationUser,
    cluster::{
        ObjectKey, Scope,
        rights::{NEEDED, NEEDED_TO_LEAD, Part, missing, missing_to_lead},
    },
};
use k8s_openapi::api::{core::v1::Secret, rbac::v1::RoleBinding};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{OPERATOR, client_as, documents::blocks, ensure_namespace, installed, objects, path};

#[tokio::test]
async fn with_the_shipped_role_no_right_is_missing() {
    let client = client_as(OPERATOR).await;
    let scopes = [Scope::Cluster, Scope::Namespace("default".into())];
    assert_eq!(missing(&client, &scopes).await, []);
    let lease = ObjectKey::namespaced("acs-operator-system", "acs-operator");
    assert_eq!(missing_to_lead(&client, &lease).await, []);
}

#[tokio::test]
async fn another_lease_than_the_shipped_one_takes_another_role() {
    let client = client_as(OPERATOR).await;
    let lease = |namespace| ObjectKey::namespaced(namespace, "team-a");
    let told = |missing: Vec<acs_operator::cluster::rights::MissingRight>| -> Vec<String> {
        missing.iter().map(ToString::to_string).collect()
    };
    let of_another_name = told(missing_to_lead(&client, &lease("acs-operator-system")).await);
    let expected = ["get", "list", "watch", "patch"]
        .map(|verb| format!("{verb} leases.coordination.k8s.io in namespace acs-operator-system"));
    assert_eq!(of_another_name, expected);
    let elsewhere = missing_to_lead(&client, &lease("default")).await;
    assert_eq!(elsewhere.len(), NEEDED_TO_LEAD.len());
}

#[tokio::test]
async fn an_account_without_a_role_misses_every_right() {
    let missing = missing(&client_as("nobody").await, &[Scope::Cluster]).await;
    assert_eq!(missing.len(), NEEDED.len());
    let told: Vec<String> = missing.iter().map(ToString::to_string).collect();
    assert!(
        told.contains(&"patch communicationusers/status.acs-operator.dev in the cluster".to_owned()),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_role_in_one_namespace_is_enough_for_that_namespace_only() {
    const NAMESPACE: &str = "rights-in-one-namespace";
    ensure_namespace(NAMESPACE).await;
    let bindings: Api<RoleBinding> = Api::namespaced(installed().client().await.unwrap(), NAMESPACE);
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "acs-operator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "acs-operator"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "namespaced-operator"}],
    }))
    .unwrap();
    bindings.create(&PostParams::default(), &binding).await.unwrap();
    let client = client_as("namespaced-operator").await;
    let here = Scope::Namespace(NAMESPACE.into());
    // The authorizer learns of a binding by a watch.
    let allowed = async {
        loop {
            let missing = missing(&client, std::slice::from_ref(&here)).await;
            if missing.iter().all(|missing| missing.right.part != Part::Served) {
                return missing;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let still = tokio::time::timeout(std::time::Duration::from_secs(30), allowed)
        .await
        .unwrap();
    assert!(still.iter().all(|missing| missing.scope == Scope::Cluster), "{still:?}");
    let of_the_namespace = [Part::Served, Part::HoldingClusterConnections];
    let optional = NEEDED.iter().filter(|right| !of_the_namespace.contains(&right.part));
    assert_eq!(
        still.len(),
        optional.count(),
        "a RoleBinding grants nothing in the cluster"
    );
    assert_eq!(missing(&client, &[Scope::Cluster]).await.len(), NEEDED.len());
}

#[tokio::test]
async fn the_rights_on_the_page_of_connections_are_all_that_an_operator_of_some_namespaces_needs() {
    const ACCOUNT: &str = "operator-of-some-namespaces";
    ensure_namespace("contact-center").await;
    let page = std::fs::read_to_string(path("docs/connections.md")).unwrap();
    let mut rights: Vec<_> = blocks(&page, "yaml").iter().flat_map(|block| objects(block)).collect();
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
