//! Access tokens of the recorded shape: RS256 with header `alg, kid, x5t, typ`.
//!
//! Read from sample tokens in Microsoft's documentation, which says that the format may change. Clients must not depend
//! on it, and nothing but the shape is real: the signing key is public.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::{digest, signature};
use serde::Serialize;
use uuid::Uuid;

use crate::scope::Scope;

/// A key made for this emulator. It protects nothing.
const TEST_KEY: &[u8] = include_bytes!("../keys/token-signing-test-key.pkcs1.der");

/// The value of the `scp` claim in every sample.
const LEGACY_SCOPE_BITS: u32 = 1792;

/// What stands in a token.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub identity: String,
    pub scopes: Vec<Scope>,
    /// To the nanosecond, as the response's `expiresOn` tells it.
    pub expires_on: Timestamp,
    /// `iat`, in whole seconds.
    pub issued_at: Timestamp,
    /// `exp`, in whole seconds; never later than `expires_on`.
    pub expires_at: Timestamp,
}

impl Grant {
    /// A grant from `now` for `lifetime`, of which only whole seconds count and at least one.
    pub(crate) fn new(identity: String, scopes: Vec<Scope>, now: Timestamp, lifetime: SignedDuration) -> Option<Self> {
        let lifetime = SignedDuration::from_secs(lifetime.as_secs().max(1));
        let issued_at = Timestamp::from_second(now.as_second()).ok()?;
        Some(Self {
            identity,
            scopes,
            expires_on: now.checked_add(lifetime).ok()?,
            issued_at,
            expires_at: issued_at.checked_add(lifetime).ok()?,
        })
    }

    /// Seven fractional digits and a numeric offset, as recorded.
    pub(crate) fn expires_on_text(&self) -> String {
        self.expires_on.strftime("%Y-%m-%dT%H:%M:%S.%7f+00:00").to_string()
    }
}

/// The claims, in the order of the samples.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Claims<'a> {
    skypeid: &'a str,
    scp: u32,
    csi: String,
    exp: i64,
    rgn: &'a str,
    acs_scope: String,
    resource_id: Uuid,
    resource_location: &'a str,
    iat: i64,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'static str,
    x5t: &'a str,
    typ: &'static str,
}

/// The resource as tokens describe it.
#[derive(Clone, Debug)]
pub(crate) struct TokenOrigin {
    pub resource: Uuid,
    pub location: String,
    pub region: String,
}

/// Signs tokens.
pub(crate) struct TokenSigner {
    key: KeyPair,
    header: String,
    origin: TokenOrigin,
}

/// The key that ships with the emulator cannot be used, or signing failed.
#[derive(Debug, thiserror::Error)]
#[error("the emulator's token signing key does not work; this build is broken")]
pub struct SigningError;

impl TokenSigner {
    pub(crate) fn new(origin: TokenOrigin) -> Result<Self, SigningError> {
        let key = KeyPair::from_der(TEST_KEY).map_err(|_| SigningError)?;
        let thumbprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key.public().as_ref());
        let x5t = BASE64_URL_SAFE_NO_PAD.encode(thumbprint);
        let header = encoded(&Header {
            alg: "RS256",
            kid: "emulator-test-key",
            x5t: &x5t,
            typ: "JWT",
        })?;
        Ok(Self { key, header, origin })
    }

    /// The token's text. The same grant always gives the same text.
    pub(crate) fn sign(&self, grant: &Grant) -> Result<String, SigningError> {
        let scopes: Vec<_> = grant.scopes.iter().map(|scope| scope.as_str()).collect();
        let claims = Claims {
            skypeid: grant.identity.strip_prefix("8:").unwrap_or(&grant.identity),
            scp: LEGACY_SCOPE_BITS,
            csi: grant.issued_at.as_second().to_string(),
            exp: grant.expires_at.as_second(),
            rgn: &self.origin.region,
            acs_scope: scopes.join(","),
            resource_id: self.origin.resource,
            resource_location: &self.origin.location,
            iat: grant.issued_at.as_second(),
        };
        let signed = format!("{}.{}", self.header, encoded(&claims)?);
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &signature::RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| SigningError)?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn encoded(part: &impl Serialize) -> Result<String, SigningError> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).map_err(|_| SigningError)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn signer() -> TokenSigner {
        let origin = TokenOrigin {
            resource: Uuid::nil(),
            location: "unitedstates".into(),
            region: "amer".into(),
        };
        TokenSigner::new(origin).unwrap()
    }

    fn grant() -> Grant {
        let now = "2026-03-04T05:06:07.123456789Z".parse().unwrap();
        Grant::new(
            "8:acs:g_o".into(),
            vec![Scope::Chat, Scope::Voip],
            now,
            SignedDuration::from_hours(1),
        )
        .unwrap()
    }

    fn part(token: &str, index: usize) -> Value {
        serde_json::from_slice(
            &BASE64_URL_SAFE_NO_PAD
                .decode(token.split('.').nth(index).unwrap())
                .unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn a_token_has_the_claims_of_the_documented_samples() {
        let token = signer().sign(&grant()).unwrap();
        assert_eq!(
            part(&token, 1),
            json!({
                "skypeid": "acs:g_o", "scp": 1792, "csi": "1772600767", "exp": 1_772_604_367, "iat": 1_772_600_767,
                "rgn": "amer", "acsScope": "chat,voip", "resourceLocation": "unitedstates",
                "resourceId": "00000000-0000-0000-0000-000000000000"
            })
        );
        let header = part(&token, 0);
        assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("JWT")));
        assert!(header["kid"].is_string() && header["x5t"].as_str().unwrap().len() == 27);
    }

    #[test]
    fn a_token_is_signed_with_the_shipped_key() {
        let signer = signer();
        let token = signer.sign(&grant()).unwrap();
        let (text, signature) = token.rsplit_once('.').unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, signer.key.public());
        public.verify(text.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn expires_on_has_seven_fractional_digits_and_never_comes_before_exp() {
        let grant = grant();
        assert_eq!(grant.expires_on_text(), "2026-03-04T06:06:07.1234567+00:00");
        assert!(grant.expires_at <= grant.expires_on);
    }
}
