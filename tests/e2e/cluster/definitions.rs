//! An operator that is there before its definitions.

use std::sync::{Arc, Mutex};

use acs_operator::cluster::crds::wait_served;
use acs_operator_testbed::{CEILING, ControlPlane};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn definitions_that_come_later_are_waited_for() {
    let control_plane = ControlPlane::start().unwrap();
    let client = control_plane.client().await.unwrap();
    let reports: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let reported = Arc::clone(&reports);
    let waiting = tokio::spawn(async move {
        let report = |missing: &[&str]| {
            let missing = missing.iter().map(ToString::to_string).collect();
            reported.lock().unwrap().push(missing);
        };
        wait_served(&client, &CancellationToken::new(), report).await
    });
    let reported = async {
        while reports.lock().unwrap().is_empty() {
            sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    timeout(CEILING, reported).await.unwrap();
    assert_eq!(
        reports.lock().unwrap()[0],
        [
            "communicationusers.acs-operator.dev",
            "communicationconnections.acs-operator.dev",
            "clustercommunicationconnections.acs-operator.dev"
        ]
    );
    assert!(!waiting.is_finished());

    control_plane.install_crds().await.unwrap();
    assert!(timeout(CEILING, waiting).await.unwrap().unwrap());
}
