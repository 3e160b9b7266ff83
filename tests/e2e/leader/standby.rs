//! What a replica does that does not lead: be ready, and nothing else.

use acs_operator_testbed::{CEILING, World};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, api::ListParams};
use serde_json::json;

use super::{SHORT, pair};
use crate::settings;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_ready_knows_every_object_and_sends_nothing_but_reads() {
    let (world, replica) = pair(SHORT).await;
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    let standby = &replica.operator;
    standby.answers("/readyz", 200, "ok").await.unwrap();
    standby.answers("/livez", 200, "ok").await.unwrap();
    standby
        .answers("/metrics", 200, "acs_operator_users{reason=\"TokenIssued\"} 1\n")
        .await
        .unwrap();
    world.quiet().await;

    assert_eq!(replica.traffic.passed(), []);
    let (_, metrics) = standby.get("/metrics").await.unwrap();
    let mutating = ["create", "patch", "update", "delete"].map(|verb| format!("verb=\"{verb}\""));
    for line in metrics.lines() {
        let is_write = line.starts_with("acs_operator_kube_requests_total{")
            && mutating.iter().any(|verb| line.contains(verb))
            // At the start it asks for its own rights.
            && !line.contains("resource=\"other\"");
        let is_call = line.starts_with("acs_operator_acs_requests_total{") && !line.ends_with(" 0");
        assert!(!is_write && !is_call, "{line}");
    }
    assert!(standby.log().contains("another replica leads, this one stands by"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_ends_at_once_and_leaves_the_lease_alone() {
    let (world, mut replica) = pair(SHORT).await;
    let holder = super::lease(&world).await.holder_identity;
    let ended = replica.operator.stop(CEILING).await.unwrap();
    assert!(ended.success());
    assert_eq!(super::lease(&world).await.holder_identity, holder);
    assert!(world.operator.leads().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_its_lease_a_replica_says_which_is_missing_and_is_not_ready() {
    let (world, _) = pair(SHORT).await;
    // The account may have the Lease of the shipped name, and no other.
    let forbidden = world.another_replica(&["--lease-name=elsewhere"]).await.unwrap();
    let remedy = "allow the operator's ServiceAccount the verbs get, list, watch, create and patch on leases.coordination.k8s.io";
    forbidden.operator.answers("/readyz", 503, remedy).await.unwrap();
    forbidden.operator.answers("/livez", 200, "ok").await.unwrap();
    let log = forbidden.operator.log();
    assert!(log.contains("cannot get resource \\\"leases\\\""), "{log}");
    assert!(
        log.contains("rights are missing") && log.contains("no replica can lead"),
        "{log}"
    );
    assert_eq!(
        log.lines()
            .filter(|line| line.contains("the lease cannot be reached") && line.contains("cannot get resource"))
            .count(),
        1,
        "told once: {log}"
    );
    assert_eq!(forbidden.traffic.passed(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_replica_without_an_election_needs_no_lease() {
    let mut settings = settings();
    settings.arguments.push("--leader-elect=false".to_owned());
    let world = World::start(settings).await.unwrap();
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    assert!(world.operator.leads().await.unwrap());
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), &world.own_namespace);
    assert!(leases.list(&ListParams::default()).await.unwrap().items.is_empty());
}
