//! Objects that come out of a backup, are copied, or are made anew under a name that was used before.

use acs_emulator::{Operation, TokenState};
use acs_operator::api::{CommunicationUser, CommunicationUserStatus, DeletionPolicy};
use acs_operator_testbed::{CEILING, Moment, World, identity, message, ready};
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::alice::{alice_in, calls, edit_secret, status};
use crate::world;

/// What a backup tool does while the operator is away: the object goes without it, comes back with its status, and `more`
/// comes back with it.
async fn restore(world: &mut World, before: &CommunicationUser, more: impl AsyncFnOnce(&World)) {
    world.operator.kill();
    world
        .patch("alice", json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    let collected = async || Ok(world.secrets().get_opt("alice").await?.is_none());
    world
        .eventually("the Secret is not collected", collected)
        .await
        .unwrap();
    more(world).await;
    world
        .create("alice", serde_json::to_value(&before.spec).unwrap())
        .await
        .unwrap();
    let restored = Patch::Merge(json!({"status": {"identity": status(before).identity, "observedGeneration": 1}}));
    let params = PatchParams::default();
    world.users().patch_status("alice", &params, &restored).await.unwrap();
    world.operator.restart().unwrap();
    world.operator.ready().await.unwrap();
}

/// The Secret as a backup brings it back: it belongs to nobody.
async fn backup_of_the_secret(world: &World) -> Secret {
    let Secret {
        metadata, data, type_, ..
    } = world.secrets().get("alice").await.unwrap();
    Secret {
        metadata: ObjectMeta {
            name: metadata.name,
            labels: metadata.labels,
            annotations: metadata.annotations,
            ..ObjectMeta::default()
        },
        data,
        type_,
        ..Secret::default()
    }
}

/// Restores alice with this Secret.
async fn restore_with(world: &mut World, before: &CommunicationUser, secret: &Secret) {
    restore(world, before, async |world| {
        world.secrets().create(&PostParams::default(), secret).await.unwrap();
    })
    .await;
}

/// The uid of the object that controls alice's Secret.
async fn owner(world: &World) -> Option<String> {
    let secret = world.secrets().get("alice").await.unwrap();
    let owners = secret.metadata.owner_references.unwrap_or_default();
    let controller = owners.into_iter().find(|owner| owner.controller == Some(true));
    controller.map(|owner| owner.uid)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_out_of_a_backup_uses_its_identity_on_and_leaves_it_when_it_goes() {
    let mut world = world().await;
    let before = alice_in(&world).await;
    restore(&mut world, &before, async |_| ()).await;
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(identity(&alice), identity(&before));
    let origin = status(&alice).identity.as_ref().unwrap().origin.as_ref().unwrap();
    assert_eq!(origin.as_str(), "Restored");
    assert_eq!(calls(&world), [Operation::Issue]);
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert_eq!(
        world.acs().identities().len(),
        1,
        "removing a copy never deletes the original's identity"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_out_of_a_backup_takes_its_identity_along_where_its_manifest_says_so() {
    let mut world = world().await;
    let mut before = alice_in(&world).await;
    before.spec.identity.get_or_insert_default().deletion_policy = Some(DeletionPolicy::Delete);
    restore(&mut world, &before, async |_| ()).await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identities().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_out_of_a_backup_is_taken_over_with_its_token_and_without_a_call() {
    let mut world = world().await;
    let before = alice_in(&world).await;
    let (old, secret) = (
        world.secret_values("alice").await.unwrap(),
        backup_of_the_secret(&world).await,
    );
    restore_with(&mut world, &before, &secret).await;
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    assert_eq!(owner(&world).await, alice.metadata.uid);
    assert_eq!(world.secret_values("alice").await.unwrap(), old);
    assert_eq!(calls(&world), []);
    let secret = world.secrets().get("alice").await.unwrap();
    assert_eq!(
        status(&alice).secret.as_ref().unwrap().resource_version,
        secret.metadata.resource_version
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_out_of_a_backup_whose_token_is_not_there_is_taken_over_with_a_new_one() {
    let mut world = world().await;
    let before = alice_in(&world).await;
    let mut secret = backup_of_the_secret(&world).await;
    secret.data.as_mut().unwrap().remove("token");
    restore_with(&mut world, &before, &secret).await;
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(owner(&world).await, alice.metadata.uid);
    let values = world.secret_values("alice").await.unwrap();
    assert_eq!(world.acs().token_state(&values["token"]), TokenState::Valid);
    assert_eq!(calls(&world), [Operation::Issue]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_out_of_a_backup_that_names_another_object_is_not_touched() {
    let mut world = world().await;
    let before = alice_in(&world).await;
    let mut secret = backup_of_the_secret(&world).await;
    let annotations = secret.metadata.annotations.as_mut().unwrap();
    annotations.insert("acs-operator.dev/user".into(), format!("{}/bob", world.namespace));
    restore_with(&mut world, &before, &secret).await;
    let alice = world.until_reason("alice", "SecretConflict").await.unwrap();
    assert!(message(&alice).contains("spec.secret.name"), "{}", message(&alice));
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    world.quiet().await;
    let left = world.secrets().get("alice").await.unwrap();
    assert_eq!(
        (left.metadata.annotations, left.data),
        (secret.metadata.annotations, secret.data)
    );
    assert_eq!(calls(&world), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_comes_back_without_its_status_gets_a_new_identity_and_its_secret_a_new_token() {
    let mut world = world().await;
    let before = alice_in(&world).await;
    let without_status = CommunicationUser {
        status: Some(CommunicationUserStatus::default()),
        ..before.clone()
    };
    let secret = backup_of_the_secret(&world).await;
    restore_with(&mut world, &without_status, &secret).await;
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_ne!(identity(&alice), identity(&before));
    let values = world.secret_values("alice").await.unwrap();
    assert_eq!(Some(&values["userId"]), identity(&alice).as_ref());
    assert_eq!(world.acs().token_state(&values["token"]), TokenState::Valid);
    assert_eq!(owner(&world).await, alice.metadata.uid);
    assert_eq!(calls(&world), [Operation::Create]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_out_of_a_backup_goes_with_its_user_even_before_it_is_taken_over() {
    let mut world = world().await;
    let mut before = alice_in(&world).await;
    let secret = backup_of_the_secret(&world).await;
    before.spec.suspend = true;
    restore_with(&mut world, &before, &secret).await;
    world.until_reason("alice", "Suspended").await.unwrap();
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
    assert_eq!(calls(&world), [], "the identity is the original's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_out_of_a_backup_goes_where_no_token_is_wanted_any_more() {
    let mut world = world().await;
    let mut before = alice_in(&world).await;
    let secret = backup_of_the_secret(&world).await;
    before.spec.token = None;
    restore_with(&mut world, &before, &secret).await;
    let alice = world.until_reason("alice", "IdentityCreated").await.unwrap();
    world.quiet().await;
    assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
    assert_eq!(status(&alice).secret, None);
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

/// The Secret outlives its user for as long as somebody else's finalizer holds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_name_recreated_beside_its_namesakes_secret_waits_for_that_and_never_uses_its_token() {
    let world = world().await;
    let before = alice_in(&world).await;
    let old = world.secret_values("alice").await.unwrap();
    edit_secret(&world, json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
    world.quiet().await;
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    world
        .create("alice", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    let alice = world.until_reason("alice", "SecretConflict").await.unwrap();
    assert_ne!(identity(&alice), identity(&before));
    assert_eq!(world.secret_values("alice").await.unwrap(), old, "it is not touched");
    let calls_before = world.acs().last_call();

    edit_secret(&world, json!({"metadata": {"finalizers": null}})).await;
    world.until_reason("alice", "TokenIssued").await.unwrap();
    let new = world.secret_values("alice").await.unwrap();
    assert_eq!(Some(&new["userId"]), identity(&alice).as_ref());
    assert_eq!(world.acs().token_state(&new["token"]), TokenState::Valid);
    assert_ne!(world.acs().token_state(&old["token"]), TokenState::Valid);
    assert_eq!(world.calls_since(calls_before).len(), 1);
    assert_eq!(world.acs().identities().len(), 1);
}

/// As `kubectl replace --force` does it, and once more while the operator is not looking.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_name_recreated_at_once_is_another_identity_and_never_uses_the_old_token() {
    let world = world().await;
    let mut seen = vec![identity(&alice_in(&world).await)];
    let mut tokens = vec![world.secret_values("alice").await.unwrap()["token"].clone()];
    for paused in [false, true] {
        let recreate = async || {
            if paused {
                world.patch("alice", json!({"metadata": {"finalizers": null}})).await?;
            }
            world.delete("alice").await?;
            world.until_gone("alice").await?;
            world.create("alice", json!({"token": {"scopes": ["voip"]}})).await?;
            Ok(())
        };
        if paused {
            world.operator_paused(recreate).await.unwrap();
        } else {
            recreate().await.unwrap();
        }
        let is_new = |user: &CommunicationUser| {
            ready(user).is_some_and(|(ready, _)| ready == "True") && !seen.contains(&identity(user))
        };
        let alice = world.until("alice", "another", is_new).await.unwrap();
        let values = world.secret_values("alice").await.unwrap();
        assert_eq!(Some(&values["userId"]), identity(&alice).as_ref());
        assert!(!tokens.contains(&values["token"]));
        assert_eq!(owner(&world).await, alice.metadata.uid);
        seen.push(identity(&alice));
        tokens.push(values["token"].clone());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_while_its_identity_is_claimed_it_goes_and_leaves_the_identity() {
    for moment in [Moment::Before, Moment::After] {
        let mut world = world().await;
        let before = alice_in(&world).await;
        let secret = backup_of_the_secret(&world).await;
        let hold = world.traffic.hold(moment, |request| {
            request.path.ends_with("/communicationusers/alice/status")
        });
        restore_with(&mut world, &before, &secret).await;
        hold.caught(CEILING).await.unwrap();
        world.delete("alice").await.unwrap();
        hold.release();
        world.until_gone("alice").await.unwrap();
        assert!(world.secrets().get_opt("alice").await.unwrap().is_none(), "{moment:?}");
        assert_eq!(world.acs().identities().len(), 1, "{moment:?}");
        assert_eq!(calls(&world), [], "{moment:?}");
    }
}
