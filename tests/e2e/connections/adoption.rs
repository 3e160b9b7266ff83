//! Users that take over an identity which exists, by its id.

use acs_emulator::{KeySlot, Operation, TokenState};
use acs_operator::api::{CommunicationUser, Origin};
use acs_operator_testbed::{CEILING, Moment, Place, Resource, World, beside, identity, message, ready};
use serde_json::{Value, json};

use super::{
    accepted, by_connection_string, contoso, put_connection_string, tokens, unconnected, unconnected_with,
    users_of_contoso, with,
};

/// Connection contoso, which lets its users adopt.
async fn adopting_contoso(place: &Place, resource: &Resource) {
    put_connection_string(place, resource, KeySlot::Primary).await;
    let spec = with(by_connection_string(), json!({"allowAdoption": true}));
    place.connect("contoso", spec).await.unwrap();
    accepted(place).await;
}

fn adopter(id: &str) -> Value {
    json!({"connectionRef": {"name": "contoso"}, "identity": {"id": id}, "token": {"scopes": ["voip"]}})
}

/// Returns when whatever is created is younger than all that is there: creation times are whole seconds.
async fn a_second_later(world: &World) {
    let now = world.acs().now().as_second();
    let is_later = async || Ok(world.acs().now().as_second() > now);
    world.eventually("the clock stands still", is_later).await.unwrap();
}

