//! The identity was deleted in ACS behind the operator's back. What ACS says then is not documented.

use acs_emulator::{Choices, DeletedIdentity, Operation, SecondDelete};
use acs_operator::api::{CommunicationUser, ConditionType};
use acs_operator_testbed::{World, identity, ready};
use serde_json::json;

use crate::alice::{alice_in, annotate, annotate_user, delete_behind_its_back, status};
use crate::world;

fn calls_since(world: &World, seq: u64) -> Vec<Operation> {
    let calls = world.calls_since(seq).into_iter();
    calls.map(|call| call.operation).collect()
}

fn is_stalled(user: &CommunicationUser) -> bool {
    ConditionType::Stalled.find(&status(user).conditions).is_some()
}

/// Whether there is a token again, of another identity.
fn is_replaced(user: &CommunicationUser, before: &CommunicationUser) -> bool {
    let is_ready = ready(user) == Some(("True".into(), "TokenIssued".into()));
    is_ready && identity(user) != identity(before)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_acs_says_of_a_deleted_identity_is_told_after_one_call_and_mended_on_request() {
    let world = world().await;
    for (deleted_identity, reason) in [
        (DeletedIdentity::NotFound, "IdentityGone"),
        (DeletedIdentity::NotOwned, "IdentityNotOwned"),
        (DeletedIdentity::Invalid, "InvalidRequest"),
    ] {
        world.acs().set_choices(Choices {
            deleted_identity,
            ..Choices::default()
        });
        for request in ["renew", "revoke"] {
            let context = format!("{request} {deleted_identity:?}");
            let name = format!("{request}-{}", reason.to_lowercase());
            world
                .create(&name, json!({"token": {"scopes": ["voip"]}}))
                .await
                .unwrap();
            let before = world.until_reason(&name, "TokenIssued").await.unwrap();
            let deleted = delete_behind_its_back(&world, &before).await;
            annotate_user(&world, &name, &format!("{request}-requested-at"), "now").await;
            let told = world
                .until_reason(&name, reason)
                .await
                .unwrap_or_else(|error| panic!("{context}: {error:#}"));
            assert!(
                is_stalled(&told) && ready(&told).unwrap().0 == "False",
                "{context}: {told:#?}"
            );
            world.quiet().await;
            assert_eq!(
                calls_since(&world, deleted).len(),
                1,
                "{context}: it is not tried again"
            );

            annotate_user(&world, &name, "replace-identity", &identity(&before).unwrap()).await;
            let replaced = world
                .until(&name, "replaced", |user| is_replaced(user, &before))
                .await
                .unwrap_or_else(|error| panic!("{context}: {error:#}"));
            let calls = calls_since(&world, deleted);
            assert_eq!(calls.last(), Some(&Operation::Create), "{context}");
            assert!(calls.len() <= 3, "{context}: {calls:?}");
            if request == "revoke" {
                let handled = status(&replaced).last_handled_revoke_at.as_deref();
                assert_eq!(handled, Some("now"), "{context}: it is met by having another identity");
            }
        }
    }
    assert_eq!(world.acs().identities().len(), 6, "one for each user");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_is_gone_does_not_keep_its_user_from_going() {
    let world = world().await;
    for second_delete in [SecondDelete::NoContent, SecondDelete::NotFound] {
        world.acs().set_choices(Choices {
            second_delete,
            ..Choices::default()
        });
        let alice = alice_in(&world).await;
        let deleted = delete_behind_its_back(&world, &alice).await;
        world.delete("alice").await.unwrap();
        world.until_gone("alice").await.unwrap();
        assert_eq!(calls_since(&world, deleted), [Operation::Delete], "{second_delete:?}");
        assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
    }
}

/// ACS says the same of an identity that is gone and of one of another resource. The id tells which it is, once the credential
/// was proven to be its resource's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_acs_disowns_counts_as_gone_when_its_id_is_of_the_connections_own_resource() {
    let world = world().await;
    world.acs().set_choices(Choices {
        second_delete: SecondDelete::NotOwned,
        ..Choices::default()
    });
    let alice = alice_in(&world).await;
    let deleted = delete_behind_its_back(&world, &alice).await;
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert_eq!(calls_since(&world, deleted), [Operation::Delete]);
    assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
    let is_told = async || Ok(world.operator.log().contains("object released"));
    world.eventually("its release is not told", is_told).await.unwrap();
    let log = world.operator.log();
    assert!(!log.contains("its identity is kept in ACS"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_acs_disowns_is_replaced_on_request() {
    let world = world().await;
    world.acs().set_choices(Choices {
        deleted_identity: DeletedIdentity::NotOwned,
        second_delete: SecondDelete::NotOwned,
        ..Choices::default()
    });
    let alice = alice_in(&world).await;
    let id = identity(&alice).unwrap();
    delete_behind_its_back(&world, &alice).await;
    annotate(&world, "replace-identity", &id).await;
    world
        .until("alice", "replaced", |user| is_replaced(user, &alice))
        .await
        .unwrap();
    assert_eq!(world.acs().identities().len(), 1);
}
