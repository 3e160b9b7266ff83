//! What each failure is called, and what it says.

use std::time::Duration;

use acs_identity::{
    AccessKey, ApiVersion, Client, CreateIdentity, CustomId, Endpoint, Error, FailureClass as Class, InsecureEndpoints,
    RetryPolicy, Scope, Timeouts, Transport,
};

use crate::support::{ID, KEY, Reply, Server, TOKEN, id};

/// The failure of one kind of call against one reply.
async fn failure(call: &str, reply: Reply) -> Error {
    let never_ends = reply.never_ends();
    let server = Server::answering([reply]).await;
    let failed = fail(call, &server).await;
    // A call that is given up soon may not even have arrived.
    let sent = server.requests().len();
    assert!(sent == 1 || (never_ends && sent == 0), "{call}: sent {sent} times");
    failed
}

async fn fail(call: &str, server: &Server) -> Error {
    if call == "custom" {
        let client = server.client_with(|builder| builder.api_version(ApiVersion::PREVIEW_2025_03_02));
        let custom_id = Some(CustomId::parse("alice").unwrap());
        return client
            .create_identity(&CreateIdentity {
                custom_id,
                ..CreateIdentity::new()
            })
            .await
            .unwrap_err();
    }
    fail_with(&server.client(), call).await
}

async fn fail_with(client: &Client, call: &str) -> Error {
    match call {
        "create" => client
            .create_identity(&CreateIdentity::with_scopes([Scope::Chat]))
            .await
            .unwrap_err(),
        "issue" => client.issue_token(&id(), &[Scope::Chat], None).await.unwrap_err(),
        "revoke" => client.revoke_tokens(&id()).await.unwrap_err(),
        "delete" => client.delete_identity(&id()).await.unwrap_err(),
        other => panic!("no call {other}"),
    }
}

const TRANSIENT: Class = Class::Transient { retry_after: None };
const THROTTLED: Class = Class::Throttled { retry_after: None };

