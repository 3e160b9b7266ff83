//! What is refused, and in which order.

use acs_emulator::{ApiVersion, Choices, Config, CustomIdOutsidePreview, Emulator};
use jiff::SignedDuration;

use crate::client::{PREVIEW, call, create, start};

#[test]
fn a_client_that_signs_date_is_served() {
    let emulator = start();
    assert_eq!(
        call(&emulator, "POST /identities", "").signing_date().send().status,
        201
    );
}

#[test]
fn a_wrong_key_a_wrong_scheme_and_no_credential_are_all_denied() {
    let emulator = start();
    let create = || call(&emulator, "POST /identities", "");
    for answer in [
        create().with_key("d3Jvbmc=").send(),
        create().authorized_by("Bearer abc").send(),
        create().authorized_by("").send(),
        create()
            .authorized_by("HMAC-SHA256 SignedHeaders=host&Signature=")
            .send(),
        create().dated("yesterday").send(),
        create().with("x-ms-date", "Mon, 01 Jan 2024 00:00:00 GMT").send(),
        create().with("x-ms-content-sha256", "AAAA").send(),
    ] {
        assert_eq!(answer.verdict(), "401 Denied");
        assert_eq!(answer.json()["error"]["message"], "Denied by the resource provider.");
    }
    assert!(emulator.identities().is_empty());
    assert!(
        emulator
            .calls()
            .iter()
            .all(|call| call.reason.is_some() && !call.carried_out)
    );
}

#[test]
fn a_client_whose_clock_is_off_by_more_than_five_minutes_is_denied_and_can_see_why() {
    let emulator = start();
    let create = || call(&emulator, "POST /identities", "");
    let early = create();
    emulator.set_clock_offset(SignedDuration::from_secs(290));
    assert_eq!(early.send().status, 201);
    emulator.set_clock_offset(SignedDuration::from_secs(310));
    let denied = early.send();
    assert_eq!(denied.verdict(), "401 Denied");
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(denied.header("date").unwrap())
        .unwrap();
    assert!(emulator.now().duration_since(date).abs() < SignedDuration::from_secs(60));
    assert!(
        emulator.calls()[1]
            .reason
            .as_deref()
            .unwrap()
            .contains("off the service's clock, more than 300 s")
    );
    assert_eq!(create().send().status, 201);
}

#[test]
fn an_api_version_that_is_missing_unknown_or_ambiguous_is_refused() {
    let emulator = start();
    for (query, verdict) in [
        ("api-version=2020-01-01", "400 UnsupportedApiVersion"),
        ("api-version=", "400 UnsupportedApiVersion"),
        ("no-api-version=1", "400 ApiVersionUnspecified"),
        (
            "api-version=2023-10-01&api-version=2022-10-01",
            "400 AmbiguousApiVersion",
        ),
        ("api-version=2023-10-01&api-version=2023-10-01", "201"),
    ] {
        let answer = call(&emulator, &format!("POST /identities?{query}"), "").send();
        assert_eq!(answer.verdict(), verdict, "{query}");
    }
    let message = &call(&emulator, "POST /identities?api-version=v1", "").send().json()["error"]["message"];
    assert_eq!(
        message,
        "The HTTP resource that matches the request URI '/identities' does not support the API version 'v1'."
    );
}

#[test]
fn a_version_that_is_no_longer_served_is_refused() {
    let api_versions = vec![ApiVersion::V2026_09_23];
    let emulator = Emulator::start(Config {
        api_versions,
        ..Config::default()
    })
    .unwrap();
    let answer = call(&emulator, "POST /identities", "").send();
    assert_eq!(answer.verdict(), "400 UnsupportedApiVersion");
    assert_eq!(answer.header("api-supported-versions"), Some("2026-09-23"));
}

#[test]
fn versions_differ_as_they_were_published() {
    let emulator = start();
    let issue = |version: &str, body: &str| {
        let id = create(&emulator);
        call(
            &emulator,
            &format!("POST /identities/{id}/:issueAccessToken?api-version={version}"),
            body,
        )
        .send()
        .status
    };
    let short = r#"{"scopes":["chat"],"expiresInMinutes":1}"#;
    assert_eq!((issue("2022-06-01", short), issue("2022-10-01", short)), (200, 400));
    let join = r#"{"scopes":["voip.join"]}"#;
    assert_eq!((issue("2023-08-01", join), issue("2023-10-01", join)), (400, 200));
}

#[test]
fn a_custom_id_outside_the_preview_is_refused_where_that_was_chosen() {
    let choices = Choices {
        custom_id_outside_preview: CustomIdOutsidePreview::Refuse,
        ..Choices::default()
    };
    let emulator = Emulator::start(Config {
        choices,
        ..Config::default()
    })
    .unwrap();
    let body = r#"{"customId":"alice"}"#;
    assert_eq!(
        call(&emulator, "POST /identities", body).send().verdict(),
        "400 ValidationError"
    );
    assert_eq!(
        call(&emulator, &format!("POST /identities?api-version={PREVIEW}"), body)
            .send()
            .status,
        201
    );
}

#[test]
fn of_several_faults_the_first_in_the_chosen_order_is_reported() {
    let orders = [
        ("signature,route,version,throttle,body,identity", "401 Denied"),
        (
            "version,signature,route,throttle,body,identity",
            "400 UnsupportedApiVersion",
        ),
        ("route,throttle,body,identity,version,signature", "401 IdentityNotOwned"),
    ];
    for (order, verdict) in orders {
        let choices = Choices {
            check_order: order.parse().unwrap(),
            ..Choices::default()
        };
        let emulator = Emulator::start(Config {
            choices,
            ..Config::default()
        })
        .unwrap();
        let line = "POST /identities/8:acs:other_1/:issueAccessToken?api-version=none";
        assert_eq!(
            call(&emulator, line, "").with_key("d3Jvbmc=").send().verdict(),
            verdict,
            "{order}"
        );
    }
}

#[test]
fn a_body_that_is_not_said_to_be_json_is_refused() {
    let emulator = start();
    let mut create = call(&emulator, "POST /identities", r#"{"createTokenWithScopes":["chat"]}"#);
    create.content_type = "text/plain";
    assert_eq!(create.send().verdict(), "415 UnsupportedMediaType");
}
