//! Credentials that are not there, or cannot be used, or must not be sent where they would go.

use acs_emulator::{Call, KeySlot};
use acs_operator_testbed::{CEILING, Reply, Stranger, beside, message, ready};
use kube::api::DeleteParams;
use serde_json::json;

use super::{
    accepted, by_connection_string, of_contoso, put_connection_string, put_keys, refused_contoso, soon, unconnected,
    unconnected_with, with, wrong_key,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_wait_for_a_missing_secret_and_go_on_by_themselves_soon_after_it_is_there() {
    let world = unconnected().await;
    world.connect("contoso", by_connection_string()).await.unwrap();
    world.create("alice", of_contoso()).await.unwrap();
    let connection = world
        .until_connection_reason("contoso", "CredentialMissing")
        .await
        .unwrap();
    assert_eq!(ready(&connection).unwrap().0, "False");
    assert_eq!(beside(&connection), ["Reconciling"]);
    for said in [format!("{}/acs", world.namespace).as_str(), "connectionString"] {
        assert!(message(&connection).contains(said), "{}", message(&connection));
    }
    world.until_reason("alice", "ConnectionNotReady").await.unwrap();
    assert!(world.acs().calls().is_empty());

    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    soon(world.until_reason("alice", "TokenIssued")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unusable_value_is_told_with_its_key_and_never_quoted_and_mending_it_is_enough() {
    let world = unconnected().await;
    let good = world.resource.connects(KeySlot::Primary);
    let without_endpoint = format!("accesskey={}", wrong_key());
    let without_key = format!("endpoint={};", world.resource.url());
    world.connect("contoso", by_connection_string()).await.unwrap();
    world.create("alice", of_contoso()).await.unwrap();
    for (what, values) in [
        ("another key", vec![("connection-string", good.as_str())]),
        ("no text", vec![("connectionString", "")]),
        (
            "another text",
            vec![("connectionString", "the-words-of-a-confused-person")],
        ),
        ("no endpoint", vec![("connectionString", &without_endpoint)]),
        ("no access key", vec![("connectionString", &without_key)]),
        (
            "no base64",
            vec![(
                "connectionString",
                "endpoint=https://contoso.communication.azure.com/;accesskey=!the-words-of-a-confused-person!",
            )],
        ),
    ] {
        put_keys(&world, &values).await;
        let connection = world
            .until_connection("contoso", what, |connection| {
                let told = ready(connection).is_some_and(|(_, reason)| reason == "CredentialMissing");
                let words = message(connection);
                told && words.contains("key connectionString") && !words.contains("does not exist")
            })
            .await
            .unwrap();
        let words = message(&connection);
        assert!(!words.contains("confused"), "{what}: {words}");
        world.until_reason("alice", "ConnectionNotReady").await.unwrap();
        let secrets = world.secrets();
        secrets.delete("acs", &DeleteParams::default()).await.unwrap();
        let is_missing = |connection: &_| message(connection).contains("does not exist");
        world
            .until_connection("contoso", "without a Secret", is_missing)
            .await
            .unwrap();
    }
    assert!(world.acs().calls().is_empty());
    put_keys(&world, &[("connectionString", &good)]).await;
    soon(world.until_reason("alice", "TokenIssued")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_key_is_told_on_the_connection_and_repaired_by_the_right_one() {
    let world = unconnected().await;
    refused_contoso(&world, &world.resource).await;
    world.create("alice", of_contoso()).await.unwrap();
    let connection = world.until_connection_reason("contoso", "AccessDenied").await.unwrap();
    assert_eq!(beside(&connection), ["Reconciling"]);
    for said in ["Denied", "Secret", "regenerated"] {
        assert!(message(&connection).contains(said), "{}", message(&connection));
    }
    world.until_reason("alice", "ConnectionNotReady").await.unwrap();
    put_keys(&world, &[("accessKey", &world.resource.key(KeySlot::Secondary))]).await;
    soon(world.until_reason("alice", "TokenIssued")).await.unwrap();
    accepted(&world).await;
}

/// Takes more than half a minute, since so long the pauses between tries grow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_tried_in_vain_for_long_is_tried_soon_after_a_change() {
    let world = unconnected().await;
    let (key, wrong) = (world.resource.key(KeySlot::Primary), wrong_key());
    let typo = format!("endpoint=http://127.0.0.1:1;accesskey={key}");
    for (name, values) in [
        (
            "wrong-key",
            [("connectionString", typo.as_str()), ("accessKey", &wrong)],
        ),
        ("wrong-endpoint", [("connectionString", &typo), ("accessKey", &key)]),
        ("wrong-version", [("connectionString", &typo), ("accessKey", &key)]),
    ] {
        world.put_credential(name, &values).await.unwrap();
        let by_key = json!({"endpoint": world.resource.url(), "auth": {"accessKey": {"secretRef": {"name": name}}}});
        let spec = match name {
            "wrong-key" => by_key,
            "wrong-version" => with(by_key, json!({"serviceApiVersion": "2020-01-01"})),
            _ => json!({"auth": {"connectionString": {"secretRef": {"name": name}}}}),
        };
        world.connect(name, spec).await.unwrap();
    }
    for (name, reason) in [
        ("wrong-key", "AccessDenied"),
        ("wrong-endpoint", "ServiceUnavailable"),
        ("wrong-version", "InvalidRequest"),
    ] {
        world.until_connection_reason(name, reason).await.unwrap();
    }
    let before = world.acs().last_call();
    let pauses_have_grown = |calls: &[Call]| {
        let refused = calls.iter().filter(|call| call.error_code.as_deref() == Some("Denied"));
        refused.count() >= 4
    };
    world
        .acs()
        .wait_for_calls(before, CEILING, pauses_have_grown)
        .await
        .unwrap();
    let string = world.resource.connects(KeySlot::Primary);
    world.put_credential("wrong-key", &[("accessKey", &key)]).await.unwrap();
    world
        .put_credential("wrong-endpoint", &[("connectionString", &string)])
        .await
        .unwrap();
    let version = json!({"spec": {"serviceApiVersion": "2023-10-01"}});
    world.patch_connection("wrong-version", version).await.unwrap();
    soon(async {
        for name in ["wrong-key", "wrong-endpoint", "wrong-version"] {
            world.until_connection_reason(name, "CredentialAccepted").await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_to_a_host_that_was_not_allowed_however_it_is_named() {
    // As the operator of a real cluster is told, by default.
    let world = unconnected_with(0, &["--allow-insecure-endpoints=false"]).await;
    let stranger = Stranger::listen().await.unwrap();
    let host = stranger.host();
    let key = wrong_key();
    for (name, endpoint) in [
        ("plain", format!("http://{host}")),
        ("encrypted", format!("https://{host}")),
        (
            "looks-like-azure",
            format!("https://localhost:{}", host.rsplit(':').next().unwrap()),
        ),
    ] {
        let string = format!("endpoint={endpoint};accesskey={key}");
        let values = [("accessKey", key.as_str()), ("connectionString", string.as_str())];
        world.put_credential(name, &values).await.unwrap();
        for (method, endpoint) in [("accessKey", Some(&endpoint)), ("connectionString", None)] {
            let name_of_connection = format!("{name}-{}", method.to_lowercase());
            let auth = json!({method: {"secretRef": {"name": name}}});
            let spec = match endpoint {
                Some(endpoint) => json!({"endpoint": endpoint, "auth": auth}),
                None => json!({"auth": auth}),
            };
            world.connect(&name_of_connection, spec).await.unwrap();
            let user = json!({"connectionRef": {"name": name_of_connection}, "token": {"scopes": ["voip"]}});
            world.create(&name_of_connection, user).await.unwrap();
            // What is to be changed is the connection, or its Secret.
            let (reason, beside_it) = match endpoint {
                Some(_) => ("InvalidRequest", "Stalled"),
                None => ("CredentialMissing", "Reconciling"),
            };
            let connection = world
                .until_connection_reason(&name_of_connection, reason)
                .await
                .unwrap();
            assert_eq!(beside(&connection), [beside_it]);
            let words = message(&connection);
            assert!(
                words.contains("--allow-insecure-endpoints") || words.contains("--allowed-endpoint-suffixes"),
                "{words}"
            );
            world
                .until_reason(&name_of_connection, "ConnectionNotReady")
                .await
                .unwrap();
        }
    }
    world.quiet().await;
    assert_eq!(stranger.heard(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_the_operator_may_not_read_is_named_with_the_right_that_is_missing() {
    let world = unconnected().await;
    world.traffic.disturb(
        |request| request.path.contains("metadata.name%3Dacs"),
        usize::MAX,
        Reply::Status(403),
    );
    put_connection_string(&world, &world.resource, KeySlot::Primary).await;
    world.connect("contoso", by_connection_string()).await.unwrap();
    world.create("alice", of_contoso()).await.unwrap();
    let connection = world
        .until_connection_reason("contoso", "CredentialMissing")
        .await
        .unwrap();
    let alice = world.until_reason("alice", "ConnectionNotReady").await.unwrap();
    for words in [message(&connection), message(&alice)] {
        for said in [format!("{}/acs", world.namespace).as_str(), "get, list and watch"] {
            assert!(words.contains(said), "{words}");
        }
    }
    world.traffic.let_pass();
    world.until_reason("alice", "TokenIssued").await.unwrap();
    accepted(&world).await;
}
