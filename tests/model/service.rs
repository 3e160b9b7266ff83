//! The rules of ACS that decisions rely on.

use std::collections::BTreeMap;

use acs_operator::api::whole_seconds;
use acs_operator::decide::{FailureKind, TokenOrder, TokenRecord};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// ACS may revoke by issue time in whole seconds: what is issued sooner than this after a revocation may be dead.
const APART: SignedDuration = SignedDuration::from_secs(2);

/// One ACS resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// The identities that live, and the attempt that made each.
    pub identities: BTreeMap<String, Uuid>,
    /// All tokens ever issued, by fingerprint.
    pub tokens: BTreeMap<String, Token>,
    /// Whether the operator's key was regenerated and is refused.
    pub key_refused: bool,
    /// What the next request is refused with.
    pub refusal: Option<FailureKind>,
    /// What every request is refused with.
    pub refuses: Option<FailureKind>,
    /// Whether creates carry a custom id.
    pub custom_ids: bool,
    /// The fingerprint of the key that requests are made with.
    pub key: String,
    /// The identity that each custom id was given to.
    by_custom_id: BTreeMap<String, String>,
    revocations: BTreeMap<String, Timestamp>,
    made: u32,
}

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Whose it is.
    pub identity: String,
    /// Its place among all tokens, from 1.
    pub number: u32,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// Whether it was revoked, or may have been.
    pub revoked: bool,
    /// The uid of the object in whose Secret it ever lay.
    pub handed_out: Option<String>,
    /// Whether someone asked to have it revoked.
    pub unwanted: bool,
    /// The revocation request that it was ordered to come after.
    pub answers: Option<String>,
}

impl Service {
    /// Creates an identity and, where one is ordered, a token. A custom id that an identity has already returns that.
    pub fn create(
        &mut self,
        attempt: Uuid,
        custom_id: Option<String>,
        order: Option<&TokenOrder>,
        now: Timestamp,
    ) -> Result<(String, Option<TokenRecord>), FailureKind> {
        self.authorize()?;
        let held = custom_id
            .as_ref()
            .and_then(|custom_id| self.by_custom_id.get(custom_id));
        let held = held.filter(|id| self.identities.contains_key(*id)).cloned();
        let id = held.unwrap_or_else(|| {
            self.made += 1;
            format!("8:acs:11111111-1111-1111-1111-111111111111_{}", self.made)
        });
        if let Some(custom_id) = custom_id {
            self.by_custom_id.insert(custom_id, id.clone());
        }
        self.identities.entry(id.clone()).or_insert(attempt);
        let record = order.map(|order| self.mint(&id, order, now));
        Ok((id, record))
    }

    /// Whether it was made under a custom id.
    pub fn has_custom_id(&self, id: &str) -> bool {
        self.by_custom_id.values().any(|made| made == id)
    }

    /// Issues a token.
    pub fn issue(&mut self, id: &str, order: &TokenOrder, now: Timestamp) -> Result<TokenRecord, FailureKind> {
        self.find(id)?;
        Ok(self.mint(id, order, now))
    }

    /// The identity that a token was issued for first.
    pub fn oldest_identity(&self) -> String {
        let oldest = self.tokens.values().min_by_key(|token| token.number);
        oldest.map(|token| token.identity.clone()).unwrap_or_default()
    }

    /// Revokes every token of an identity.
    pub fn revoke(&mut self, id: &str, now: Timestamp) -> Result<(), FailureKind> {
        self.find(id)?;
        self.revocations.insert(id.to_owned(), now);
        self.end_tokens(id);
        Ok(())
    }

    /// Deletes an identity and revokes its tokens; one that is gone already counts as deleted.
    pub fn delete(&mut self, id: &str) -> Result<(), FailureKind> {
        self.authorize()?;
        self.lose(id);
        Ok(())
    }

    /// An identity goes without the operator.
    pub fn lose(&mut self, id: &str) {
        self.identities.remove(id);
        self.end_tokens(id);
    }

    fn end_tokens(&mut self, id: &str) {
        let of_it = self.tokens.values_mut().filter(|token| token.identity == id);
        of_it.for_each(|token| token.revoked = true);
    }

    fn authorize(&self) -> Result<(), FailureKind> {
        if self.key_refused {
            return Err(FailureKind::CredentialRejected);
        }
        Ok(())
    }

    fn find(&self, id: &str) -> Result<(), FailureKind> {
        self.authorize()?;
        self.identities.get(id).map(drop).ok_or(FailureKind::Gone)
    }

    fn mint(&mut self, id: &str, order: &TokenOrder, now: Timestamp) -> TokenRecord {
        let number = u32::try_from(self.tokens.len()).unwrap_or(u32::MAX) + 1;
        let fingerprint = format!("token-{number}");
        let revoked = self.revocations.get(id).is_some_and(|at| now < *at + APART);
        let token = Token {
            identity: id.to_owned(),
            number,
            issued: now,
            expires: now + order.lifetime,
            revoked,
            handed_out: None,
            unwanted: false,
            answers: order.request.revoke.clone(),
        };
        self.tokens.insert(fingerprint.clone(), token);
        TokenRecord {
            identity: id.to_owned(),
            sha256: fingerprint,
            issued: whole_seconds(now),
            expires: now + order.lifetime,
            scopes: order.scopes.clone(),
            credential: self.key.clone(),
            request: order.request.clone(),
        }
    }
}
