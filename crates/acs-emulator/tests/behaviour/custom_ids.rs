//! The preview version: create with a custom id, and get.

use acs_emulator::{Choices, CustomIdAfterDelete, CustomIdRepeat, Emulator};
use serde_json::json;

use crate::client::{Answer, PREVIEW, call, delete, issue, start, start_with};

#[test]
fn under_the_preview_a_custom_id_always_leads_to_the_same_identity() {
    for (choice, status) in [(CustomIdRepeat::Created, 201), (CustomIdRepeat::Ok, 200)] {
        let emulator = start_with(Choices {
            custom_id_repeat: choice,
            ..Choices::default()
        });
        let first = create_as(&emulator, "alice");
        let again = create_as(&emulator, "alice");
        assert_eq!((first.status, again.status), (201, status));
        assert_eq!(first.identity(), again.identity());
        assert_ne!(create_as(&emulator, "bob").identity(), first.identity());
        assert_eq!(emulator.identities().len(), 2);
    }
}

#[test]
fn after_a_delete_a_custom_id_does_as_was_start_with() {
    for (choice, expected) in [
        (CustomIdAfterDelete::New, "201"),
        (CustomIdAfterDelete::Same, "201"),
        (CustomIdAfterDelete::Refuse, "409 Conflict"),
    ] {
        let emulator = start_with(Choices {
            custom_id_after_delete: choice,
            ..Choices::default()
        });
        let id = create_as(&emulator, "alice").identity();
        delete(&emulator, &id);
        let again = create_as(&emulator, "alice");
        assert_eq!(again.verdict(), expected);
        assert_eq!(emulator.identity(&id).is_some(), choice == CustomIdAfterDelete::Same);
    }
}

#[test]
fn a_custom_id_has_1_to_256_characters() {
    let emulator = start();
    assert_eq!(create_as(&emulator, "").verdict(), "400 ValidationError");
    assert_eq!(create_as(&emulator, &"ä".repeat(257)).verdict(), "400 ValidationError");
    assert_eq!(create_as(&emulator, &"ä".repeat(256)).verdict(), "201");
}

#[test]
fn outside_the_preview_a_custom_id_is_ignored() {
    let emulator = start();
    let body = r#"{"customId":"alice"}"#;
    let (first, second) = (
        call(&emulator, "POST /identities", body).send(),
        call(&emulator, "POST /identities", body).send(),
    );
    assert_ne!(first.identity(), second.identity());
}

#[test]
fn get_exists_under_the_preview_only() {
    let emulator = start();
    let id = create_as(&emulator, "alice").identity();
    let get = |version: &str| call(&emulator, &format!("GET /identities/{id}?api-version={version}"), "").send();
    assert_eq!(get(PREVIEW).json(), json!({"id": id, "customId": "alice"}));
    issue(&emulator, &id);
    assert!(
        get(PREVIEW).json()["lastTokenIssuedAt"]
            .as_str()
            .unwrap()
            .ends_with("+00:00")
    );
    assert_eq!(get("2023-10-01").verdict(), "400 UnsupportedApiVersion");
    assert_eq!(
        call(&emulator, &format!("GET /identities/{id}x?api-version={PREVIEW}"), "")
            .send()
            .status,
        404
    );
}

fn create_as(emulator: &Emulator, custom_id: &str) -> Answer {
    let body = json!({"customId": custom_id}).to_string();
    call(emulator, &format!("POST /identities?api-version={PREVIEW}"), &body).send()
}
