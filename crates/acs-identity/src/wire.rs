//! JSON bodies of requests and answers.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AccessToken, CreateIdentity, Identity, IdentityDetail, IdentityId, Scope, TokenLifetime};

/// A success whose body is not what the API promises. Holds nothing of the body, which may be half a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody<'a> {
    #[serde(skip_serializing_if = "<[Scope]>::is_empty")]
    create_token_with_scopes: &'a [Scope],
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_minutes: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IssueBody<'a> {
    scopes: &'a [Scope],
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_minutes: Option<u16>,
}

/// The body of a create; empty when there is nothing to say, as the official SDKs do.
pub(crate) fn create_body(create: &CreateIdentity) -> Result<Vec<u8>, serde_json::Error> {
    if create.scopes.is_empty() && create.custom_id.is_none() {
        return Ok(Vec::new());
    }
    serde_json::to_vec(&CreateBody {
        create_token_with_scopes: &create.scopes,
        expires_in_minutes: create
            .lifetime
            .filter(|_| !create.scopes.is_empty())
            .map(TokenLifetime::as_minutes),
        custom_id: create.custom_id.as_ref().map(crate::CustomId::as_str),
    })
}

pub(crate) fn issue_body(scopes: &[Scope], lifetime: Option<TokenLifetime>) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&IssueBody {
        scopes,
        expires_in_minutes: lifetime.map(TokenLifetime::as_minutes),
    })
}

// No Debug: it holds the token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenAnswer {
    token: String,
    expires_on: Timestamp,
}

/// `{"token":…,"expiresOn":…}`
pub(crate) fn read_token(body: &[u8]) -> Result<AccessToken, Unreadable> {
    serde_json::from_slice::<TokenAnswer>(body)
        .map_err(|_| Unreadable)?
        .try_into()
}

impl TryFrom<TokenAnswer> for AccessToken {
    type Error = Unreadable;

    fn try_from(answer: TokenAnswer) -> Result<Self, Unreadable> {
        // Whoever uses the token puts it into a header; nothing else about its form is promised.
        let fits_a_header = !answer.token.is_empty() && answer.token.bytes().all(|b| b.is_ascii_graphic());
        // No token ends before there were any, and not every year has four digits, as RFC 3339 needs them.
        let is_plausible = answer.expires_on >= Timestamp::UNIX_EPOCH;
        let token = SecretString::from(answer.token);
        if fits_a_header && is_plausible {
            Ok(Self {
                token,
                expires_on: answer.expires_on,
            })
        } else {
            Err(Unreadable)
        }
    }
}

