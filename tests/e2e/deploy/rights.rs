//! Who may do what, asked of the API server's own authorizer.

use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
};
use kube::{Api, ResourceExt, api::PostParams};
use serde_json::json;

use super::{OPERATOR, ensure_namespace, installed};

const CLUSTER_CONNECTIONS: &str = "clustercommunicationconnections.acs-operator.dev";

/// May `user` do `verb` on `what` (`resource[/subresource][.group]`) in `namespace` (empty: everywhere)?
pub(super) async fn may(user: &str, verb: &str, what: &str, namespace: &str) -> bool {
    let (resource, group) = what.split_once('.').unwrap_or((what, ""));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()),
        group: Some(group.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(installed().client().await.unwrap());
    reviews
        .create(&PostParams::default(), &review)
        .await
        .unwrap()
        .status
        .unwrap()
        .allowed
}

#[tokio::test]
async fn the_operator_may_do_its_work_in_every_namespace() {
    for (verb, what) in [
        ("list", "communicationusers.acs-operator.dev"),
        ("watch", "communicationusers.acs-operator.dev"),
        ("patch", "communicationusers.acs-operator.dev"),
        ("assignidentity", "communicationusers.acs-operator.dev"),
        ("patch", "communicationusers/status.acs-operator.dev"),
        ("update", "communicationusers/finalizers.acs-operator.dev"),
        ("watch", "secrets"),
        ("create", "secrets"),
        ("patch", "secrets"),
        ("delete", "secrets"),
        ("create", "events.events.k8s.io"),
        ("watch", "communicationconnections.acs-operator.dev"),
        ("patch", "communicationconnections.acs-operator.dev"),
        ("patch", "communicationconnections/status.acs-operator.dev"),
        ("watch", "clustercommunicationconnections.acs-operator.dev"),
        ("patch", "clustercommunicationconnections.acs-operator.dev"),
        ("patch", "clustercommunicationconnections/status.acs-operator.dev"),
        ("watch", "namespaces"),
    ] {
        assert!(may(OPERATOR, verb, what, "").await, "{verb} {what}");
    }
}

#[tokio::test]
async fn the_operator_may_not_do_what_is_not_its_work() {
    for (verb, what) in [
        ("create", "communicationusers.acs-operator.dev"),
        ("update", "communicationusers.acs-operator.dev"),
        ("delete", "communicationusers.acs-operator.dev"),
        ("create", "communicationconnections.acs-operator.dev"),
        ("update", "communicationconnections.acs-operator.dev"),
        ("delete", "communicationconnections.acs-operator.dev"),
        ("create", "clustercommunicationconnections.acs-operator.dev"),
        ("update", "clustercommunicationconnections.acs-operator.dev"),
        ("delete", "clustercommunicationconnections.acs-operator.dev"),
        ("patch", "customresourcedefinitions.apiextensions.k8s.io"),
        ("update", "secrets"),
        ("deletecollection", "secrets"),
        ("create", "serviceaccounts/token"),
        ("impersonate", "users"),
        ("get", "configmaps"),
        ("create", "pods"),
        ("delete", "namespaces"),
        ("patch", "namespaces"),
        ("bind", "clusterroles.rbac.authorization.k8s.io"),
        ("escalate", "clusterroles.rbac.authorization.k8s.io"),
        ("patch", "validatingadmissionpolicies.admissionregistration.k8s.io"),
        // Any Lease: there is one that it may have.
        ("get", "leases.coordination.k8s.io"),
        ("list", "leases.coordination.k8s.io"),
        ("watch", "leases.coordination.k8s.io"),
        ("patch", "leases.coordination.k8s.io"),
        ("update", "leases.coordination.k8s.io"),
        ("delete", "leases.coordination.k8s.io"),
    ] {
        assert!(!may(OPERATOR, verb, what, "").await, "{verb} {what}");
        assert!(
            !may(OPERATOR, verb, what, "acs-operator-system").await,
            "{verb} {what} in its own namespace"
        );
    }
}

#[tokio::test]
async fn no_shipped_role_has_a_wildcard() {
    let client = installed().client().await.unwrap();
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let lease: Api<Role> = Api::namespaced(client, "acs-operator-system");
    let lease = lease.get("acs-operator-lease").await.unwrap().rules;
    let mut rules = vec![("acs-operator-lease", lease)];
    for name in [
        "acs-operator",
        "acs-operator-view",
        "acs-operator-edit",
        "acs-operator-admin",
    ] {
        rules.push((name, roles.get(name).await.unwrap().rules));
    }
    for (name, rules) in rules {
        for rule in rules.unwrap() {
            let words = [Some(rule.verbs), rule.resources, rule.api_groups]
                .into_iter()
                .flatten()
                .flatten();
            assert!(
                words.clone().all(|word| word != "*"),
                "{name}: {:?}",
                words.collect::<Vec<_>>()
            );
        }
    }
}

