//! Create, issue, revoke, delete.

use acs_emulator::{Choices, DeletedIdentity, KeySlot, SecondDelete, TokenState};
use jiff::SignedDuration;
use serde_json::json;

use crate::client::{call, create, create_with_token, delete, issue, revoke, start, start_with};

#[test]
fn a_create_answers_201_with_an_id_of_the_resource() {
    let emulator = start();
    for body in [
        "",
        "{}",
        r#"{"createTokenWithScopes":null,"expiresInMinutes":null}"#,
        r#"{"createTokenWithScopes":[]}"#,
    ] {
        let answer = call(&emulator, "POST /identities", body).send();
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.json(), json!({"identity": {"id": answer.identity()}}));
        assert!(
            answer
                .identity()
                .starts_with(&format!("8:acs:{}_", emulator.resource_id()))
        );
    }
    assert_eq!(emulator.identities().len(), 4);
}

#[test]
fn a_create_with_scopes_answers_with_a_token_for_the_asked_lifetime() {
    let emulator = start();
    let body = r#"{"createTokenWithScopes":["chat","voip"],"expiresInMinutes":60}"#;
    let answer = call(&emulator, "POST /identities", body).send();
    let token = emulator.token(&answer.token()).unwrap();
    assert_eq!((answer.status, token.state), (201, TokenState::Valid));
    assert_eq!(token.identity, answer.identity());
    assert_eq!(
        token.expires_at.duration_since(token.issued_at),
        SignedDuration::from_mins(60)
    );
}

#[test]
fn expires_on_is_written_as_the_service_writes_it() {
    let emulator = start();
    let expires_on = issue(&emulator, &create(&emulator)).json()["expiresOn"]
        .as_str()
        .unwrap()
        .to_owned();
    let (date, fraction) = expires_on.split_once('.').unwrap();
    assert_eq!(
        (date.len(), fraction.len()),
        (19, "1234567+00:00".len()),
        "{expires_on}"
    );
    let left = expires_on
        .parse::<jiff::Timestamp>()
        .unwrap()
        .duration_since(emulator.now());
    assert!(
        left > SignedDuration::from_mins(1439) && left <= SignedDuration::from_hours(24),
        "{left}"
    );
}

#[test]
fn answers_carry_the_recorded_headers() {
    let emulator = start();
    let ok = call(&emulator, "POST /identities", "")
        .with("x-ms-client-request-id", "req-1")
        .send();
    assert_eq!(ok.header("content-type"), Some("application/json; charset=utf-8"));
    assert!(ok.header("content-length").is_some() && ok.header("transfer-encoding").is_none());
    assert_eq!(ok.header("x-ms-client-request-id"), Some("req-1"));
    assert!(
        ok.header("api-supported-versions")
            .unwrap()
            .contains("2023-10-01, 2025-03-02-preview")
    );
    for name in ["ms-cv", "x-azure-ref", "x-processing-time", "date"] {
        assert!(ok.header(name).is_some(), "{name}");
    }
    let refused = call(&emulator, "DELETE /identities/8:acs:other_1", "").send();
    assert_eq!(refused.header("content-type"), Some("application/json"));
    assert_eq!(refused.header("transfer-encoding"), Some("chunked"));
}

#[test]
fn an_id_works_with_raw_and_with_encoded_colons() {
    let emulator = start();
    let id = create(&emulator);
    let encoded = id.replace(':', "%3A");
    assert_eq!(issue(&emulator, &id).status, 200);
    assert_eq!(issue(&emulator, &encoded).status, 200);
    assert_eq!(revoke(&emulator, &encoded).status, 204);
    assert_eq!(delete(&emulator, &encoded).status, 204);
    assert!(emulator.identities().is_empty());
}

