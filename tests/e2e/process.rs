//! The operator as a process: what it waits for, what it tells, how it ends.

use std::time::{Duration, Instant};

use acs_operator_testbed::{CEILING, ControlPlane, Operator, OperatorLog, OperatorSettings, WorldSettings};

use crate::{settings, world};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_definitions_it_waits_and_says_so_and_begins_when_they_come() {
    let control_plane = ControlPlane::start().unwrap();
    let WorldSettings { operator: binary, .. } = settings();
    let mut operator = Operator::start(OperatorSettings {
        binary,
        kubeconfig: control_plane.kubeconfig().to_owned(),
        namespace: None,
        connection_string: None,
        arguments: Vec::new(),
        environment: Vec::new(),
        log: OperatorLog::Everything,
    })
    .unwrap();
    operator.answers("/readyz", 503, "communicationusers").await.unwrap();
    operator.answers("/livez", 200, "ok").await.unwrap();
    let begun = Instant::now();
    while !operator.log().contains("acs-operator crds | kubectl apply") {
        assert!(begun.elapsed() < CEILING, "{}", operator.log_tail());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    control_plane.install_crds().await.unwrap();
    operator.ready().await.unwrap();
    assert!(operator.stop(Duration::from_secs(20)).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_metrics_count_what_it_did() {
    let world = world().await;
    world
        .create("alice", serde_json::json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    for (series, value) in [
        ("acs_operator_identities_created_total", 1.0),
        ("acs_operator_tokens_issued_total{cause=\"first\"}", 1.0),
        ("acs_operator_users{reason=\"TokenIssued\"}", 1.0),
        ("acs_operator_suspected_orphans_total", 0.0),
        ("acs_operator_watch_up{kind=\"CommunicationUser\"}", 1.0),
        (
            "acs_operator_acs_requests_total{operation=\"create\",code=\"201\"}",
            1.0,
        ),
        (
            "acs_operator_kube_requests_total{verb=\"patch\",resource=\"communicationusers/status\",code=\"200\"}",
            2.0,
        ),
        ("acs_operator_token_remaining_seconds_count", 1.0),
    ] {
        let is = world.operator.metric(series).await.unwrap();
        assert!((is - value).abs() < 0.5, "{series}: {is}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_at_once_when_nothing_is_under_way() {
    let mut world = world().await;
    assert!(world.operator.stop(Duration::from_secs(5)).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_account_has_every_right_that_the_operator_needs() {
    let world = world().await;
    assert!(
        !world.operator.log().contains("rights are missing"),
        "{}",
        world.operator.log_tail()
    );
}