#[tokio::test]
async fn people_get_rights_with_the_roles_of_the_cluster_and_nobody_gets_status() {
    const NAMESPACE: &str = "rights-of-people";
    ensure_namespace(NAMESPACE).await;
    let bindings: Api<RoleBinding> = Api::namespaced(installed().client().await.unwrap(), NAMESPACE);
    for role in ["view", "edit", "admin"] {
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("{role}er")}],
        }))
        .unwrap();
        let created = bindings.create(&PostParams::default(), &binding).await.unwrap();
        assert_eq!(created.name_any(), role);
    }
    aggregated("admin").await;
    // The authorizer learns of bindings and of what was put into a role by watches.
    for (user, verb) in [("viewer", "get"), ("editer", "create"), ("adminer", "create")] {
        for kind in [
            "communicationusers.acs-operator.dev",
            "communicationconnections.acs-operator.dev",
        ] {
            eventually(async || may(user, verb, kind, NAMESPACE).await).await;
        }
    }

    for kind in ["communicationusers", "communicationconnections"] {
        let (object, status) = (
            format!("{kind}.acs-operator.dev"),
            format!("{kind}/status.acs-operator.dev"),
        );
        for verb in ["get", "list", "watch"] {
            assert!(may("viewer", verb, &object, NAMESPACE).await, "viewer {verb} {object}");
        }
        for verb in ["create", "update", "patch", "delete"] {
            assert!(!may("viewer", verb, &object, NAMESPACE).await, "viewer {verb} {object}");
            assert!(may("editer", verb, &object, NAMESPACE).await, "editer {verb} {object}");
            assert!(
                may("adminer", verb, &object, NAMESPACE).await,
                "adminer {verb} {object}"
            );
            assert!(
                !may("adminer", verb, &object, "default").await,
                "adminer {verb} {object} elsewhere"
            );
        }
        for user in ["viewer", "editer", "adminer"] {
            assert!(may(user, "get", &status, NAMESPACE).await, "{user} get {status}");
            for verb in ["update", "patch"] {
                assert!(!may(user, verb, &status, NAMESPACE).await, "{user} {verb} {status}");
            }
            assert!(
                !may(user, "assignidentity", &object, NAMESPACE).await,
                "{user} assignidentity {object}"
            );
        }
    }
    // Who administers a namespace does not administer what is cluster-wide.
    for verb in ["create", "update", "patch", "delete"] {
        assert!(!may("adminer", verb, CLUSTER_CONNECTIONS, "").await, "{verb}");
    }
}

/// Such a connection names a Secret of any namespace, or the operator's own identity. Who has `admin` in all namespaces reads
/// every Secret and gets into every pod anyway; who has `edit` is not to get there this way.
#[tokio::test]
async fn cluster_connections_are_changed_by_who_administers_every_namespace_and_by_nobody_less() {
    let bindings: Api<ClusterRoleBinding> = Api::all(installed().client().await.unwrap());
    for role in ["view", "edit", "admin"] {
        let binding = serde_json::from_value(json!({
            "metadata": {"name": format!("{role}-everywhere")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("{role}-everywhere")}],
        }));
        let created = bindings
            .create(&PostParams::default(), &binding.unwrap())
            .await
            .unwrap();
        assert_eq!(created.name_any(), format!("{role}-everywhere"));
    }
    aggregated("admin").await;
    for (user, verb) in [
        ("view-everywhere", "get"),
        ("edit-everywhere", "get"),
        ("admin-everywhere", "create"),
    ] {
        eventually(async || may(user, verb, CLUSTER_CONNECTIONS, "").await).await;
    }
    for verb in ["create", "update", "patch", "delete"] {
        assert!(may("admin-everywhere", verb, CLUSTER_CONNECTIONS, "").await, "{verb}");
        assert!(!may("edit-everywhere", verb, CLUSTER_CONNECTIONS, "").await, "{verb}");
        assert!(!may("view-everywhere", verb, CLUSTER_CONNECTIONS, "").await, "{verb}");
    }
    for user in ["view-everywhere", "edit-everywhere", "admin-everywhere"] {
        assert!(may(user, "get", CLUSTER_CONNECTIONS, "").await, "{user}");
        for verb in ["update", "patch"] {
            let status = "clustercommunicationconnections/status.acs-operator.dev";
            assert!(!may(user, verb, status, "").await, "{user} {verb}");
        }
    }
}

/// Waits until the controller has put our rules into this role of the cluster.
async fn aggregated(role: &str) {
    let roles: Api<ClusterRole> = Api::all(installed().client().await.unwrap());
    let ours = async || {
        let aggregate = roles.get(role).await.unwrap();
        aggregate.rules.unwrap_or_default().iter().any(|rule| {
            rule.resources
                .iter()
                .flatten()
                .any(|name| name == "clustercommunicationconnections")
        })
    };
    eventually(ours).await;
}

/// Waits for what a controller or the authorizer learns of by a watch.
pub(super) async fn eventually(is_so: impl AsyncFn() -> bool) {
    let arrival = async {
        while !is_so().await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), arrival)
        .await
        .expect("it is so in time");
}
