//! From a manifest to an identity and its token, and back to nothing.

use acs_operator_testbed::{identity, ready};
use serde_json::json;

use crate::world;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declared_user_becomes_an_identity_with_a_valid_token_in_its_secret() {
    let world = world().await;
    world
        .create("alice", json!({"token": {"scopes": ["chat", "voip"]}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();

    let id = identity(&alice).unwrap();
    let values = world.secret_values("alice").await.unwrap();
    assert_eq!(values["userId"], id);
    assert_eq!(world.acs().identities().len(), 1);
    assert_eq!(ready(&alice).unwrap().0, "True");
    world.quiet().await;
    assert_eq!(world.traffic.passed().len(), 5, "{:#?}", world.traffic.passed());
}
