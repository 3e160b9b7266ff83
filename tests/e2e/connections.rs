//! Connections: how the operator gets to ACS resources, and who may use which.

mod adoption;
mod authorities;
mod break_glass;
mod circuit;
mod clock_skew;
mod cluster_wide;
mod credentials;
mod declared;
mod deleted;
mod deletion;
mod herd;
mod limits;
mod moved;
mod namespaces;
mod orphans;
mod proxies;
mod rotation;
mod secrecy;
mod tenancy;

use std::time::Duration;

use acs_emulator::{AccessKey, Fault, KeySlot, Operation};
use acs_operator::api::CommunicationUser;
use acs_operator_testbed::{Place, Resource, World, WorldSettings};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::settings;

/// So soon a changed credential is in use.
const SOON: Duration = Duration::from_secs(14);

/// So soon is done what a user asks for, whatever else is going on.
const SERVED_WITHIN: Duration = Duration::from_secs(5);

/// A world whose operator has no connection of its own.
async fn unconnected() -> World {
    unconnected_with(0, &[]).await
}

/// The same with so many more namespaces, and these arguments for the operator.
async fn unconnected_with(neighbours: usize, arguments: &[&str]) -> World {
    World::start(WorldSettings {
        connected: false,
        neighbours,
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        ..settings()
    })
    .await
    .unwrap()
}

/// The same with an operator that proves good credentials again every second, instead of every five minutes.
async fn watchful() -> World {
    unconnected_with(0, &["--probe-interval=1s"]).await
}

/// The spec of a connection by the connection string in Secret acs.
fn by_connection_string() -> Value {
    json!({"auth": {"connectionString": {"secretRef": {"name": "acs"}}}})
}

/// The spec of a connection by these keys of Secret acs, tried in order.
fn by_keys(endpoint: &str, keys: &[&str]) -> Value {
    json!({"endpoint": endpoint, "auth": {"accessKey": {"secretRef": {"name": "acs", "keys": keys}}}})
}

/// A spec, with more in it.
fn with(mut spec: Value, more: Value) -> Value {
    if let (Value::Object(spec), Value::Object(more)) = (&mut spec, more) {
        spec.extend(more);
    }
    spec
}

/// A user of the connection contoso who wants a token.
fn of_contoso() -> Value {
    json!({"connectionRef": {"name": "contoso"}, "token": {"scopes": ["voip"]}})
}

/// Connection contoso by the connection string of a resource, proven.
async fn contoso(place: &Place, resource: &Resource) {
    contoso_of(place, &resource.connects(KeySlot::Primary)).await;
    accepted(place).await;
}

/// Connection contoso by this connection string, as declared.
async fn contoso_of(place: &Place, connection_string: &str) {
    put_keys(place, &[("connectionString", connection_string)]).await;
    place.connect("contoso", by_connection_string()).await.unwrap();
}

/// Connection contoso by both keys of a resource, tried in order, proven.
async fn contoso_with_both_keys(place: &Place, resource: &Resource) {
    put_keys(
        place,
        &[
            ("primaryKey", &resource.key(KeySlot::Primary)),
            ("secondaryKey", &resource.key(KeySlot::Secondary)),
        ],
    )
    .await;
    let spec = by_keys(&resource.url(), &["primaryKey", "secondaryKey"]);
    place.connect("contoso", spec).await.unwrap();
    accepted(place).await;
}

async fn accepted(place: &Place) {
    place
        .until_connection_reason("contoso", "CredentialAccepted")
        .await
        .unwrap();
}

async fn put_connection_string(place: &Place, resource: &Resource, slot: KeySlot) {
    put_keys(place, &[("connectionString", &resource.connects(slot))]).await;
}

async fn put_keys(place: &Place, values: &[(&str, &str)]) {
    place.put_credential("acs", values).await.unwrap();
}

/// Connection contoso by a key that the resource refuses.
async fn refused_contoso(place: &Place, resource: &Resource) {
    put_keys(place, &[("accessKey", &wrong_key())]).await;
    let spec = by_keys(&resource.url(), &["accessKey"]);
    place.connect("contoso", spec).await.unwrap();
}

/// How a cluster connection signs in to a resource with the Secret platform-key, which is put into this place.
async fn platform_key(place: &Place, resource: &Resource) -> Value {
    let string = resource.connects(KeySlot::Primary);
    place
        .put_credential("platform-key", &[("connectionString", &string)])
        .await
        .unwrap();
    let secret = json!({"name": "platform-key", "namespace": place.namespace});
    json!({"connectionString": {"secretRef": secret}})
}

/// A user of this cluster connection who wants a token.
fn of_cluster(connection: &str) -> Value {
    let reference = json!({"kind": "ClusterCommunicationConnection", "name": connection});
    json!({"connectionRef": reference, "token": {"scopes": ["voip"]}})
}

/// Creates these users of contoso and waits until each has its token.
async fn users_of_contoso(place: &Place, names: &[&str]) -> Vec<CommunicationUser> {
    for name in names {
        place.create(name, of_contoso()).await.unwrap();
    }
    issued(place, names).await
}

/// These users, once each has its token.
async fn issued(place: &Place, names: &[&str]) -> Vec<CommunicationUser> {
    let mut users = Vec::new();
    for name in names {
        users.push(place.until_reason(name, "TokenIssued").await.unwrap());
    }
    users
}

/// The resource gets another primary key, as when someone regenerates it in Azure; nobody is told.
fn regenerate(resource: &Resource, slot: KeySlot) {
    resource.replace_key(slot, AccessKey::generate().unwrap());
}

/// As Azure puts it.
const DENIED: &str = r#"{"error":{"code":"Denied","message":"Denied by the resource provider."}}"#;

/// What a gateway of Azure says when something of its own is amiss.
fn stray_401() -> Fault {
    Fault::respond(401, &[("content-type", "application/json")], DENIED).once()
}

/// A key that is none of any resource.
fn wrong_key() -> String {
    AccessKey::generate().unwrap().text().to_owned()
}

/// Asks for a new token of a user, so that something of it is due.
async fn renew(place: &Place, name: &str, request: &str) {
    let annotations = json!({"acs-operator.dev/renew-requested-at": request});
    place
        .patch(name, json!({"metadata": {"annotations": annotations}}))
        .await
        .unwrap();
}

/// What is asserted to come about soon.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("it does not come about soon enough")
}

/// The fingerprint of the credential that made a user's token.
fn credential_of(user: &CommunicationUser) -> String {
    let token = user.status.as_ref().and_then(|status| status.token.as_ref());
    token.and_then(|token| token.credential.clone()).unwrap()
}

/// The tokens in the Secrets of these users.
async fn tokens(place: &Place, names: &[&str]) -> Vec<String> {
    let mut tokens = Vec::new();
    for name in names {
        tokens.push(place.secret_values(name).await.unwrap()["token"].clone());
    }
    tokens
}

/// How many calls of an operation users needed after the call of this number.
fn count(resource: &Resource, since: u64, operation: Operation) -> usize {
    let calls = resource.work_since(since);
    calls.iter().filter(|call| call.operation == operation).count()
}
