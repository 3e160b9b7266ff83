//! Objects that come out of a backup, are copied, or are made anew under a name that was used before.

use acs_operator_testbed::{identity, ready};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::alice::{alice_in, calls, status};
use crate::world;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_out_of_a_backup_uses_its_identity_on_and_leaves_it_when_it_goes() {
    let world = world().await;
    let before = alice_in(&world).await;
    // What a backup tool does: the object goes without its operator, and comes back with its status.
    world
        .operator_paused(async || {
            world.patch("alice", json!({"metadata": {"finalizers": null}})).await?;
            world.delete("alice").await?;
            world.until_gone("alice").await?;
            world
                .create("alice", json!({"token": {"scopes": ["chat", "voip"]}}))
                .await?;
            let restored = json!({"status": {"identity": status(&before).identity, "observedGeneration": 1}});
            world
                .users()
                .patch_status("alice", &PatchParams::default(), &Patch::Merge(restored))
                .await?;
            Ok(())
        })
        .await
        .unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(identity(&alice), identity(&before));
    let origin = status(&alice).identity.as_ref().unwrap().origin.as_ref().unwrap();
    assert_eq!(origin.as_str(), "Restored");
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert_eq!(
        world.acs().identities().len(),
        1,
        "removing a copy never deletes the original's identity"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_in_the_same_cluster_is_told_whose_the_identity_is_and_takes_nothing_along() {
    let world = world().await;
    let alice = alice_in(&world).await;
    world
        .operator_paused(async || {
            world.create("bob", json!({"token": {"scopes": ["voip"]}})).await?;
            let copied = json!({"status": {"identity": status(&alice).identity, "observedGeneration": 1}});
            let params = PatchParams::default();
            world
                .users()
                .patch_status("bob", &params, &Patch::Merge(copied))
                .await?;
            Ok(())
        })
        .await
        .unwrap();
    let bob = world.until_reason("bob", "IdentityInUse").await.unwrap();
    let words = &status(&bob).conditions[0].message;
    assert!(words.contains("/alice"), "{words}");
    assert_eq!(calls(&world), []);
    world.delete("bob").await.unwrap();
    world.until_gone("bob").await.unwrap();
    assert_eq!(world.acs().identities().len(), 1);
    assert_eq!(ready(&world.users().get("alice").await.unwrap()).unwrap().0, "True");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_name_recreated_is_another_identity() {
    let world = world().await;
    let before = alice_in(&world).await;
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_ne!(identity(&alice), identity(&before));
    assert_eq!(world.acs().identities().len(), 1);
}
