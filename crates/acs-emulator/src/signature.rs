//! The access-key scheme: `Authorization: HMAC-SHA256 SignedHeaders=…&Signature=…`.
//!
//! Documented by Microsoft (tutorial "Sign an HTTP request with C#"), checked against signatures of the official SDKs in
//! `vectors/hmac.json`. Nothing here is shared with the client this emulator is used to test, down to the crypto library.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::Timestamp;
use ring::digest;

use crate::access_keys::{AccessKeys, Signer};
use crate::http_date;
use crate::request::{HeaderFault, Request};

/// The header lists that official SDKs sign. Those of 2020 and early 2021 sign `date`, all later ones `x-ms-date`.
const SIGNED_HEADERS: [(&str, &str); 2] = [
    ("x-ms-date;host;x-ms-content-sha256", "x-ms-date"),
    ("date;host;x-ms-content-sha256", "date"),
];

/// Why a request does not prove that its sender holds an access key. Clients only ever learn `Denied`; this text is for
/// the journal and the log of whoever is looking for the cause. It repeats nothing that is secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum SignatureFault {
    #[error("header `{0}` is missing")]
    Missing(&'static str),
    #[error("header `{0}` is there more than once")]
    Repeated(&'static str),
    #[error("header `{0}` is not plain text")]
    NotText(&'static str),
    #[error("header `authorization` is not of the form `HMAC-SHA256 SignedHeaders=…&Signature=…`")]
    NotHmac,
    #[error("SignedHeaders must be `x-ms-date;host;x-ms-content-sha256` (or `date;…`), in this order")]
    SignedHeaders,
    #[error("the signature is not standard padded base64")]
    SignatureNotBase64,
    #[error("header `{0}` is not a date like `Mon, 01 Jan 2024 00:00:00 GMT`")]
    NotADate(&'static str),
    #[error("the request's date is {seconds} s off the service's clock, more than {allowed} s")]
    ClockSkew { seconds: i64, allowed: u64 },
    #[error("header `x-ms-content-sha256` is not the base64 of the body's SHA-256")]
    ContentHash,
    #[error("no access key of this resource makes this signature for `{0}`")]
    WrongSignature(String),
}

impl SignatureFault {
    fn of_header(name: &'static str, fault: HeaderFault) -> Self {
        match fault {
            HeaderFault::Missing => Self::Missing(name),
            HeaderFault::Repeated => Self::Repeated(name),
            HeaderFault::NotText => Self::NotText(name),
        }
    }
}

/// Finds the key that signed the request, or what is wrong with the signature.
pub(crate) fn verify(
    request: &Request,
    keys: &AccessKeys,
    now: Timestamp,
    allowed_skew: Duration,
) -> Result<Signer, SignatureFault> {
    let header = |name| {
        request
            .header(name)
            .map_err(|fault| SignatureFault::of_header(name, fault))
    };

    let (date_header, signature) = parse_authorization(header("authorization")?)?;
    let date = header(date_header)?;
    let host = header("host")?;
    let content_hash = header("x-ms-content-sha256")?;

    check_date(date_header, date, now, allowed_skew)?;
    if content_hash != hash_of(&request.body) {
        return Err(SignatureFault::ContentHash);
    }
    let signed_text = format!("{}\n{}\n{date};{host};{content_hash}", request.method, request.target);
    keys.signer(signed_text.as_bytes(), &signature)
        .ok_or_else(|| SignatureFault::WrongSignature(signed_text.replace('\n', "\\n")))
}

/// The name of the date header that was signed, and the signature.
fn parse_authorization(value: &str) -> Result<(&'static str, Vec<u8>), SignatureFault> {
    let (signed_headers, signature) = value
        .strip_prefix("HMAC-SHA256 SignedHeaders=")
        .and_then(|rest| rest.split_once("&Signature="))
        .ok_or(SignatureFault::NotHmac)?;
    let (_, date_header) = SIGNED_HEADERS
        .into_iter()
        .find(|(list, _)| *list == signed_headers)
        .ok_or(SignatureFault::SignedHeaders)?;
    let signature = BASE64_STANDARD
        .decode(signature)
        .map_err(|_| SignatureFault::SignatureNotBase64)?;
    Ok((date_header, signature))
}

fn check_date(header: &'static str, date: &str, now: Timestamp, allowed: Duration) -> Result<(), SignatureFault> {
    let date = http_date::parse(date).ok_or(SignatureFault::NotADate(header))?;
    let skew = now.duration_since(date);
    if skew.unsigned_abs() > allowed {
        return Err(SignatureFault::ClockSkew {
            seconds: skew.as_secs(),
            allowed: allowed.as_secs(),
        });
    }
    Ok(())
}

fn hash_of(body: &[u8]) -> String {
    BASE64_STANDARD.encode(digest::digest(&digest::SHA256, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_keys::{AccessKey, KeySlot};
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    #[derive(serde::Deserialize)]
    struct Vectors {
        accesskey: String,
        #[serde(rename = "x-ms-date")]
        date: String,
        #[serde(rename = "vectors")]
        list: Vec<Vector>,
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        verb: String,
        host: String,
        path_and_query: String,
        body: String,
        content_hash: String,
        signature: String,
    }

    fn vectors() -> Vectors {
        serde_json::from_str(include_str!("../vectors/hmac.json")).unwrap()
    }

    type Change = (&'static str, fn(&mut Request));

    fn keys(text: &str) -> AccessKeys {
        AccessKeys::new(AccessKey::generate().unwrap(), AccessKey::parse(text).unwrap())
    }

    fn new_year() -> Timestamp {
        "2024-01-01T00:00:00Z".parse().unwrap()
    }

    fn request(vector: &Vector, date: &str) -> Request {
        let mut request = Request {
            method: Method::from_bytes(vector.verb.as_bytes()).unwrap(),
            target: vector.path_and_query.clone(),
            headers: HeaderMap::new(),
            body: vector.body.clone().into(),
        };
        set(&mut request, "host", &vector.host);
        set(&mut request, "x-ms-date", date);
        set(&mut request, "x-ms-content-sha256", &vector.content_hash);
        let signature = &vector.signature;
        let authorization =
            format!("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}");
        set(&mut request, "authorization", &authorization);
        request
    }

    fn set(request: &mut Request, name: &'static str, value: &str) {
        request
            .headers
            .insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }

    fn verdict(request: &Request) -> Result<Signer, SignatureFault> {
        verify(request, &keys(&vectors().accesskey), new_year(), Duration::from_mins(5))
    }

    #[test]
    fn every_signature_of_the_official_sdks_is_accepted() {
        let all = vectors();
        assert_eq!(all.list.len(), 8);
        for vector in &all.list {
            let signer =
                verdict(&request(vector, &all.date)).unwrap_or_else(|fault| panic!("{}: {fault}", vector.name));
            assert_eq!(signer.slot, KeySlot::Secondary, "{}", vector.name);
        }
    }

    #[test]
    fn any_change_to_what_was_signed_is_refused() {
        let all = vectors();
        let changes: [Change; 8] = [
            ("method", |r| r.method = Method::PUT),
            ("query", |r| r.target.push_str("&x=1")),
            ("path", |r| r.target = r.target.replace("identities", "identitiez")),
            ("host", |r| set(r, "host", "fabrikam.communication.azure.com")),
            ("port in host", |r| {
                set(r, "host", "contoso.communication.azure.com:443");
            }),
            ("date", |r| set(r, "x-ms-date", "Mon, 01 Jan 2024 00:00:01 GMT")),
            ("body", |r| r.body = "{\"scopes\":[\"voip\"]}".into()),
            ("missing content hash", |r| {
                r.headers.remove("x-ms-content-sha256");
            }),
        ];
        for vector in &all.list {
            for (what, change) in &changes {
                let mut request = request(vector, &all.date);
                change(&mut request);
                assert!(verdict(&request).is_err(), "{what} of {}", vector.name);
            }
        }
    }

    #[test]
    fn a_colon_signed_raw_and_sent_encoded_is_refused() {
        let all = vectors();
        let raw = all.list.iter().find(|v| v.name.contains("raw colons")).unwrap();
        let mut changed = request(raw, &all.date);
        changed.target = changed.target.replace(':', "%3A");
        assert!(matches!(verdict(&changed), Err(SignatureFault::WrongSignature(_))));
    }

    #[test]
    fn the_date_may_be_off_by_the_allowed_skew_and_no_more() {
        let all = vectors();
        let request = request(&all.list[0], &all.date);
        let at = |seconds: i64| {
            let now = new_year()
                .saturating_add(jiff::SignedDuration::from_secs(seconds))
                .unwrap();
            verify(&request, &keys(&all.accesskey), now, Duration::from_mins(5))
        };
        assert!(at(300).is_ok() && at(-300).is_ok());
        assert_eq!(
            at(301),
            Err(SignatureFault::ClockSkew {
                seconds: 301,
                allowed: 300
            })
        );
        assert_eq!(
            at(-301),
            Err(SignatureFault::ClockSkew {
                seconds: -301,
                allowed: 300
            })
        );
    }

    #[test]
    fn authorization_headers_of_another_form_are_refused_with_the_reason() {
        use SignatureFault::{NotHmac, SignatureNotBase64, SignedHeaders};
        let all = vectors();
        let list = "x-ms-date;host;x-ms-content-sha256";
        for (value, fault) in [
            (String::new(), NotHmac),
            ("Bearer eyJ0eXAi".into(), NotHmac),
            ("HMAC-SHA256".into(), NotHmac),
            (format!("hmac-sha256 SignedHeaders={list}&Signature="), NotHmac),
            (format!("HMAC-SHA256 SignedHeaders={list}"), NotHmac),
            (
                format!("HMAC-SHA256 Credential=x&SignedHeaders={list}&Signature="),
                NotHmac,
            ),
            ("HMAC-SHA256 SignedHeaders=host&Signature=".into(), SignedHeaders),
            (
                "HMAC-SHA256 SignedHeaders=host;x-ms-date;x-ms-content-sha256&Signature=".into(),
                SignedHeaders,
            ),
            (
                format!("HMAC-SHA256 SignedHeaders={list}&Signature=a-_b"),
                SignatureNotBase64,
            ),
            (
                format!("HMAC-SHA256 SignedHeaders={list}&Signature=YWI"),
                SignatureNotBase64,
            ),
        ] {
            let mut request = request(&all.list[0], &all.date);
            set(&mut request, "authorization", &value);
            assert_eq!(verdict(&request), Err(fault), "{value:?}");
        }
    }

    #[test]
    fn a_signed_header_that_is_there_twice_is_refused() {
        let all = vectors();
        for name in ["authorization", "host", "x-ms-date", "x-ms-content-sha256"] {
            let mut request = request(&all.list[0], &all.date);
            request.headers.append(name, HeaderValue::from_static("second"));
            assert_eq!(verdict(&request), Err(SignatureFault::Repeated(name)));
        }
    }

    #[test]
    fn no_reason_repeats_the_signature() {
        let all = vectors();
        let mut request = request(&all.list[0], &all.date);
        request.method = Method::GET;
        let reason = verdict(&request).unwrap_err().to_string();
        assert!(
            reason.contains("GET") && !reason.contains(&all.list[0].signature),
            "{reason}"
        );
    }
}
