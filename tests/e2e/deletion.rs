//! An object is deleted while something is under way.

use std::time::Duration;

use acs_emulator::{Fault, Operation};
use kube::api::DeleteParams;

use crate::alice::{alice_in, annotate};
use crate::world;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_while_a_revocation_waits_leaves_nothing() {
    let world = world().await;
    alice_in(&world).await;
    world
        .acs()
        .inject(Fault::delay(Duration::from_secs(1)).on(Operation::Revoke));
    annotate(&world, "revoke-requested-at", "now").await;
    world.users().delete("alice", &DeleteParams::default()).await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identities().is_empty());
    assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
}
