//! A settled user named alice, and what others do to her.

use acs_emulator::Operation;
use acs_operator::api::{CommunicationUser, CommunicationUserStatus};
use acs_operator_testbed::{Place, World, identity};
use anyhow::Result;
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

/// A settled user named alice, and nothing counted.
pub async fn alice_in(world: &World) -> CommunicationUser {
    alice_with(world, json!({"token": {"scopes": ["chat", "voip"]}})).await
}

/// The same with another spec.
pub async fn alice_with(world: &World, spec: Value) -> CommunicationUser {
    world.create("alice", spec).await.unwrap();
    let alice = world.until_reason("alice", "TokenIssued").await.unwrap();
    world.quiet().await;
    world.traffic.reset(None);
    alice
}

pub fn status(user: &CommunicationUser) -> &CommunicationUserStatus {
    user.status.as_ref().unwrap()
}

/// What the events with this reason say.
pub async fn notes(world: &World, reason: &str) -> Result<Vec<String>> {
    let events: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    let told = events.list(&ListParams::default()).await?.into_iter();
    let of_reason = told.filter(|event| event.reason.as_deref() == Some(reason));
    Ok(of_reason.filter_map(|event| event.note).collect())
}

/// What was asked of ACS after alice was created.
pub fn calls(world: &World) -> Vec<Operation> {
    let created = world.calls().into_iter().skip(1);
    created.map(|call| call.operation).collect()
}

pub async fn annotate(world: &World, key: &str, value: &str) {
    annotate_user(world, "alice", key, value).await;
}

pub async fn annotate_user(world: &World, name: &str, key: &str, value: &str) {
    let annotations = json!({format!("acs-operator.dev/{key}"): value});
    world
        .patch(name, json!({"metadata": {"annotations": annotations}}))
        .await
        .unwrap();
}

/// Whether the new token that was asked for so is there.
pub fn is_renewed(user: &CommunicationUser, request: &str) -> bool {
    let status = user.status.as_ref();
    status.is_some_and(|status| status.last_handled_renew_at.as_deref() == Some(request))
}

/// Whether the revocation that was asked for so is done, with the token that follows it.
pub fn is_revoked(user: &CommunicationUser, request: &str) -> bool {
    let status = user.status.as_ref();
    status.is_some_and(|status| status.last_handled_revoke_at.as_deref() == Some(request))
}

/// The user, once [`is_renewed`].
pub async fn until_renewed(place: &Place, name: &str, request: &str) -> CommunicationUser {
    let what = format!("renewed for {request}");
    place
        .until(name, &what, |user| is_renewed(user, request))
        .await
        .unwrap()
}

/// The user, once [`is_revoked`].
pub async fn until_revoked(place: &Place, name: &str, request: &str) -> CommunicationUser {
    let what = format!("revoked for {request}");
    place
        .until(name, &what, |user| is_revoked(user, request))
        .await
        .unwrap()
}

pub async fn edit_secret(world: &World, patch: Value) {
    let params = PatchParams::default();
    world
        .secrets()
        .patch("alice", &params, &Patch::Merge(patch))
        .await
        .unwrap();
}

/// Deletes an identity as anyone may who has the key. Returns the number of that call.
pub async fn delete_behind_its_back(world: &World, user: &CommunicationUser) -> u64 {
    world.resource.delete_identity(&identity(user).unwrap()).await.unwrap();
    world.acs().last_call()
}
