//! What the operator finds out about its own rights.

use std::time::Duration;

use acs_operator::cluster::{
    ObjectKey, Scope,
    rights::{MissingRight, NEEDED, NEEDED_TO_LEAD, Part, missing, missing_to_lead},
};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{Api, api::PostParams};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{OPERATOR, client_as, ensure_namespace, installed};

/// What is missing in the end: the authorizer learns of a binding by a watch.
async fn in_the_end<F: Future<Output = Vec<MissingRight>>>(missing: impl Fn() -> F, expected: usize) -> Vec<String> {
    let as_expected = async {
        loop {
            let missing = missing().await;
            if missing.len() == expected {
                return missing;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let missing = match timeout(Duration::from_secs(30), as_expected).await {
        Ok(missing) => missing,
        Err(_) => missing().await,
    };
    missing.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn with_the_shipped_role_no_right_is_missing() {
    let client = client_as(OPERATOR).await;
    let scopes = [Scope::Cluster, Scope::Namespace("default".into())];
    assert_eq!(in_the_end(|| missing(&client, &scopes), 0).await, [""; 0]);
    let lease = ObjectKey::namespaced("acs-operator-system", "acs-operator");
    assert_eq!(in_the_end(|| missing_to_lead(&client, &lease), 0).await, [""; 0]);
}

#[tokio::test]
async fn another_lease_than_the_shipped_one_takes_another_role() {
    let client = client_as(OPERATOR).await;
    let lease = |namespace| ObjectKey::namespaced(namespace, "team-a");
    let of_another_name = lease("acs-operator-system");
    let expected = ["get", "list", "watch", "patch"]
        .map(|verb| format!("{verb} leases.coordination.k8s.io in namespace acs-operator-system"));
    let told = in_the_end(|| missing_to_lead(&client, &of_another_name), expected.len()).await;
    assert_eq!(told, expected);
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
            sleep(Duration::from_millis(50)).await;
        }
    };
    let still = timeout(Duration::from_secs(30), allowed).await.unwrap();
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
