//! The calls to ACS.

use std::time::Instant;

use acs_identity::limiter::Permit;
use acs_identity::{
    AccessToken, Client, CreateIdentity, CustomId, Error, FailureClass, IdentityId, Operation as Call, Scope,
    TokenLifetime,
};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::api::whole_seconds;
use crate::clock::Clock;
use crate::controller::connections::Access;
use crate::decide::connection::TRUST_ITS_AUTHORITY;
use crate::decide::{Failure, FailureKind, Operation, TokenOrder, TokenRecord};

/// A token with its record.
pub struct Minted {
    /// The token, to be put into a Secret and nowhere else.
    pub token: SecretString,
    /// What is known of it.
    pub record: TokenRecord,
}

/// Creates an identity, with its first token where one is ordered.
pub async fn create(
    access: &Access,
    permit: &Permit,
    clock: &Clock,
    attempt: Uuid,
    order: Option<&TokenOrder>,
    custom_id: Option<CustomId>,
) -> Result<(IdentityId, Option<Minted>), Failure> {
    let failed = |error: &Error| failure(error, Operation::Create, clock.now());
    let mut request = CreateIdentity::new();
    if let Some(order) = order {
        request = CreateIdentity::with_scopes(scopes(order, Operation::Create)?);
        request.lifetime = Some(lifetime(order, Operation::Create)?);
    }
    // So that Azure's logs can be searched for an attempt whose answer was lost.
    request.request_id = attempt;
    request.custom_id = custom_id;
    let (asked, begun) = (clock.now(), Instant::now());
    let answer = access.client.create_identity(&request).await;
    access.answered(permit, &answer, clock.now());
    access.permits.created(begun, &answer, Instant::now());
    let identity = answer.map_err(|error| failed(&error))?;
    access.learned(identity.id.as_str());
    let minted = match (order, identity.token) {
        (Some(order), Some(token)) => Some(mint(access, &identity.id, order, token, asked)),
        _ => None,
    };
    Ok((identity.id, minted))
}

/// Issues a token.
pub async fn issue(
    access: &Access,
    permit: &Permit,
    clock: &Clock,
    id: &str,
    order: &TokenOrder,
) -> Result<Minted, Failure> {
    let id = parse_id(id, Operation::Issue)?;
    let scopes: Vec<_> = scopes(order, Operation::Issue)?;
    let asked = clock.now();
    let lifetime = lifetime(order, Operation::Issue)?;
    let token = access.client.issue_token(&id, &scopes, Some(lifetime)).await;
    access.answered(permit, &token, clock.now());
    let token = token.map_err(|error| failure(&error, Operation::Issue, clock.now()))?;
    access.learned(id.as_str());
    Ok(mint(access, &id, order, token, asked))
}

/// Revokes every token of an identity.
pub async fn revoke(access: &Access, permit: &Permit, clock: &Clock, id: &str) -> Result<(), Failure> {
    let id = parse_id(id, Operation::Revoke)?;
    let revoked = access.client.revoke_tokens(&id).await;
    access.answered(permit, &revoked, clock.now());
    revoked.map_err(|error| {
        let failure = failure(&error, Operation::Revoke, clock.now());
        let is_without_word_of_acs = error.status().is_none_or(|status| matches!(status, 502 | 504));
        let kind = match failure.kind {
            FailureKind::Transient { .. } if is_without_word_of_acs => FailureKind::InDoubt,
            kind => kind,
        };
        Failure { kind, ..failure }
    })
}

/// Deletes an identity. One that is gone already counts as deleted.
pub async fn delete(access: &Access, permit: &Permit, clock: &Clock, id: &str) -> Result<(), Failure> {
    delete_by(&access.client, access, permit, clock, id).await
}

/// Deletes an identity that was just made and cannot be recorded, as soon as the rate limits have room. The one call that needs no
/// lease: nobody else knows the id.
pub async fn withdraw(access: &Access, clock: &Clock, id: &str) -> Result<(), Failure> {
    let permit = access.permits.wait_for(Call::Delete).await;
    delete_by(&access.client.unguarded(), access, &permit, clock, id).await
}

async fn delete_by(client: &Client, access: &Access, permit: &Permit, clock: &Clock, id: &str) -> Result<(), Failure> {
    let id = parse_id(id, Operation::Delete)?;
    let deleted = client.delete_identity(&id).await;
    access.answered(permit, &deleted, clock.now());
    if deleted
        .as_ref()
        .is_err_and(|error| error.class() == FailureClass::NotOwned)
    {
        // It may have been deleted before: what that answer means depends on the credential.
        access.doubted(clock.now());
    }
    deleted
        .map(drop)
        .map_err(|error| failure(&error, Operation::Delete, clock.now()))
}

/// SHA-256 of a text, in hexadecimal.
pub(crate) fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn mint(access: &Access, id: &IdentityId, order: &TokenOrder, token: AccessToken, asked: Timestamp) -> Minted {
    let record = TokenRecord {
        identity: id.as_str().to_owned(),
        sha256: sha256(token.token.expose_secret()),
        issued: whole_seconds(asked),
        expires: whole_seconds(token.expires_on),
        scopes: order.scopes.clone(),
        credential: access.client.credential().fingerprint().as_str().to_owned(),
        request: order.request.clone(),
    };
    Minted {
        token: token.token,
        record,
    }
}

fn scopes(order: &TokenOrder, operation: Operation) -> Result<Vec<Scope>, Failure> {
    let parse = |scope: &crate::api::Scope| {
        scope.as_str().parse().map_err(|_| {
            rejected(
                operation,
                format!(
                    "spec.token.scopes: {} is not a scope that this operator knows",
                    scope.as_str()
                ),
            )
        })
    };
    order.scopes.iter().map(parse).collect()
}

fn lifetime(order: &TokenOrder, operation: Operation) -> Result<TokenLifetime, Failure> {
    let minutes = u16::try_from(order.lifetime.as_mins()).unwrap_or(u16::MAX);
    TokenLifetime::from_minutes(minutes).map_err(|error| rejected(operation, format!("spec.token.lifetime: {error}")))
}

fn parse_id(id: &str, operation: Operation) -> Result<IdentityId, Failure> {
    IdentityId::parse(id).map_err(|error| rejected(operation, format!("status.identity.id: {error}")))
}

fn rejected(operation: Operation, words: String) -> Failure {
    Failure {
        kind: FailureKind::Rejected,
        operation,
        words,
    }
}

fn failure(error: &Error, operation: Operation, now: Timestamp) -> Failure {
    let until = |retry_after: Option<std::time::Duration>| {
        let wait = SignedDuration::try_from(retry_after?).ok()?;
        now.checked_add(wait).ok()
    };
    let kind = match error.class() {
        FailureClass::NotSent | FailureClass::Withheld => FailureKind::NotSent,
        FailureClass::Throttled { retry_after } => FailureKind::Throttled {
            until: until(retry_after),
        },
        FailureClass::Transient { retry_after } => FailureKind::Transient {
            until: until(retry_after),
        },
        FailureClass::InDoubt => FailureKind::InDoubt,
        FailureClass::CredentialRejected => FailureKind::CredentialRejected,
        FailureClass::NotOwned => FailureKind::NotOwned,
        FailureClass::Gone => FailureKind::Gone,
        FailureClass::Rejected => FailureKind::Rejected,
    };
    let mut words = error.to_string();
    if error.is_untrusted() {
        words = format!("{}. {TRUST_ITS_AUTHORITY}", words.trim_end_matches('.'));
    }
    Failure { kind, operation, words }
}
