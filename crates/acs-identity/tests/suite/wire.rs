//! What goes over the wire, and what is made of good answers.

use crate::support::{ID, KEY, Reply, Request, Server, TOKEN, id};
use acs_identity::{AccessKey, ApiVersion, CreateIdentity, CustomId, Deleted, FailureClass, Scope, TokenLifetime};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

const ENCODED: &str = "8%3Aacs%3A2dee53b4-368b-45b4-ab52-8493fb117652_00000005-14a2-493b-8a72-5a3a0d000081";

/// Checks a request as the service does: from what arrived, not from what was meant.
fn assert_signed(request: &Request) {
    let (verb, rest) = request.line.split_once(' ').unwrap();
    let path_and_query = rest.strip_suffix(" HTTP/1.1").unwrap();
    let header = |name| request.header(name).unwrap_or_else(|| panic!("no {name}"));
    let hash = STANDARD.encode(Sha256::digest(&request.body));
    assert_eq!(header("x-ms-content-sha256"), hash);
    let text = format!(
        "{verb}\n{path_and_query}\n{};{};{hash}",
        header("x-ms-date"),
        header("host")
    );
    let mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(KEY).unwrap())
        .unwrap()
        .chain_update(text);
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let expected = format!("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}");
    assert_eq!(header("authorization"), expected);
}

#[tokio::test]
async fn a_create_with_scopes_returns_the_identity_and_its_token() {
    let server = Server::answering([Reply::created()]).await;
    let create = CreateIdentity {
        lifetime: Some(TokenLifetime::MIN),
        ..CreateIdentity::with_scopes([Scope::Chat, Scope::Voip])
    };
    let identity = server.client().create_identity(&create).await.unwrap();

    assert_eq!(identity.id.as_str(), ID);
    let token = identity.token.unwrap();
    assert_eq!(token.token.expose_secret(), TOKEN);
    assert_eq!(token.expires_on.to_string(), "2030-07-10T21:39:39.3244584Z");
    let [request] = server.requests().try_into().unwrap();
    assert_eq!(request.line, "POST /identities?api-version=2023-10-01 HTTP/1.1");
    assert_eq!(
        request.body,
        r#"{"createTokenWithScopes":["chat","voip"],"expiresInMinutes":60}"#
    );
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("accept"), Some("application/json"));
    assert_eq!(
        request.header("host"),
        Some(format!("127.0.0.1:{}", server.port).as_str())
    );
    assert_eq!(
        request.header("x-ms-client-request-id"),
        Some(create.request_id.to_string().as_str())
    );
    assert_eq!(request.header("x-ms-return-client-request-id"), Some("true"));
    assert_signed(&request);
}