fn unusual_answers() -> Vec<(&'static str, Reply)> {
    vec![
        ("500 with envelope", Reply::envelope(500, "InternalServerError", "oops")),
        ("502 html", Reply::html(502)),
        ("503 empty", Reply::empty(503)),
        (
            "504 json that is no envelope",
            Reply::json(504, r#"{"message":"late"}"#),
        ),
        ("408", Reply::envelope(408, "RequestTimeout", "late")),
        ("409", Reply::envelope(409, "Conflict", "busy")),
        ("400 html", Reply::html(400)),
        ("400 empty", Reply::empty(400)),
        (
            "302",
            Reply::with_headers(302, &["Location: http://127.0.0.1:1/identities"], ""),
        ),
        ("307", Reply::with_headers(307, &["Location: /identities"], "")),
        ("a success of another kind", Reply::html(203)),
        ("a page", Reply::html(200)),
        ("a status nobody knows", Reply::empty(799)),
        ("a head that ends early", Reply::Raw(b"HTTP/1.1 201 Crea".to_vec())),
        (
            "something that is not HTTP",
            Reply::Raw(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        ),
        (
            "an envelope cut short",
            Reply::envelope(401, "Denied", "Denied by the resource provider.").without_last(5),
        ),
        ("a connection closed without a word", Reply::Cut),
        ("silence", Reply::Hang),
    ]
}

#[tokio::test]
async fn an_unusual_answer_is_transient_and_for_a_create_in_doubt() {
    for (name, reply) in unusual_answers() {
        for (call, expected) in [
            ("create", Class::InDoubt),
            ("custom", TRANSIENT),
            ("issue", TRANSIENT),
            ("revoke", TRANSIENT),
            ("delete", TRANSIENT),
        ] {
            // A page with 200 is read, and is no identity; that of a revoke or delete is no 204.
            let error = failure(call, reply.clone()).await;
            assert_eq!(error.class(), expected, "{call}: {name}: {error}");
        }
    }
}

#[tokio::test]
async fn a_create_that_was_answered_but_cannot_be_read_is_in_doubt() {
    for reply in [
        Reply::created().without_last(1),
        Reply::created().without_last(120),
        Reply::json(201, ""),
        Reply::json(201, "null"),
        Reply::json(201, r#"{"identity":{}}"#),
        Reply::json(201, r#"{"identity":{"id":"alice"}}"#),
        Reply::json(201, &format!(r#"{{"identity":{{"id":"{ID}"}}}}{}"#, " ".repeat(70_000))),
        Reply::html(201),
        Reply::empty(204),
        Reply::empty(404),
        Reply::envelope(404, "NotFound", "what?"),
        Reply::envelope(422, "Unprocessable", "what?"),
        Reply::empty(401),
        Reply::html(403),
        Reply::json(401, r#"{"error":{"code":401}}"#),
    ] {
        assert_eq!(failure("create", reply).await.class(), Class::InDoubt);
    }
}

#[tokio::test]
async fn a_create_that_acs_itself_refuses_is_settled() {
    for (reply, expected) in [
        (Reply::envelope(400, "ValidationError", "bad"), Class::Rejected),
        (Reply::envelope(401, "Denied", "no"), Class::CredentialRejected),
        (
            Reply::envelope(401, "IdentityNotOwned", "no"),
            Class::CredentialRejected,
        ),
        (Reply::envelope(403, "Forbidden", "no"), Class::CredentialRejected),
        (Reply::envelope(429, "TooManyRequests", "slow"), THROTTLED),
        (Reply::html(429), THROTTLED),
        (Reply::empty(429), THROTTLED),
        (Reply::html(429).without_last(3), THROTTLED),
    ] {
        for call in ["create", "custom"] {
            assert_eq!(failure(call, reply.clone()).await.class(), expected);
        }
    }
}

#[tokio::test]
async fn refusals_about_an_identity_have_their_classes() {
    let not_owned = "Provided identity doesn't belong to the resource.";
    for (reply, expected) in [
        (Reply::envelope(401, "IdentityNotOwned", not_owned), Class::NotOwned),
        (
            Reply::envelope(401, "Denied", "Denied by the resource provider."),
            Class::CredentialRejected,
        ),
        (Reply::empty(401), Class::CredentialRejected),
        (Reply::html(401), Class::CredentialRejected),
        (Reply::json(401, r#"{"error":"str"}"#), Class::CredentialRejected),
        (Reply::empty(403), Class::CredentialRejected),
        (Reply::envelope(400, "ValidationError", "bad"), Class::Rejected),
        (Reply::envelope(400, "UnsupportedApiVersion", "bad"), Class::Rejected),
        (Reply::envelope(422, "Unprocessable", "bad"), Class::Rejected),
        (Reply::html(404), TRANSIENT),
        (Reply::with_headers(404, &[], " <!DOCTYPE html>"), TRANSIENT),
        (
            Reply::with_headers(404, &["Content-Type: text/HTML; charset=utf-8"], "Not here"),
            TRANSIENT,
        ),
        (Reply::json(429, r#"{"message":"Too many"}"#), THROTTLED),
        (Reply::json(200, r#"{"token":"t"}"#), TRANSIENT),
        (Reply::token().without_last(1), TRANSIENT),
    ] {
        for call in ["issue", "revoke", "delete"] {
            let error = failure(call, reply.clone()).await;
            assert_eq!(error.class(), expected, "{call}: {error}");
        }
    }
    for call in ["issue", "revoke"] {
        for reply in [
            Reply::envelope(404, "NotFound", "no such"),
            Reply::empty(404),
            Reply::empty(410),
        ] {
            assert_eq!(failure(call, reply).await.class(), Class::Gone);
        }
    }
}

#[tokio::test]
async fn an_error_tells_what_acs_said_and_nothing_that_changes_from_call_to_call() {
    let headers = [
        "Content-Type: application/json",
        "Date: Thu, 01 Jan 2026 00:00:00 GMT",
        "Retry-After: 7",
    ];
    let body = r#"{"error":{"code":"Denied","message":"Denied by the\n resource provider."}}"#;
    let server = Server::answering([Reply::with_headers(401, &headers, body)]).await;
    let error = fail("issue", &server).await;

    assert_eq!(
        error.to_string(),
        "could not issue a token: ACS answered 401 Denied: Denied by the resource provider."
    );
    assert_eq!((error.status(), error.code()), (Some(401), Some("Denied")));
    assert_eq!(error.message(), Some("Denied by the resource provider."));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(error.server_date(), Some("2026-01-01T00:00:00Z".parse().unwrap()));
    assert!(error.clock_skew().unwrap() < jiff::SignedDuration::from_hours(-1));
    let sent = server.requests()[0]
        .header("x-ms-client-request-id")
        .unwrap()
        .to_owned();
    assert_eq!(error.request_id().to_string(), sent);
    assert_eq!(error.to_string(), fail("issue", &server).await.to_string());
}

/// The words, with the port that the operating system chose left out.
fn without_port(words: &str) -> String {
    match words.split_once("127.0.0.1:") {
        Some((before, after)) => format!(
            "{before}127.0.0.1{}",
            after.trim_start_matches(|c: char| c.is_ascii_digit())
        ),
        None => words.to_owned(),
    }
}

#[tokio::test]
async fn every_way_to_fail_is_put_into_words() {
    for (call, reply, words) in [
        (
            "delete",
            Reply::html(502),
            "could not delete an identity: ACS answered 502 without an error code",
        ),
        (
            "revoke",
            Reply::Cut,
            "could not revoke the tokens of an identity: no answer came: 127.0.0.1: connection closed before message completed",
        ),
        (
            "create",
            Reply::created().without_last(9),
            "could not create an identity: ACS answered 201, but with a body that is cut off or not what the API \
             promises; whether an identity was made is unknown",
        ),
        (
            "create",
            Reply::Hang,
            "could not create an identity: no answer came: 127.0.0.1: operation timed out; whether an identity was made is unknown",
        ),
    ] {
        assert_eq!(without_port(&failure(call, reply).await.to_string()), words);
    }
}

/// A client whose endpoint is at this port of this machine.
fn client_at(scheme: &str, port: u16) -> Client {
    let endpoint = Endpoint::parse(&format!("{scheme}://127.0.0.1:{port}"), InsecureEndpoints::Allow).unwrap();
    let transport = Transport::builder()
        .connect_timeout(Duration::from_secs(2))
        .build()
        .unwrap();
    let builder = Client::builder(endpoint, AccessKey::parse(KEY).unwrap().into()).retry(RetryPolicy::none());
    builder.transport(transport).build().unwrap()
}

#[tokio::test]
async fn a_refused_connection_is_known_not_to_have_been_sent() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = client_at("http", free)
        .create_identity(&CreateIdentity::new())
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::NotSent);
    let words = format!("the request was not sent: 127.0.0.1:{free}: Connection refused");
    assert!(error.to_string().contains(&words), "{error}");
    assert!(!error.is_untrusted());
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_known_not_to_have_been_sent() {
    // A label longer than DNS allows fails without a query.
    let name = format!("http://{}.invalid", "a".repeat(64));
    let endpoint = Endpoint::parse(&name, InsecureEndpoints::Allow).unwrap();
    let client = Client::builder(endpoint, AccessKey::parse(KEY).unwrap().into()).retry(RetryPolicy::none());
    let error = client
        .build()
        .unwrap()
        .create_identity(&CreateIdentity::new())
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::NotSent, "{error}");
}

#[tokio::test]
async fn a_failed_tls_handshake_is_known_not_to_have_been_sent() {
    // It speaks HTTP, not TLS.
    let server = Server::answering([Reply::created()]).await;
    let error = client_at("https", server.port)
        .create_identity(&CreateIdentity::new())
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::NotSent, "{error}");
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_known_not_to_have_been_sent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = client_at("https", port)
        .create_identity(&CreateIdentity::new())
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::NotSent, "{error}");
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let elsewhere = Server::answering([Reply::created()]).await;
    let location = format!("Location: http://127.0.0.1:{}/identities", elsewhere.port);
    for status in [301, 302, 303, 307, 308] {
        let error = failure("create", Reply::with_headers(status, &[&location], "")).await;
        assert_eq!(error.class(), Class::InDoubt);
    }
    assert_eq!(elsewhere.requests(), []);
}

#[tokio::test]
async fn secrets_that_the_service_says_back_are_not_repeated() {
    let message = format!("bad key {KEY} for token {TOKEN}");
    let error = failure("issue", Reply::envelope(401, "Denied", &message)).await;
    assert_eq!(error.message(), Some("bad key [redacted] for token [redacted]"));
    for half_a_token in [
        Reply::token().without_last(20),
        Reply::json(200, &format!(r#"{{"token":"{TOKEN}"}}"#)),
    ] {
        let error = failure("issue", half_a_token).await;
        assert!(!format!("{error} {error:?}").contains("eyJ"));
    }
    assert!(!format!("{error:?}").contains(ID));
}

#[tokio::test]
async fn a_signature_that_the_service_says_back_is_not_repeated() {
    let error = failure("issue", Reply::Echo).await;
    let message = error.message().unwrap();
    assert!(message.ends_with("Signature=[redacted]"), "{message}");
}

#[tokio::test]
async fn a_date_to_wait_for_counts_from_the_clock_of_the_service() {
    let headers = [
        "Date: Thu, 01 Jan 2026 00:00:00 GMT",
        "Retry-After: Thu, 01 Jan 2026 00:00:30 GMT",
    ];
    let error = failure("issue", Reply::with_headers(503, &headers, "")).await;
    assert_eq!(
        error.class(),
        Class::Transient {
            retry_after: Some(Duration::from_secs(30))
        }
    );
    assert_eq!(
        failure("create", Reply::with_headers(503, &headers, ""))
            .await
            .retry_after(),
        Some(Duration::from_secs(30))
    );
}

#[tokio::test]
async fn a_create_has_a_time_limit_of_its_own() {
    let server = Server::answering([Reply::Hang]).await;
    let (short, long) = (Duration::from_millis(50), Duration::from_mins(10));
    for (timeouts, call) in [
        (
            Timeouts {
                call: long,
                create: short,
            },
            "create",
        ),
        (
            Timeouts {
                call: short,
                create: long,
            },
            "issue",
        ),
    ] {
        let client = server.client_with(|builder| builder.timeouts(timeouts));
        let failed = tokio::time::timeout(Duration::from_mins(1), fail_with(&client, call)).await;
        let error = failed.expect("the long limit was used");
        assert!(error.to_string().contains("timed out"), "{error}");
    }
}
