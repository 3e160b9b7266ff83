//! What is found missing, with a stand-in for the API server.

use std::{collections::BTreeSet, sync::Arc};

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;

/// A client whose API server answers each review as `judge` says; without an answer it hangs.
fn api_server(judge: impl Fn(&Value) -> Option<(u16, bool)> + Send + Sync + 'static) -> Client {
    let judge = Arc::new(judge);
    let service = tower::service_fn(move |request: Request<Body>| {
        let judge = Arc::clone(&judge);
        async move {
            assert_eq!(
                request.uri().path(),
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            );
            let review: Value = serde_json::from_slice(&request.into_body().collect_bytes().await?)?;
            let Some((status, allowed)) = judge(&review["spec"]["resourceAttributes"]) else {
                return std::future::pending().await;
            };
            let answer = if status == 201 {
                json!({"spec": {}, "status": {"allowed": allowed}})
            } else {
                json!({"kind": "Status", "status": "Failure", "message": "no", "code": status})
            };
            let body = Body::from(answer.to_string().into_bytes());
            Ok::<_, tower::BoxError>(Response::builder().status(status).body(body)?)
        }
    });
    Client::new(service, "default")
}

fn told(missing: &[MissingRight]) -> Vec<String> {
    missing.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn an_account_with_every_right_misses_none() {
    let client = api_server(|_| Some((201, true)));
    assert_eq!(missing(&client, &[Scope::Cluster]).await, []);
}

#[tokio::test]
async fn a_missing_right_is_told_by_verb_resource_and_place() {
    let client = api_server(|asked| {
        let status = asked["resource"] == "communicationusers" && asked["subresource"] == "status";
        let secrets_of_b = asked["namespace"] == "b" && asked["resource"] == "secrets" && asked["verb"] == "watch";
        Some((201, !status && !secrets_of_b))
    });
    let scopes = [Scope::Namespace("a".into()), Scope::Namespace("b".into())];
    assert_eq!(
        told(&missing(&client, &scopes).await),
        [
            "patch communicationusers/status.acs-operator.dev in namespace a",
            "patch communicationusers/status.acs-operator.dev in namespace b",
            "watch secrets in namespace b",
        ]
    );
}

#[tokio::test]
async fn a_right_for_the_whole_cluster_is_asked_without_a_namespace() {
    let client = api_server(|asked| Some((201, asked["namespace"] == "" && asked["resource"] != "events")));
    assert_eq!(
        told(&missing(&client, &[Scope::Cluster]).await),
        ["create events.events.k8s.io in the cluster"]
    );
}

#[tokio::test]
async fn an_operator_of_chosen_namespaces_is_told_what_it_does_without() {
    let client = api_server(|asked| Some((201, asked["namespace"] != "")));
    let told = |missing: Vec<MissingRight>| -> Vec<_> {
        assert!(missing.iter().all(|missing| missing.scope == Scope::Cluster));
        let of = |missing: &MissingRight| {
            (
                missing.right.part,
                missing.consequence.split(',').next().unwrap_or_default(),
            )
        };
        let mut parts: Vec<_> = missing.iter().map(of).collect();
        parts.dedup();
        parts
    };
    assert_eq!(
        told(missing(&client, &[Scope::Namespace("a".into())]).await),
        [
            (Part::Identities, IN_THE_WAY),
            (
                Part::ClusterConnections,
                "no ClusterCommunicationConnection can be used"
            ),
            (
                Part::Namespaces,
                "a ClusterCommunicationConnection serves the namespaces that it names and none by label"
            ),
        ]
    );
    assert_eq!(
        told(missing(&client, &[Scope::Cluster]).await),
        [
            (Part::Served, IN_THE_WAY),
            (Part::Identities, IN_THE_WAY),
            (Part::ClusterConnections, IN_THE_WAY),
            (Part::HoldingClusterConnections, IN_THE_WAY),
            (Part::Namespaces, IN_THE_WAY),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn reviews_that_fail_or_hang_accuse_nobody_and_take_twenty_seconds_at_most() {
    let failing = api_server(|_| Some((500, false)));
    assert_eq!(missing(&failing, &[Scope::Cluster]).await, []);

    let start = Instant::now();
    let hanging = api_server(|_| None);
    let scopes: Vec<_> = (0..100).map(|n| Scope::Namespace(format!("n{n}").into())).collect();
    assert_eq!(missing(&hanging, &scopes).await, []);
    assert_eq!(start.elapsed().as_secs(), 20);
}

#[test]
fn the_shipped_role_holds_exactly_the_needed_rights() {
    let manifest = include_str!("../../../deploy/base/operator-role.yaml");
    let role: Value = serde_saphyr::from_multiple(manifest).unwrap().remove(0);
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().unwrap().iter();
        items.map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    let mut shipped = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                let verbs = texts(&rule["verbs"]).into_iter();
                shipped.extend(verbs.map(|verb| (group.clone(), resource.clone(), verb)));
            }
        }
    }
    let needed = NEEDED
        .iter()
        .map(|right| (right.group.to_owned(), right.resource.to_owned(), right.verb.to_owned()))
        .collect();
    assert_eq!(shipped, needed);
}