/// `{"identity":{"id":…},"accessToken"?:{…}}`
///
/// The id is what must not be lost: a token that cannot be read is left out, since it can be issued again.
pub(crate) fn read_identity(body: &[u8]) -> Result<Identity, Unreadable> {
    let mut answer: Value = serde_json::from_slice(body).map_err(|_| Unreadable)?;
    let id = answer
        .pointer("/identity/id")
        .and_then(Value::as_str)
        .ok_or(Unreadable)?;
    let id = IdentityId::parse(id).map_err(|_| Unreadable)?;
    let token = answer
        .get_mut("accessToken")
        .map(Value::take)
        .filter(|token| !token.is_null());
    let token = token.and_then(|token| {
        let read = serde_json::from_value::<TokenAnswer>(token)
            .map_err(|_| Unreadable)
            .and_then(AccessToken::try_from);
        if read.is_err() {
            tracing::warn!(identity = %id, "identity created, but its first token cannot be read; issue another");
        }
        read.ok()
    });
    Ok(Identity { id, token })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DetailAnswer {
    id: IdentityId,
    custom_id: Option<String>,
    last_token_issued_at: Option<Timestamp>,
}

/// `{"id":…,"customId"?:…,"lastTokenIssuedAt"?:…}`
pub(crate) fn read_detail(body: &[u8]) -> Result<IdentityDetail, Unreadable> {
    let DetailAnswer {
        id,
        custom_id,
        last_token_issued_at,
    } = serde_json::from_slice(body).map_err(|_| Unreadable)?;
    Ok(IdentityDetail {
        id,
        custom_id,
        last_token_issued_at,
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::CustomId;

    const ID: &str = "8:acs:2dee53b4-368b-45b4-ab52-8493fb117652_00000005-14a2-493b-8a72-5a3a0d000081";

    fn json(body: Result<Vec<u8>, serde_json::Error>) -> String {
        String::from_utf8(body.unwrap()).unwrap()
    }

    #[test]
    fn requests_say_only_what_was_asked_for() {
        let mut create = CreateIdentity::new();
        assert_eq!(json(create_body(&create)), "");
        create.lifetime = Some(TokenLifetime::MIN);
        assert_eq!(json(create_body(&create)), "");
        create.custom_id = Some(CustomId::parse("alice").unwrap());
        assert_eq!(json(create_body(&create)), r#"{"customId":"alice"}"#);
        create.scopes = vec![Scope::Chat, Scope::VoipJoin];
        create.custom_id = None;
        assert_eq!(
            json(create_body(&create)),
            r#"{"createTokenWithScopes":["chat","voip.join"],"expiresInMinutes":60}"#
        );
        assert_eq!(json(issue_body(&[Scope::Voip], None)), r#"{"scopes":["voip"]}"#);
        assert_eq!(
            json(issue_body(&[Scope::Chat], Some(TokenLifetime::MAX))),
            r#"{"scopes":["chat"],"expiresInMinutes":1440}"#
        );
    }

    #[test]
    fn an_expiry_is_read_with_any_fraction_and_zone() {
        for (text, expected) in [
            ("2025-07-10T21:39:39.3244584+00:00", "2025-07-10T21:39:39.3244584Z"),
            (
                "2025-07-10T21:39:39.3244584\\u002B00:00",
                "2025-07-10T21:39:39.3244584Z",
            ),
            ("2025-07-10T21:39:39Z", "2025-07-10T21:39:39Z"),
            ("2025-07-10T23:39:39.3+02:00", "2025-07-10T21:39:39.3Z"),
            ("2025-07-10T21:39:39.123456789Z", "2025-07-10T21:39:39.123456789Z"),
        ] {
            let token = read_token(format!(r#"{{"token":"t","expiresOn":"{text}"}}"#).as_bytes()).unwrap();
            assert_eq!(token.expires_on.to_string(), expected);
        }
    }

    #[test]
    fn a_token_answer_that_is_not_as_promised_is_unreadable() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "<html>",
            r#"{"token":"t"}"#,
            r#"{"token":"","expiresOn":"2025-07-10T21:39:39Z"}"#,
            r#"{"token":"a b","expiresOn":"2025-07-10T21:39:39Z"}"#,
            r#"{"token":"a\nb","expiresOn":"2025-07-10T21:39:39Z"}"#,
            r#"{"token":1,"expiresOn":"2025-07-10T21:39:39Z"}"#,
            r#"{"token":"t","expiresOn":"2025-07-10T21:39:39"}"#,
            r#"{"token":"t","expiresOn":"tomorrow"}"#,
            r#"{"token":"t","expiresOn":"-000001-01-01T00:00:00Z"}"#,
            r#"{"token":"t","expiresOn":"2025-07-10T21:3"#,
        ] {
            assert_eq!(read_token(body.as_bytes()).err(), Some(Unreadable), "{body}");
        }
    }

    #[test]
    fn a_created_identity_is_read_with_and_without_a_token() {
        let alone = read_identity(format!(r#"{{"identity":{{"id":"{ID}"}}}}"#).as_bytes()).unwrap();
        assert_eq!(alone.id.as_str(), ID);
        assert!(alone.token.is_none());
        let both = format!(
            r#"{{"identity":{{"id":"{ID}"}},"accessToken":{{"token":"t","expiresOn":"2025-07-10T21:39:39Z"}}}}"#
        );
        assert_eq!(
            read_identity(both.as_bytes())
                .unwrap()
                .token
                .unwrap()
                .token
                .expose_secret(),
            "t"
        );
    }

    #[test]
    fn a_created_identity_is_not_lost_for_a_bad_token() {
        for token in [
            "null",
            "{}",
            "\"literal\"",
            r#"{"token":"t","expiresOn":"never"}"#,
            r#"{"token":"","expiresOn":0}"#,
        ] {
            let body = format!(r#"{{"identity":{{"id":"{ID}"}},"accessToken":{token}}}"#);
            let identity = read_identity(body.as_bytes()).unwrap();
            assert_eq!(identity.id.as_str(), ID);
            assert!(identity.token.is_none());
        }
    }

    #[test]
    fn an_answer_without_a_usable_id_is_unreadable() {
        for body in [
            "{}",
            r#"{"identity":"8:acs:x"}"#,
            r#"{"identity":{"id":"alice"}}"#,
            r#"{"identity":{"id":7}}"#,
        ] {
            assert_eq!(read_identity(body.as_bytes()).err(), Some(Unreadable), "{body}");
        }
    }

    #[test]
    fn details_are_read_with_and_without_the_optional_parts() {
        let detail = read_detail(format!(r#"{{"id":"{ID}"}}"#).as_bytes()).unwrap();
        assert_eq!((detail.custom_id, detail.last_token_issued_at), (None, None));
        let body =
            format!(r#"{{"id":"{ID}","customId":"alice","lastTokenIssuedAt":"2025-07-10T21:39:39.3244584+00:00"}}"#);
        let detail = read_detail(body.as_bytes()).unwrap();
        assert_eq!(detail.custom_id.as_deref(), Some("alice"));
        assert_eq!(
            detail.last_token_issued_at.unwrap().to_string(),
            "2025-07-10T21:39:39.3244584Z"
        );
    }
}
