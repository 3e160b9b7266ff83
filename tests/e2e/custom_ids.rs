//! Under the preview version of the API a create carries a custom id, so a repeat of it returns the same identity.

use acs_emulator::{Fault, Operation};
use acs_operator_testbed::World;
use serde_json::json;

use crate::alice::status;
use crate::settings;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_custom_ids_a_lost_answer_leaves_no_orphan() {
    let mut settings = settings();
    settings.arguments = vec!["--default-connection-service-api-version=2025-03-02-preview".into()];
    let world = World::start(settings).await.unwrap();
    world
        .acs()
        .inject(Fault::cut_after_processing().on(Operation::Create).once());
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(world.acs().identities().len(), 1);
    assert_eq!(status(&alice).identity.as_ref().unwrap().suspected_orphans, None);
}