#[tokio::test]
async fn a_create_without_scopes_sends_no_body() {
    let server = Server::answering([Reply::json(201, &format!(r#"{{"identity":{{"id":"{ID}"}}}}"#))]).await;
    let identity = server.client().create_identity(&CreateIdentity::new()).await.unwrap();

    assert!(identity.token.is_none());
    let [request] = server.requests().try_into().unwrap();
    assert_eq!(request.body, "");
    assert_eq!(request.header("content-length"), Some("0"));
    assert_signed(&request);
}

#[tokio::test]
async fn a_token_is_issued_for_the_encoded_id() {
    let server = Server::answering([Reply::token()]).await;
    let token = server
        .client()
        .issue_token(&id(), &[Scope::ChatJoin], Some(TokenLifetime::MAX))
        .await
        .unwrap();

    assert_eq!(token.token.expose_secret(), TOKEN);
    let [request] = server.requests().try_into().unwrap();
    assert_eq!(
        request.line,
        format!("POST /identities/{ENCODED}/:issueAccessToken?api-version=2023-10-01 HTTP/1.1")
    );
    assert_eq!(request.body, r#"{"scopes":["chat.join"],"expiresInMinutes":1440}"#);
    assert_signed(&request);
}

#[tokio::test]
async fn tokens_are_revoked() {
    let server = Server::answering([Reply::empty(204)]).await;
    server.client().revoke_tokens(&id()).await.unwrap();

    let [request] = server.requests().try_into().unwrap();
    assert_eq!(
        request.line,
        format!("POST /identities/{ENCODED}/:revokeAccessTokens?api-version=2023-10-01 HTTP/1.1")
    );
    assert_eq!(request.header("content-length"), Some("0"));
    assert_eq!(request.header("content-type"), None);
    assert_signed(&request);
}

#[tokio::test]
async fn a_delete_tells_a_deleted_identity_from_one_that_was_gone() {
    let server = Server::answering([
        Reply::empty(204),
        Reply::empty(404),
        Reply::envelope(404, "NotFound", "no such"),
    ])
    .await;
    let client = server.client();
    assert_eq!(client.delete_identity(&id()).await.unwrap(), Deleted::Deleted);
    assert_eq!(client.delete_identity(&id()).await.unwrap(), Deleted::WasGone);
    assert_eq!(client.delete_identity(&id()).await.unwrap(), Deleted::WasGone);

    let requests = server.requests();
    assert_eq!(
        requests[0].line,
        format!("DELETE /identities/{ENCODED}?api-version=2023-10-01 HTTP/1.1")
    );
    requests.iter().for_each(assert_signed);
}

#[tokio::test]
async fn the_preview_version_has_custom_ids_and_lookups() {
    let detail = format!(r#"{{"id":"{ID}","customId":"alice","lastTokenIssuedAt":"2025-07-10T21:39:39.3+00:00"}}"#);
    let existing = format!(r#"{{"identity":{{"id":"{ID}"}}}}"#);
    let server = Server::answering([Reply::json(200, &existing), Reply::json(200, &detail)]).await;
    let client = server.client_with(|builder| builder.api_version(ApiVersion::PREVIEW_2025_03_02));

    let create = CreateIdentity {
        custom_id: Some(CustomId::parse("alice").unwrap()),
        ..CreateIdentity::new()
    };
    assert_eq!(client.create_identity(&create).await.unwrap().id.as_str(), ID);
    let detail = client.get_identity(&id()).await.unwrap();
    assert_eq!(detail.custom_id.as_deref(), Some("alice"));
    assert_eq!(
        detail.last_token_issued_at,
        Some("2025-07-10T21:39:39.3Z".parse().unwrap())
    );

    let requests = server.requests();
    assert_eq!(
        requests[0].line,
        "POST /identities?api-version=2025-03-02-preview HTTP/1.1"
    );
    assert_eq!(requests[0].body, r#"{"customId":"alice"}"#);
    assert_eq!(
        requests[1].line,
        format!("GET /identities/{ENCODED}?api-version=2025-03-02-preview HTTP/1.1")
    );
    requests.iter().for_each(assert_signed);
}

#[tokio::test]
async fn what_a_version_does_not_have_is_refused_without_a_call() {
    let server = Server::answering([Reply::created()]).await;
    let client = server.client();
    let create = CreateIdentity {
        custom_id: Some(CustomId::parse("alice").unwrap()),
        ..CreateIdentity::new()
    };
    let refused = client.create_identity(&create).await.unwrap_err();
    assert_eq!(refused.class(), FailureClass::Rejected);
    assert!(refused.to_string().contains("2025-03-02-preview"), "{refused}");
    let refused = client.get_identity(&id()).await.unwrap_err();
    assert_eq!(refused.class(), FailureClass::Rejected);
    assert!(refused.to_string().contains("2025-03-02-preview"), "{refused}");
    let refused = client.issue_token(&id(), &[], None).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "could not issue a token: a token needs at least one scope"
    );
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn a_client_with_another_credential_signs_with_it() {
    let server = Server::answering([Reply::empty(204)]).await;
    let other = AccessKey::parse("b3RoZXI=").unwrap();
    let before = server.client();
    let after = before.with_credential(other.clone().into());
    assert_eq!(after.credential().fingerprint(), other.fingerprint());
    before.revoke_tokens(&id()).await.unwrap();
    after.revoke_tokens(&id()).await.unwrap();
    let [first, second] = server.requests().try_into().unwrap();
    assert_signed(&first);
    assert_ne!(first.header("authorization"), second.header("authorization"));
}
