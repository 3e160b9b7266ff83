//! Who is asking.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::zeroize::Zeroizing;

use crate::signing::{Signable, SigningError, sign};
use crate::{AccessKey, Fingerprint};

/// What proves to the service that a request may be made.
///
/// Further kinds (bearer tokens of Microsoft Entra ID) can be added without a breaking change.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credential {
    /// Every request is signed with an access key of the resource.
    AccessKey(AccessKey),
}

const X_MS_DATE: HeaderName = HeaderName::from_static("x-ms-date");
const X_MS_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-ms-content-sha256");

/// What was added to a request, so that it can be kept out of what is shown.
pub(crate) struct Authorized {
    secrets: Vec<Zeroizing<String>>,
}

impl Authorized {
    /// Texts that must not be repeated to anyone, even when the service says them.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(|secret| secret.as_str())
    }
}

impl Credential {
    /// Tells credentials apart: which one made a token?
    pub fn fingerprint(&self) -> &Fingerprint {
        match self {
            Self::AccessKey(key) => key.fingerprint(),
        }
    }

    /// Adds to `headers` what authorises this one request at this time.
    #[expect(clippy::unused_async, reason = "bearer tokens are fetched; callers are ready for it")]
    pub(crate) async fn authorize(
        &self,
        request: Signable<'_>,
        now: Timestamp,
        headers: &mut HeaderMap,
    ) -> Result<Authorized, SigningError> {
        match self {
            Self::AccessKey(key) => add_signature(key, request, now, headers),
        }
    }
}

fn add_signature(
    key: &AccessKey,
    request: Signable<'_>,
    now: Timestamp,
    headers: &mut HeaderMap,
) -> Result<Authorized, SigningError> {
    let signed = sign(key, request, now)?;
    let authorization = Zeroizing::new(signed.authorization());
    let mut authorization = HeaderValue::from_str(&authorization).map_err(|_| SigningError)?;
    // Libraries below print headers in trace logs, but not the values of sensitive ones.
    authorization.set_sensitive(true);
    headers.insert(AUTHORIZATION, authorization);
    headers.insert(X_MS_DATE, HeaderValue::try_from(signed.date).map_err(|_| SigningError)?);
    headers.insert(
        X_MS_CONTENT_SHA256,
        HeaderValue::try_from(signed.content_hash).map_err(|_| SigningError)?,
    );
    // The service knows the key too, so even that could come back in an answer.
    let secrets = vec![
        Zeroizing::new(signed.signature),
        Zeroizing::new(STANDARD.encode(key.expose())),
    ];
    Ok(Authorized { secrets })
}

impl From<AccessKey> for Credential {
    fn from(key: AccessKey) -> Self {
        Self::AccessKey(key)
    }
}
