//! Whatever a server answers, a call ends soon, without a panic, and tells no secret.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use acs_identity::{ApiVersion, CreateIdentity, Error, FailureClass, Scope};
use proptest::prelude::*;
use proptest::sample::select;
use tokio::runtime::Runtime;

use crate::support::{ID, KEY, Reply, Server, TOKEN, id};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Calls every operation once; returns the failures, the create's first.
async fn call_everything(reply: Reply) -> (Option<Error>, Vec<Error>, usize) {
    let server = Server::answering([reply]).await;
    let client = server.client_with(|builder| builder.api_version(ApiVersion::PREVIEW_2025_03_02));
    let create = client
        .create_identity(&CreateIdentity::with_scopes([Scope::Chat]))
        .await
        .err();
    let others = [
        client.issue_token(&id(), &[Scope::Chat], None).await.err(),
        client.revoke_tokens(&id()).await.err(),
        client.delete_identity(&id()).await.err(),
        client.get_identity(&id()).await.err(),
    ];
    (create, others.into_iter().flatten().collect(), server.requests().len())
}

fn assert_tells_nothing(error: &Error) {
    let shown = format!("{error}\n{error:?}\n{:?}\n{:?}", error.code(), error.message());
    assert!(
        !shown.contains(KEY) && !shown.contains(TOKEN) && !shown.contains("Signature="),
        "{shown}"
    );
    let text = error.to_string();
    assert!(
        text.chars().count() < 500 && !text.contains(char::is_control),
        "{text:?}"
    );
}

fn check(reply: Reply, may_be_settled: bool) {
    let started = Instant::now();
    let told = format!("{reply:?}");
    let never_ends = reply.never_ends();
    let (create, others, requests) = RUNTIME.block_on(call_everything(reply));
    // A call that is given up soon may not even have arrived.
    assert!(
        requests == 5 || (never_ends && requests < 5),
        "each call is one request, not {requests}, for {told}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "took {:?}",
        started.elapsed()
    );
    create.iter().chain(&others).for_each(assert_tells_nothing);
    if let Some(error) = create {
        let class = error.class();
        assert!(
            !matches!(
                class,
                FailureClass::Gone | FailureClass::NotOwned | FailureClass::NotSent
            ),
            "{error:?}"
        );
        assert!(may_be_settled || class == FailureClass::InDoubt, "{error:?}");
    }
    for error in others {
        assert_ne!(error.class(), FailureClass::InDoubt, "{error:?}");
    }
}

/// Bits that mean something somewhere, secrets among them.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "{",
            "}",
            "[",
            "]",
            "\"",
            ":",
            ",",
            "null",
            "\\u0000",
            "\\",
            "<html>",
            "\r\n",
            "\u{202e}",
            "1e999",
            KEY,
            TOKEN,
            ID,
            "\"error\":",
            "\"code\":",
            "\"message\":",
            "\"identity\":",
            "\"id\":",
            "\"accessToken\":",
            "\"token\":",
            "\"expiresOn\":",
            "\"2030-01-01T00:00:00Z\"",
            "\"IdentityNotOwned\"",
            "\"Denied\"",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,20}",
        any::<String>(),
    ]
}

fn body() -> impl Strategy<Value = String> {
    let words = || proptest::collection::vec(fragment(), 0..8).prop_map(|parts| parts.concat());
    prop_oneof![
        words(),
        (words(), words()).prop_map(|(code, message)| {
            serde_json::json!({"error": {"code": code, "message": format!("{message}{KEY}{TOKEN}")}}).to_string()
        }),
        words().prop_map(|id| serde_json::json!({"identity": {"id": id}, "accessToken": {"token": TOKEN}}).to_string()),
        words().prop_map(|on| serde_json::json!({"token": TOKEN, "expiresOn": on}).to_string()),
    ]
}

fn header() -> impl Strategy<Value = String> {
    let name = select(vec![
        "Retry-After",
        "retry-after-ms",
        "Date",
        "Content-Type",
        "Location",
        "api-supported-versions",
        "Transfer-Encoding",
        "Content-Length",
        "Content-Encoding",
        "Set-Cookie",
        "X",
    ]);
    let value = prop_oneof![
        "[ -~]{0,40}",
        "[0-9]{0,30}",
        select(vec![
            "chunked",
            "gzip",
            "Thu, 01 Jan 2026 00:00:00 GMT",
            "text/html",
            "2023-10-01,,x",
            KEY
        ])
        .prop_map(str::to_owned),
    ];
    (name, value).prop_map(|(name, value)| format!("{name}: {value}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_status_headers_and_body_are_survived(
        status in prop_oneof![200..600_u16, select(vec![100_u16, 101, 103, 200, 201, 204, 400, 401, 403, 404, 429, 600, 999])],
        headers in proptest::collection::vec(header(), 0..4),
        body in body(),
        cut in prop_oneof![3 => Just(0_usize), 1 => 1..60_usize],
    ) {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        // Only ACS's own envelope, or a 429, settles a create.
        let may_be_settled = status == 429 || body.contains("error");
        check(Reply::with_headers(status, &headers, &body).without_last(cut), may_be_settled);
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), as_http in any::<bool>()) {
        let head = if as_http { b"HTTP/1.1 201 Created\r\n".as_slice() } else { b"" };
        check(Reply::Raw([head, &bytes].concat()), false);
    }
}

#[test]
fn an_answer_without_end_is_given_up() {
    let endless = |first: &str, then: &str| Reply::Forever {
        first: first.into(),
        then: then.into(),
    };
    for reply in [
        endless(
            "HTTP/1.1 201 Created\r\n",
            "X-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
        ),
        endless(
            "HTTP/1.1 201 Created\r\nX-Padding: ",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
        endless("HTTP/1.1 201 Created\r\n\r\n", "{\"identity\":"),
        endless(
            "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n",
            "1\r\n \r\n",
        ),
    ] {
        check(reply, false);
    }
}

#[test]
fn an_answer_that_drips_is_given_up_in_time() {
    for (first, then) in [
        ("HTTP/1.1 201 Created\r\nContent-Length: 5000\r\n\r\n", " "),
        ("HTTP/1.1 201 Crea", " "),
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    ] {
        check(
            Reply::Drip {
                first: first.into(),
                then: then.into(),
            },
            false,
        );
    }
}
