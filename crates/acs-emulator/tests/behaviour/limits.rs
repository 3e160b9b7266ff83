//! Rate limits, as a client meets them.

use acs_emulator::{Choices, Config, Emulator, Limits, RetryAfter, ThrottleBody};

use crate::client::{Answer, call, create, issue};

fn limited(choices: Choices) -> Emulator {
    let limits = Limits {
        issue: Some(1),
        ..Limits::default()
    };
    Emulator::start(Config {
        limits,
        choices,
        ..Config::default()
    })
    .unwrap()
}

/// The answer to the issue that is one too many.
fn refused(choices: Choices) -> Answer {
    let emulator = limited(choices);
    let id = create(&emulator);
    assert_eq!(issue(&emulator, &id).status, 200);
    issue(&emulator, &id)
}

#[test]
fn one_request_too_many_is_throttled_and_told_when_to_come_back() {
    let answer = refused(Choices::default());
    assert_eq!(answer.verdict(), "429 TooManyRequests");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((25..=30).contains(&seconds), "{seconds}");
}

#[test]
fn a_throttled_answer_looks_as_was_chosen() {
    let body = |throttle_body| {
        refused(Choices {
            throttle_body,
            ..Choices::default()
        })
        .text()
    };
    assert!(body(ThrottleBody::Html).contains("<html>"));
    assert_eq!(body(ThrottleBody::Empty), "");

    let header = |retry_after, name: &str| {
        refused(Choices {
            retry_after,
            ..Choices::default()
        })
        .header(name)
        .map(str::to_owned)
    };
    assert_eq!(header(RetryAfter::None, "retry-after"), None);
    assert!(header(RetryAfter::Date, "retry-after").unwrap().ends_with(" GMT"));
    assert!(
        header(RetryAfter::Milliseconds, "retry-after-ms")
            .unwrap()
            .ends_with("000")
    );
}

#[test]
fn limits_can_be_changed_while_it_runs() {
    let emulator = limited(Choices::default());
    let id = create(&emulator);
    assert_eq!((issue(&emulator, &id).status, issue(&emulator, &id).status), (200, 429));
    emulator.set_limits(Limits::none());
    assert_eq!(issue(&emulator, &id).status, 200);
}

#[test]
fn the_service_stops_at_the_documented_number_of_creates() {
    let emulator = Emulator::start(Config::default()).unwrap();
    for _ in 0..1000 {
        create(&emulator);
    }
    assert_eq!(call(&emulator, "POST /identities", "").send().status, 429);
    let with_token = call(&emulator, "POST /identities", r#"{"createTokenWithScopes":["chat"]}"#).send();
    assert_eq!(with_token.status, 201);
    assert_eq!(emulator.identities().len(), 1001);
}

#[test]
fn a_request_with_a_bad_signature_uses_up_no_limit() {
    let emulator = limited(Choices::default());
    let line = format!("POST /identities/{}/:issueAccessToken", create(&emulator));
    for _ in 0..3 {
        let answer = call(&emulator, &line, r#"{"scopes":["chat"]}"#)
            .with_key("d3Jvbmc=")
            .send();
        assert_eq!(answer.status, 401);
    }
    assert_eq!(call(&emulator, &line, r#"{"scopes":["chat"]}"#).send().status, 200);
}
