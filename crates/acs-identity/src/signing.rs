//! The HMAC-SHA256 access-key scheme of Azure Communication Services.
//!
//! Documented by Microsoft ("Sign an HTTP request") and checked here against signatures made by the official Python and
//! JavaScript SDKs. Signed are the verb, the path and query as they are on the wire, the date, the host as it is in the
//! `Host` header, and the hash of the body, which is mandatory for an empty body too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use sha2::{Digest as _, Sha256};

use crate::AccessKey;

/// What is signed of a request.
#[derive(Clone, Copy)]
pub(crate) struct Signable<'a> {
    /// Upper case.
    pub verb: &'a str,
    /// Byte for byte as it goes on the wire, whatever is percent-encoded in it.
    pub path_and_query: &'a str,
    /// Host with any non-default port.
    pub authority: &'a str,
    pub body: &'a [u8],
}

/// The values of the headers that make a request signed.
pub(crate) struct Signed {
    /// `x-ms-date`
    pub date: String,
    /// `x-ms-content-sha256`
    pub content_hash: String,
    /// Base64 of the MAC; part of [`Signed::authorization`]. Secret.
    pub signature: String,
}

impl Signed {
    /// `Authorization`. Secret.
    pub fn authorization(&self) -> String {
        format!(
            "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={}",
            self.signature
        )
    }
}

/// The request cannot be signed. Only a clock outside the years 0 to 9999 brings this about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request could not be signed; check this machine's clock")]
pub(crate) struct SigningError;

/// Signs a request as of `now`. A request that is sent again is signed again: the date is part of the signature.
pub(crate) fn sign(key: &AccessKey, request: Signable<'_>, now: Timestamp) -> Result<Signed, SigningError> {
    let date = DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&now)
        .map_err(|_| SigningError)?;
    let content_hash = STANDARD.encode(Sha256::digest(request.body));
    let Signable {
        verb,
        path_and_query,
        authority,
        ..
    } = request;
    let to_sign = format!("{verb}\n{path_and_query}\n{date};{authority};{content_hash}");
    let mac = Hmac::<Sha256>::new_from_slice(key.expose()).map_err(|_| SigningError)?;
    let signature = STANDARD.encode(mac.chain_update(to_sign).finalize().into_bytes());
    Ok(Signed {
        date,
        content_hash,
        signature,
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        accesskey: String,
        #[serde(rename = "x-ms-date")]
        date: String,
        #[serde(rename = "vectors")]
        all: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        verb: String,
        host: String,
        path_and_query: String,
        body: String,
        content_hash: String,
        signature: String,
    }

    #[test]
    fn signatures_equal_those_of_the_official_sdks() {
        let file: Vectors = serde_json::from_str(include_str!("../tests/vectors/hmac.json")).unwrap();
        let key = AccessKey::parse(&file.accesskey).unwrap();
        let now = "2024-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(file.all.len(), 8);
        for vector in file.all {
            let request = Signable {
                verb: &vector.verb,
                path_and_query: &vector.path_and_query,
                authority: &vector.host,
                body: vector.body.as_bytes(),
            };
            let signed = sign(&key, request, now).unwrap();
            assert_eq!(signed.date, file.date, "{}", vector.name);
            assert_eq!(signed.content_hash, vector.content_hash, "{}", vector.name);
            assert_eq!(signed.signature, vector.signature, "{}", vector.name);
        }
    }

    #[test]
    fn the_date_has_two_digits_for_the_day_and_whole_seconds() {
        let key = AccessKey::parse("MDEyMw==").unwrap();
        let request = Signable {
            verb: "POST",
            path_and_query: "/",
            authority: "localhost",
            body: b"",
        };
        let signed = sign(&key, request, "2026-02-03T04:05:06.789Z".parse().unwrap()).unwrap();
        assert_eq!(signed.date, "Tue, 03 Feb 2026 04:05:06 GMT");
        assert!(
            signed
                .authorization()
                .starts_with("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=")
        );
    }
}