async fn adopted(world: &World, name: &str, id: &str) -> CommunicationUser {
    world.create(name, adopter(id)).await.unwrap();
    world.until_reason(name, "TokenIssued").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_identity_gets_a_token_and_outlives_its_user() {
    let world = unconnected().await;
    adopting_contoso(&world, &world.resource).await;
    let id = world.resource.make_identity().await.unwrap();
    let before = world.acs().last_call();
    let alice = adopted(&world, "alice", &id).await;
    let recorded = alice.status.as_ref().unwrap().identity.as_ref().unwrap();
    assert_eq!(recorded.id.as_ref(), Some(&id));
    assert_eq!(recorded.origin, Some(Origin::Adopted));
    assert_eq!(recorded.owner_uid, alice.metadata.uid);
    let token = tokens(&world, &["alice"]).await.remove(0);
    assert_eq!(world.acs().token_state(&token), TokenState::Valid);
    assert_eq!(world.resource.operations_since(before), [Operation::Issue]);

    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identity(&id).is_some());
    assert!(world.secrets().get_opt("alice").await.unwrap().is_none());
    assert_eq!(world.resource.operations_since(before), [Operation::Issue]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_identity_goes_with_its_user_where_the_manifest_says_so() {
    let world = unconnected().await;
    adopting_contoso(&world, &world.resource).await;
    let id = world.resource.make_identity().await.unwrap();
    let mut spec = adopter(&id);
    spec["identity"]["deletionPolicy"] = "Delete".into();
    world.create("alice", spec).await.unwrap();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
    assert!(world.acs().identities().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_adopts_before_the_connection_allows_it() {
    let world = unconnected().await;
    contoso(&world, &world.resource).await;
    let id = world.resource.make_identity().await.unwrap();
    let before = world.acs().last_call();
    world.create("alice", adopter(&id)).await.unwrap();
    let alice = world.until_reason("alice", "AdoptionNotAllowed").await.unwrap();
    assert_eq!(beside(&alice), ["Stalled"]);
    for said in [id.as_str(), "allowAdoption"] {
        assert!(message(&alice).contains(said), "{}", message(&alice));
    }
    assert_eq!(identity(&alice), None);
    world.quiet().await;
    assert!(world.resource.work_since(before).is_empty());

    let allow = json!({"spec": {"allowAdoption": true}});
    world.patch_connection("contoso", allow).await.unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(identity(&alice), Some(id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_object_does_not_get_the_identity_before_the_first_is_gone() {
    let world = unconnected().await;
    adopting_contoso(&world, &world.resource).await;
    let id = world.resource.make_identity().await.unwrap();
    adopted(&world, "alice", &id).await;
    let before = world.acs().last_call();
    world.create("bob", adopter(&id)).await.unwrap();
    let bob = world.until_reason("bob", "IdentityInUse").await.unwrap();
    assert_eq!(beside(&bob), ["Stalled"]);
    assert!(message(&bob).contains("/alice"), "{}", message(&bob));
    assert_eq!(identity(&bob), None);
    assert!(world.resource.work_since(before).is_empty());

    world.delete("alice").await.unwrap();
    let bob = world.until_reason("bob", "TokenIssued").await.unwrap();
    assert_eq!(identity(&bob), Some(id));
}

/// Neither asks for a token, so ACS is never asked about the identity.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_without_tokens_belongs_to_one_object_in_all_namespaces() {
    let world = unconnected_with(1, &[]).await;
    let neighbour = &world.neighbours[0];
    for place in [&world, neighbour] {
        adopting_contoso(place, &world.resource).await;
    }
    let id = world.resource.make_identity().await.unwrap();
    let spec = json!({"connectionRef": {"name": "contoso"}, "identity": {"id": id, "deletionPolicy": "Delete"}});
    world.create("alice", spec.clone()).await.unwrap();
    world.until_reason("alice", "IdentityCreated").await.unwrap();
    a_second_later(&world).await;
    neighbour.create("bob", spec).await.unwrap();
    let bob = neighbour.until_reason("bob", "IdentityInUse").await.unwrap();
    assert!(message(&bob).contains("/alice"), "{}", message(&bob));
    neighbour.delete("bob").await.unwrap();
    neighbour.until_gone("bob").await.unwrap();
    assert!(world.acs().identity(&id).is_some());
    world.until_reason("alice", "IdentityCreated").await.unwrap();
}

/// So nothing but its own writes tells the operator that both have the identity now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_two_adopt_while_watches_are_silent_is_told_to_be_the_older_ones() {
    let world = unconnected_with(1, &[]).await;
    let neighbour = &world.neighbours[0];
    for place in [&world, neighbour] {
        adopting_contoso(place, &world.resource).await;
    }
    let id = world.resource.make_identity().await.unwrap();
    let spec = json!({"connectionRef": {"name": "contoso"}, "identity": {"id": id}});
    let older = world
        .traffic
        .hold(Moment::Before, |request| request.path.ends_with("/alice/status"));
    world.create("alice", spec.clone()).await.unwrap();
    older.caught(CEILING).await.unwrap();
    a_second_later(&world).await;
    let newer = world
        .traffic
        .hold(Moment::Before, |request| request.path.ends_with("/bob/status"));
    neighbour.create("bob", spec).await.unwrap();
    newer.caught(CEILING).await.unwrap();

    world.gate.hold_events();
    newer.release();
    neighbour.until_reason("bob", "IdentityCreated").await.unwrap();
    older.release();
    let bob = neighbour.until_reason("bob", "IdentityInUse").await.unwrap();
    assert!(message(&bob).contains("/alice"), "{}", message(&bob));
    world.until_reason("alice", "IdentityCreated").await.unwrap();
    world.gate.release_events();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_another_object_made_is_in_use_and_stays_its_own() {
    let world = unconnected().await;
    adopting_contoso(&world, &world.resource).await;
    let alice = users_of_contoso(&world, &["alice"]).await.remove(0);
    let id = identity(&alice).unwrap();
    let mut spec = adopter(&id);
    spec["identity"]["deletionPolicy"] = "Delete".into();
    world.create("mallory", spec).await.unwrap();
    world.until_reason("mallory", "IdentityInUse").await.unwrap();
    world.delete("mallory").await.unwrap();
    world.until_gone("mallory").await.unwrap();
    world.quiet().await;
    assert!(world.acs().identity(&id).is_some());
    assert_eq!(world.resource.operations_since(0), [Operation::Create]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_of_another_resource_is_never_touched_once_the_own_one_is_known() {
    let world = unconnected().await;
    let other = world.another_resource().await.unwrap();
    let foreign = other.make_identity().await.unwrap();
    adopting_contoso(&world, &world.resource).await;
    users_of_contoso(&world, &["alice"]).await;
    let before = world.acs().last_call();
    let mut spec = adopter(&foreign);
    spec["identity"]["deletionPolicy"] = "Delete".into();
    world.create("mallory", spec).await.unwrap();
    let mallory = world.until_reason("mallory", "ResourceMismatch").await.unwrap();
    assert_eq!(identity(&mallory), None);
    world.delete("mallory").await.unwrap();
    world.until_gone("mallory").await.unwrap();
    assert!(world.resource.work_since(before).is_empty());
    assert!(other.identity(&foreign).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_of_another_resource_teaches_nothing_wrong_of_the_own_one() {
    let world = unconnected().await;
    let other = world.another_resource().await.unwrap();
    let foreign = other.make_identity().await.unwrap();
    adopting_contoso(&world, &world.resource).await;
    world.create("mallory", adopter(&foreign)).await.unwrap();
    let mismatched = |user: &CommunicationUser| {
        let reason = ready(user).map(|(_, reason)| reason);
        matches!(reason.as_deref(), Some("ResourceMismatch" | "IdentityNotOwned"))
    };
    world.until("mallory", "refused", mismatched).await.unwrap();
    let connection = world.connections().get("contoso").await.unwrap();
    let resource = connection.status.unwrap().resource_id;
    assert!(
        resource
            .as_ref()
            .is_none_or(|is| *is == world.acs().resource_id().to_string()),
        "{resource:?}"
    );
    users_of_contoso(&world, &["alice"]).await;
    world.delete("mallory").await.unwrap();
    world.until_gone("mallory").await.unwrap();
    assert!(other.identity(&foreign).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_was_deleted_is_told_to_be_gone_to_who_adopts_it() {
    let world = unconnected().await;
    adopting_contoso(&world, &world.resource).await;
    let id = world.resource.make_identity().await.unwrap();
    world.resource.delete_identity(&id).await.unwrap();
    world.create("alice", adopter(&id)).await.unwrap();
    world.until_reason("alice", "IdentityGone").await.unwrap();
    world.delete("alice").await.unwrap();
    world.until_gone("alice").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_adopts_through_a_wrong_resource_is_served_once_the_connection_leads_to_the_right_one() {
    let world = unconnected().await;
    let wrong = world.another_resource().await.unwrap();
    adopting_contoso(&world, &wrong).await;
    let id = world.resource.make_identity().await.unwrap();
    world.create("alice", adopter(&id)).await.unwrap();
    world.until_reason("alice", "IdentityNotOwned").await.unwrap();
    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    assert_eq!(identity(&alice), Some(id));
}
