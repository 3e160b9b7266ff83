//! What becomes of a token.

use std::time::Duration;

use acs_emulator::{AccessKey, KeySlot, TokenState};
use jiff::SignedDuration;
use serde_json::json;

use crate::client::{call, create_with_token, delete, issue, revoke, start};

#[test]
fn a_revocation_ends_every_earlier_token_and_no_later_one() {
    let emulator = start();
    let (id, first) = create_with_token(&emulator);
    let second = issue(&emulator, &id).token();
    emulator.set_clock_offset(SignedDuration::from_secs(2));
    assert_eq!(revoke(&emulator, &id).status, 204);
    assert_eq!(emulator.token_state(&first), TokenState::Revoked);
    assert_eq!(emulator.token_state(&second), TokenState::Revoked);
    emulator.set_clock_offset(SignedDuration::from_secs(4));
    let third = issue(&emulator, &id).token();
    assert_eq!(emulator.token_state(&third), TokenState::Valid);
    assert_eq!(emulator.valid_tokens(&id).len(), 1);
}

#[test]
fn a_token_of_the_second_of_its_revocation_is_refused_and_called_ambiguous() {
    let emulator = start();
    let (id, _) = create_with_token(&emulator);
    // Revoke and issue in one second; the clock may tick in between, so try until they met.
    let state = (0..20).map(|_| {
        let _ = revoke(&emulator, &id);
        emulator.token_state(&issue(&emulator, &id).token())
    });
    assert!(state.into_iter().any(|state| state == TokenState::RevokedInSameSecond));
}

#[test]
fn a_deletion_ends_the_tokens() {
    let emulator = start();
    let (id, token) = create_with_token(&emulator);
    delete(&emulator, &id);
    assert_eq!(emulator.token_state(&token), TokenState::IdentityDeleted);
}

#[test]
fn a_token_ends_with_its_lifetime() {
    let emulator = start();
    emulator.set_token_ttl(Some(Duration::from_secs(45)));
    let (_, token) = create_with_token(&emulator);
    emulator.set_clock_offset(SignedDuration::from_secs(43));
    assert_eq!(emulator.token_state(&token), TokenState::Valid);
    emulator.set_clock_offset(SignedDuration::from_secs(46));
    assert_eq!(emulator.token_state(&token), TokenState::Expired);
}

#[test]
fn a_replaced_key_is_refused_and_ends_the_tokens_made_with_it() {
    let emulator = start();
    let old = emulator.access_key(KeySlot::Primary);
    let secondary = emulator.access_key(KeySlot::Secondary);
    let (id, with_primary) = create_with_token(&emulator);
    let line = format!("POST /identities/{id}/:issueAccessToken");
    let with_secondary = call(&emulator, &line, r#"{"scopes":["chat"]}"#)
        .with_key(secondary.text())
        .send()
        .token();

    emulator.replace_key(KeySlot::Primary, AccessKey::generate().unwrap());

    let answer = call(&emulator, "POST /identities", "").with_key(old.text()).send();
    assert_eq!(
        answer.json()["error"],
        json!({"code": "Denied", "message": "Denied by the resource provider."})
    );
    assert_eq!(call(&emulator, "POST /identities", "").send().status, 201);
    assert_eq!(emulator.token_state(&with_primary), TokenState::KeyReplaced);
    assert_eq!(emulator.token_state(&with_secondary), TokenState::Valid);
}

#[test]
fn a_text_that_is_no_token_of_ours_is_unknown() {
    let emulator = start();
    let (_, token) = create_with_token(&emulator);
    for text in ["", "token", &token[..token.len() - 1], &format!("{token} ")] {
        assert_eq!(emulator.token_state(text), TokenState::Unknown);
    }
}
