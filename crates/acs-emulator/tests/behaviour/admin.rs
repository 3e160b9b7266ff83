//! The admin API.

use std::net::SocketAddr;

use acs_emulator::{Choices, Config, DeletedIdentity, Emulator, KeySlot};
use serde_json::{Value, json};

use crate::client::{Answer, call, create, create_with_token, delete, issue, send_raw};

fn start() -> (Emulator, SocketAddr) {
    let config = Config {
        admin_listen: Some("127.0.0.1:0".parse().unwrap()),
        ..Config::default()
    };
    let emulator = Emulator::start(config).unwrap();
    let admin = emulator.admin_address().unwrap();
    (emulator, admin)
}

fn ask(admin: SocketAddr, line: &str, body: &Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Answer::read(&send_raw(admin, request.as_bytes())).unwrap()
}

fn get(admin: SocketAddr, path: &str) -> Value {
    ask(admin, &format!("GET {path}"), &Value::Null).json()
}

#[test]
fn it_is_ready_once_it_serves() {
    let (_emulator, admin) = start();
    assert_eq!(ask(admin, "GET /readyz", &Value::Null).status, 200);
}

#[test]
fn it_tells_what_is_alive_and_in_force_but_no_secret() {
    let (emulator, admin) = start();
    let (id, token) = create_with_token(&emulator);
    let state = get(admin, "/state");
    assert_eq!(state["identities"][0]["id"], id.as_str());
    assert_eq!(state["tokens"][0]["state"], "valid");
    assert_eq!(state["tokens"][0]["scopes"], json!(["chat", "voip"]));
    assert_eq!(
        (&state["limits"]["issue"], &state["limits"]["window"]),
        (&json!(1000), &json!("30s"))
    );
    assert_eq!(state["choices"]["secondDelete"], "no-content");
    let text = state.to_string();
    for secret in [
        &token,
        emulator.access_key(KeySlot::Primary).text(),
        emulator.access_key(KeySlot::Secondary).text(),
    ] {
        assert!(!text.contains(secret));
    }
}

#[test]
fn it_tells_what_was_called_since() {
    let (emulator, admin) = start();
    let (id, _) = create_with_token(&emulator);
    issue(&emulator, &id);
    let calls = get(admin, "/calls");
    assert_eq!(
        (&calls["last"], &calls["calls"][0]["operation"]),
        (&json!(2), &json!("create"))
    );
    let calls = get(admin, "/calls?since=1");
    assert_eq!(calls["calls"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&calls["calls"][0]["operation"], &calls["calls"][0]["signedBy"]),
        (&json!("issue"), &json!("primary"))
    );
}

#[test]
fn it_tells_whether_a_token_is_valid_and_why_not() {
    let (emulator, admin) = start();
    let (id, token) = create_with_token(&emulator);
    let validate = || ask(admin, "POST /tokens/validate", &json!({"token": token})).json();
    assert_eq!(
        (&validate()["state"], &validate()["token"]["identity"]),
        (&json!("valid"), &json!(id))
    );
    crate::client::delete(&emulator, &id);
    assert_eq!(
        (&validate()["state"], &validate()["explanation"]),
        (&json!("identityDeleted"), &json!("Its identity was deleted."))
    );
}

#[test]
fn faults_are_injected_listed_and_removed() {
    let (emulator, admin) = start();
    let one = json!({"operation": "create", "times": 1, "effect": {"kind": "throttle", "retryAfter": "7"}});
    let two = json!([{"delay": "1ms"}, {"effect": {"kind": "cut", "processed": true}}]);
    assert_eq!(ask(admin, "POST /faults", &one).json(), json!([1]));
    assert_eq!(
        call(&emulator, "POST /identities", "").send().header("retry-after"),
        Some("7")
    );
    assert_eq!(ask(admin, "POST /faults", &two).json(), json!([2, 3]));
    assert_eq!(get(admin, "/faults")[0]["hits"], 1);
    assert_eq!(ask(admin, "DELETE /faults/2", &Value::Null).status, 204);
    assert_eq!(ask(admin, "DELETE /faults/2", &Value::Null).status, 404);
    assert!(call(&emulator, "POST /identities", "").try_send().is_none());
    assert_eq!(ask(admin, "DELETE /faults", &Value::Null).status, 204);
    assert_eq!(call(&emulator, "POST /identities", "").send().status, 201);
}

#[test]
fn a_wrong_fault_is_refused_with_the_field_that_is_wrong() {
    let (emulator, admin) = start();
    for (fault, hint) in [
        (json!({"opration": "create"}), "unknown field `opration`"),
        (
            json!({"operation": "purge"}),
            "unknown variant `purge`, expected one of `create`",
        ),
        (json!({"effect": {"kind": "explode"}}), "unknown variant `explode`"),
        (json!([{"delay": "soon"}]), "duration"),
    ] {
        let answer = ask(admin, "POST /faults", &fault);
        assert!(
            (400..500).contains(&answer.status) && answer.text().contains(hint),
            "{}",
            answer.text()
        );
    }
    assert!(emulator.faults().is_empty());
}

#[test]
fn keys_clock_limits_and_lifetimes_can_be_changed() {
    let (emulator, admin) = start();
    let set = |line: &str, body: Value| ask(admin, line, &body);

    let replaced = set("PUT /keys/secondary", json!({"key": "bmV3IGtleQ=="}));
    assert_eq!(
        replaced.json()["fingerprint"],
        emulator.access_key(KeySlot::Secondary).fingerprint()
    );
    assert_eq!(
        call(&emulator, "POST /identities", "")
            .with_key("bmV3IGtleQ==")
            .send()
            .status,
        201
    );
    assert_eq!(set("PUT /keys/secondary", json!({"key": "not base64"})).status, 400);
    assert!((400..500).contains(&set("PUT /keys/third", json!({"key": "bmV3IGtleQ=="})).status));

    assert_eq!(set("PUT /clock", json!({"offset": "-10m"})).status, 204);
    assert_eq!(emulator.clock_offset(), jiff::SignedDuration::from_mins(-10));

    assert_eq!(
        set("PUT /limits", json!({"window": "10s", "issue": 3, "create": null})).status,
        204
    );
    let limits = emulator.limits();
    assert_eq!(
        (limits.window.as_secs(), limits.issue, limits.create, limits.delete),
        (10, Some(3), None, Some(500))
    );

    assert_eq!(set("PUT /token-ttl", json!({"ttl": "45s"})).status, 204);
    assert_eq!(emulator.token_ttl().unwrap().as_secs(), 45);
    assert_eq!(set("PUT /token-ttl", json!({"ttl": null})).status, 204);
    assert_eq!(emulator.token_ttl(), None);
}

#[test]
fn undocumented_answers_can_be_changed_while_it_runs() {
    let (emulator, admin) = start();
    let id = create(&emulator);
    delete(&emulator, &id);
    let set = |body: Value| ask(admin, "PUT /choices", &body);
    assert_eq!(set(json!({"deletedIdentity": "not-owned"})).status, 204);
    assert_eq!(emulator.choices().deleted_identity, DeletedIdentity::NotOwned);
    assert_eq!(issue(&emulator, &id).verdict(), "401 IdentityNotOwned");
    assert_eq!(set(json!({"deletedIdentity": "alive"})).status, 422);
    assert_eq!(set(json!({"checkOrder": ["body"]})).status, 422);
    assert_eq!(set(json!({})).status, 204);
    assert_eq!(emulator.choices(), Choices::default());
}