#[test]
fn bad_bodies_get_the_recorded_validation_errors() {
    let emulator = start();
    let id = create(&emulator);
    let issue = format!("POST /identities/{id}/:issueAccessToken");
    for (line, body, target, message) in [
        (
            "POST /identities",
            r#"{"createTokenWithScopes":["chat"],"expiresInMinutes":59}"#,
            "ExpiresInMinutes",
            "ExpiresInMinutes value 59 is invalid. Value must be within the [60, 1440] interval.",
        ),
        (
            &issue,
            r#"{"scopes":["chat"],"expiresInMinutes":1441}"#,
            "ExpiresInMinutes",
            "ExpiresInMinutes value 1441 is invalid. Value must be within the [60, 1440] interval.",
        ),
        (
            &issue,
            r#"{"scopes":null}"#,
            "Scopes",
            "Scopes: The Scopes field is required.",
        ),
        (
            &issue,
            r#"{"scopes":[]}"#,
            "scopes",
            "Invalid scopes - Scopes field is required.",
        ),
    ] {
        let answer = call(&emulator, line, body).send();
        let expected = json!({"error": {"code": "ValidationError", "message": message, "target": target}});
        assert_eq!((answer.status, answer.json()), (400, expected), "{body}");
    }
    for body in [
        "",
        "[]",
        "{",
        r#"{"scopes":"chat"}"#,
        r#"{"scopes":["pstn"]}"#,
        r#"{"scopes":["chat"],"expiresInMinutes":"60"}"#,
    ] {
        assert_eq!(
            call(&emulator, &issue, body).send().verdict(),
            "400 ValidationError",
            "{body}"
        );
    }
    assert_eq!(emulator.identities().len(), 1);
}

#[test]
fn the_bounds_of_the_lifetime_are_allowed() {
    let emulator = start();
    let issue = format!("POST /identities/{}/:issueAccessToken", create(&emulator));
    for minutes in [60, 1440] {
        let body = format!(r#"{{"scopes":["chat"],"expiresInMinutes":{minutes}}}"#);
        assert_eq!(call(&emulator, &issue, &body).send().status, 200);
    }
}

#[test]
fn an_id_of_another_resource_is_not_owned_on_every_operation() {
    let emulator = start();
    let foreign = "8:acs:00000000-0000-0000-0000-000000000000_00000000-0000-0000-0000-000000000000";
    for answer in [
        issue(&emulator, foreign),
        revoke(&emulator, foreign),
        delete(&emulator, foreign),
    ] {
        assert_eq!(answer.verdict(), "401 IdentityNotOwned");
        assert_eq!(
            answer.json()["error"]["message"],
            "Provided identity doesn't belong to the resource."
        );
    }
}

#[test]
fn a_deleted_identity_answers_as_was_start_with() {
    for (choice, expected) in [
        (DeletedIdentity::NotFound, "404 IdentityNotFound"),
        (DeletedIdentity::NotOwned, "401 IdentityNotOwned"),
        (DeletedIdentity::Invalid, "400 ValidationError"),
    ] {
        let emulator = start_with(Choices {
            deleted_identity: choice,
            ..Choices::default()
        });
        let id = create(&emulator);
        delete(&emulator, &id);
        assert_eq!(issue(&emulator, &id).verdict(), expected);
        assert_eq!(revoke(&emulator, &id).verdict(), expected);
    }
}

#[test]
fn a_second_delete_answers_as_was_start_with() {
    for (choice, expected) in [
        (SecondDelete::NoContent, "204"),
        (SecondDelete::NotFound, "404 IdentityNotFound"),
        (SecondDelete::NotOwned, "401 IdentityNotOwned"),
    ] {
        let emulator = start_with(Choices {
            second_delete: choice,
            ..Choices::default()
        });
        let id = create(&emulator);
        assert_eq!(delete(&emulator, &id).status, 204);
        assert_eq!(delete(&emulator, &id).verdict(), expected);
    }
}

#[test]
fn the_journal_tells_every_call_and_who_signed_it() {
    let emulator = start();
    let (id, token) = create_with_token(&emulator);
    call(&emulator, "POST /identities", "")
        .with_key("bm90IHRoZSBrZXk=")
        .with("x-ms-client-request-id", "r2")
        .send();
    let calls = emulator.calls();
    assert_eq!(calls.iter().map(|call| call.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        (calls[0].identity.as_deref(), calls[0].signed_by),
        (Some(id.as_str()), Some(KeySlot::Primary))
    );
    assert_eq!(calls[0].token_sha256, emulator.token(&token).map(|token| token.sha256));
    assert_eq!(
        (calls[1].status, calls[1].error_code.as_deref()),
        (Some(401), Some("Denied"))
    );
    assert_eq!((calls[1].signed_by, calls[1].request_id.as_deref()), (None, Some("r2")));
    assert!(
        calls[1]
            .reason
            .as_deref()
            .unwrap()
            .starts_with("no access key of this resource makes this signature")
    );
    assert_eq!(emulator.calls_since(1), calls[1..]);
}
