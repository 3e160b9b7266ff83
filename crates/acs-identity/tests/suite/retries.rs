//! What the client repeats by itself, and what it never does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use acs_identity::{
    ApiVersion, CreateIdentity, CustomId, Exchange, FailureClass, Guard, Observer, Operation, RetryPolicy, Scope,
};

use crate::support::{Reply, Server, id};

/// Repeats so soon that a test does not notice.
const SOON: RetryPolicy = RetryPolicy::new(3, Duration::from_millis(1), Duration::from_millis(5));

#[tokio::test]
async fn what_passes_is_repeated_with_the_same_request_id() {
    let server = Server::answering([Reply::html(502), Reply::Cut, Reply::empty(429), Reply::token()]).await;
    let client = server.client_with(|builder| builder.retry(SOON));
    client.issue_token(&id(), &[Scope::Chat], None).await.unwrap();

    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    let ids: Vec<_> = requests
        .iter()
        .map(|request| request.header("x-ms-client-request-id").unwrap())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn a_repeat_is_signed_anew() {
    let server = Server::answering([Reply::html(502), Reply::empty(204)]).await;
    let wait = Duration::from_millis(1100);
    let client = server.client_with(|builder| builder.retry(RetryPolicy::new(1, wait, wait)));
    client.revoke_tokens(&id()).await.unwrap();

    let [first, second] = server.requests().try_into().unwrap();
    assert_ne!(first.header("x-ms-date"), second.header("x-ms-date"));
    assert_ne!(first.header("authorization"), second.header("authorization"));
}

#[tokio::test]
async fn repeats_end() {
    let server = Server::answering([Reply::empty(503)]).await;
    let client = server.client_with(|builder| builder.retry(SOON));
    let error = client.delete_identity(&id()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Transient { retry_after: None });
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_create_is_never_repeated() {
    for reply in [Reply::empty(503), Reply::empty(429), Reply::Cut, Reply::html(502)] {
        let server = Server::answering([reply]).await;
        let client = server.client_with(|b| b.retry(SOON).api_version(ApiVersion::PREVIEW_2025_03_02));
        client.create_identity(&CreateIdentity::new()).await.unwrap_err();
        assert_eq!(server.requests().len(), 1);
        let custom_id = Some(CustomId::parse("alice").unwrap());
        client
            .create_identity(&CreateIdentity {
                custom_id,
                ..CreateIdentity::new()
            })
            .await
            .unwrap_err();
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn what_does_not_pass_is_not_repeated() {
    for reply in [
        Reply::envelope(400, "ValidationError", "bad"),
        Reply::envelope(401, "Denied", "no"),
        Reply::envelope(401, "IdentityNotOwned", "no"),
        Reply::empty(403),
        Reply::empty(404),
    ] {
        let server = Server::answering([reply]).await;
        let client = server.client_with(|builder| builder.retry(SOON));
        client.issue_token(&id(), &[Scope::Chat], None).await.unwrap_err();
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_wait_that_the_service_asks_for_is_kept() {
    let server = Server::answering([Reply::with_headers(429, &["Retry-After: 1"], ""), Reply::empty(204)]).await;
    let policy = RetryPolicy::new(1, Duration::from_millis(1), Duration::from_secs(5));
    let started = Instant::now();
    server
        .client_with(|builder| builder.retry(policy))
        .revoke_tokens(&id())
        .await
        .unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_wait_longer_than_allowed_is_left_to_the_caller() {
    let server = Server::answering([Reply::with_headers(429, &["Retry-After: 3600"], "")]).await;
    let client = server.client_with(|builder| builder.retry(RetryPolicy::default()));
    let error = client.revoke_tokens(&id()).await.unwrap_err();
    assert_eq!(
        error.class(),
        FailureClass::Throttled {
            retry_after: Some(Duration::from_hours(1))
        }
    );
    assert_eq!(server.requests().len(), 1);
}

/// Remembers what it is told: operation, status, failure, versions on offer.
#[derive(Default)]
struct Diary(Mutex<Vec<Entry>>);

type Entry = (Operation, Option<u16>, Option<FailureClass>, Vec<String>);

impl Observer for Diary {
    fn on_exchange(&self, exchange: &Exchange<'_>) {
        let versions = exchange.api_versions.iter().map(ToString::to_string).collect();
        self.0
            .lock()
            .unwrap()
            .push((exchange.operation, exchange.status, exchange.failure, versions));
    }
}

#[tokio::test]
async fn an_observer_is_told_of_every_exchange() {
    let versions = "api-supported-versions: 2021-03-07, 2023-10-01,nonsense,2025-03-02-preview";
    let server = Server::answering([Reply::Cut, Reply::with_headers(204, &[versions], "")]).await;
    let diary = Arc::new(Diary::default());
    let client = server.client_with(|builder| builder.retry(SOON).observer(diary.clone()));
    client.revoke_tokens(&id()).await.unwrap();

    let offered = ["2021-03-07", "2023-10-01", "2025-03-02-preview"]
        .map(str::to_owned)
        .to_vec();
    let transient = Some(FailureClass::Transient { retry_after: None });
    assert_eq!(
        *diary.0.lock().unwrap(),
        [
            (Operation::Revoke, None, transient, vec![]),
            (Operation::Revoke, Some(204), None, offered)
        ]
    );
}

/// Lets so many requests pass.
struct Quota(AtomicUsize);

impl Guard for Quota {
    fn lets_pass(&self, _: Operation) -> bool {
        let left = |left: usize| left.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok()
    }
}

#[tokio::test]
async fn a_guard_is_asked_before_every_request_and_what_it_withholds_is_not_sent() {
    let server = Server::answering([Reply::Cut, Reply::empty(204)]).await;
    let quota = Arc::new(Quota(AtomicUsize::new(1)));
    let client = server.client_with(|builder| builder.retry(SOON).guard(quota));

    let withheld = client.revoke_tokens(&id()).await.unwrap_err();
    assert_eq!(withheld.class(), FailureClass::Withheld, "{withheld}");
    assert_eq!(server.requests().len(), 1, "the repeat is asked for too");

    let created = client.create_identity(&CreateIdentity::new()).await.unwrap_err();
    assert_eq!(
        created.class(),
        FailureClass::Withheld,
        "nothing is in doubt: {created}"
    );
    assert_eq!(server.requests().len(), 1);

    client.unguarded().revoke_tokens(&id()).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}
