//! Proving a credential without creating anything.

use std::time::Duration;

use acs_emulator::{
    AccessKey as EmulatorKey, ApiVersion as EmulatorVersion, Config, Emulator, Fault, KeySlot, Operation,
};
use acs_identity::{Client, ConnectionString, FailureClass as Class, InsecureEndpoints, RetryPolicy};

use crate::support::{Reply, Server};

const TRANSIENT: Class = Class::Transient { retry_after: None };

fn client(emulator: &Emulator) -> Client {
    let text = emulator.connection_string();
    let ConnectionString { endpoint, access_key } = ConnectionString::parse(&text, InsecureEndpoints::Allow).unwrap();
    let builder = Client::builder(endpoint, access_key.into()).retry(RetryPolicy::none());
    builder.build().unwrap()
}

#[tokio::test]
async fn a_good_key_is_proven_with_one_call_that_changes_nothing() {
    let emulator = Emulator::start(Config::default()).unwrap();
    client(&emulator).probe().await.unwrap();
    let calls = emulator.calls();
    let seen: Vec<_> = calls
        .iter()
        .map(|call| (call.operation, call.error_code.as_deref(), call.carried_out))
        .collect();
    assert_eq!(seen, [(Operation::Revoke, Some("IdentityNotOwned"), false)]);
    assert_eq!(calls[0].signed_by, Some(KeySlot::Primary));
}

#[tokio::test]
async fn a_key_that_was_regenerated_is_found_out() {
    let emulator = Emulator::start(Config::default()).unwrap();
    let old = client(&emulator);
    emulator.replace_key(KeySlot::Primary, EmulatorKey::generate().unwrap());
    let refused = old.probe().await.unwrap_err();
    assert_eq!(
        (refused.class(), refused.code()),
        (Class::CredentialRejected, Some("Denied"))
    );
    assert_eq!(
        refused.to_string(),
        "could not prove the credential: ACS answered 401 Denied: Denied by the resource provider."
    );
    client(&emulator).probe().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_says_nothing_of_the_credential_is_an_error_of_its_own_class() {
    let emulator = Emulator::start(Config::default()).unwrap();
    let throttled = Class::Throttled {
        retry_after: Some(Duration::from_secs(7)),
    };
    for (fault, expected) in [
        (Fault::throttled(Some("7")), throttled),
        (Fault::status(503), TRANSIENT),
        (Fault::html_bad_gateway(), TRANSIENT),
        (Fault::cut_before_processing(), TRANSIENT),
    ] {
        emulator.inject(fault.once());
        assert_eq!(client(&emulator).probe().await.unwrap_err().class(), expected);
    }
    client(&emulator).probe().await.unwrap();
}

#[tokio::test]
async fn a_version_that_is_not_served_any_more_is_told_and_proves_nothing() {
    let emulator = Emulator::start(Config {
        api_versions: vec![EmulatorVersion::V2026_09_23],
        ..Config::default()
    })
    .unwrap();
    let refused = client(&emulator).probe().await.unwrap_err();
    assert_eq!(
        (refused.class(), refused.code()),
        (Class::Rejected, Some("UnsupportedApiVersion"))
    );
}

#[tokio::test]
async fn only_what_the_service_itself_answers_proves_a_credential() {
    for good in [
        Reply::empty(204),
        Reply::envelope(404, "IdentityNotFound", "The identity does not exist."),
        Reply::empty(404),
    ] {
        let server = Server::answering([good.clone()]).await;
        server
            .client()
            .probe()
            .await
            .unwrap_or_else(|error| panic!("{good:?}: {error}"));
    }
    for (other, expected) in [
        (Reply::html(200), TRANSIENT),
        (Reply::html(404), TRANSIENT),
        (Reply::envelope(400, "ValidationError", "what?"), Class::Rejected),
        (Reply::empty(401), Class::CredentialRejected),
        (Reply::envelope(403, "Forbidden", "no"), Class::CredentialRejected),
    ] {
        let server = Server::answering([other]).await;
        assert_eq!(server.client().probe().await.unwrap_err().class(), expected);
    }
}
