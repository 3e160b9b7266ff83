//! What must hold of everything that is read from outside, for whatever bytes: one function per fuzz target.
//!
//! The programs in `fuzz/fuzz_targets` call these functions with bytes of the fuzzer's making, the tests below with the
//! seeds in `fuzz/seeds`. Only built for them. Wherever `KEY` stands in the input, a secret is put, which no output may
//! repeat.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a target fails by panicking"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;

use crate::answer::{Answer, BodyLost, Head};
use crate::client::call::{Call, Reader};
use crate::retry_after::LONGEST;
use crate::{
    AccessKey, ApiVersion, ConnectionString, CreateIdentity, CustomId, Endpoint, Error, FailureClass, IdentityId,
    InsecureEndpoints, Operation, Scope, wire,
};

/// What is put in the place of `KEY`: base64, as keys and signatures are.
const SECRET: &str = "c2VjcmV0IGNhbmFyeSBrZXk9";

fn text(data: &[u8]) -> Option<String> {
    Some(std::str::from_utf8(data).ok()?.replace("KEY", SECRET))
}

fn assert_tells_nothing(shown: &str) {
    assert!(!shown.contains(SECRET), "a secret is told: {shown}");
}

fn assert_is_one_short_line(shown: &str, most: usize) {
    assert!(
        shown.chars().count() <= most && !shown.contains(char::is_control),
        "{shown:?}"
    );
}

/// A connection string. What is accepted is the same when written anew; what is refused is not repeated.
pub fn connection_string(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let strict = ConnectionString::parse(&text, InsecureEndpoints::Refuse);
    let lax = ConnectionString::parse(&text, InsecureEndpoints::Allow);
    for result in [&strict, &lax] {
        assert_tells_nothing(&format!("{result:?}"));
        if let Err(fault) = result {
            assert_tells_nothing(&fault.to_string());
            assert_is_one_short_line(&fault.to_string(), 250);
        }
    }
    assert!(strict.is_err() || lax.is_ok());
    assert!(strict.is_err() || strict.is_ok_and(|strict| strict.endpoint.is_https()));
    let Ok(read) = lax else { return };
    let key = STANDARD.encode(read.access_key.expose());
    let anew = format!(" AccessKey = {key} ; x=y; ENDPOINT={}/ ;", read.endpoint);
    let anew = ConnectionString::parse(&anew, InsecureEndpoints::Allow).expect("what was accepted is accepted again");
    assert_eq!(anew.endpoint, read.endpoint);
    assert_eq!(anew.access_key.fingerprint(), read.access_key.fingerprint());
}

/// An endpoint. What is accepted is an origin and nothing else, and the host that is judged is the host that is called.
pub fn endpoint(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let endpoint = match Endpoint::parse(&text, InsecureEndpoints::Allow) {
        Ok(endpoint) => endpoint,
        Err(fault) => return assert_is_one_short_line(&fault.to_string(), 250),
    };
    let origin = endpoint.as_str();
    let scheme = if endpoint.is_https() { "https" } else { "http" };
    assert_eq!(origin, format!("{scheme}://{}", endpoint.authority()));
    assert!(endpoint.authority().starts_with(endpoint.host()));
    assert!(!endpoint.host().is_empty() && !endpoint.host().contains(char::is_uppercase));
    assert!(
        !endpoint.authority().contains(['/', '@', '?', '#', '\\', '%', ' ']),
        "{origin}"
    );
    assert!(HeaderValue::from_str(endpoint.authority()).is_ok(), "{origin}");
    assert_eq!(
        Endpoint::parse(origin, InsecureEndpoints::Allow).as_ref(),
        Ok(&endpoint)
    );
    let called = Url::parse(&format!("{endpoint}/identities?api-version=2023-10-01")).unwrap();
    assert_eq!(called.host_str(), Some(endpoint.host()));
    assert_eq!((called.path(), called.scheme()), ("/identities", scheme));
    let strict = Endpoint::parse(&text, InsecureEndpoints::Refuse);
    assert_eq!(strict.ok(), Some(endpoint.clone()).filter(Endpoint::is_https));
}

/// Ids, versions, scopes and keys. What is accepted is within its bounds and reads back the same.
pub fn names(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(id) = IdentityId::parse(&text) {
        assert_eq!((id.as_str(), id.to_string()), (text.as_str(), text.clone()));
        assert!(text.len() <= 200 && id.resource_id().len() == 36);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("{text:?}"));
        assert_eq!(serde_json::from_str::<IdentityId>(&json).unwrap(), id);
        let url = Url::parse(&format!("https://a/identities/{}/:x", id.path_segment())).unwrap();
        assert_eq!(url.path(), format!("/identities/{}/:x", text.replace(':', "%3A")));
    }
    if let Ok(id) = CustomId::parse(text.as_str()) {
        assert!(id.as_str() == text && (1..=256).contains(&text.chars().count()));
    }
    if let Ok(version) = ApiVersion::parse(&text) {
        assert!(version.as_str() == text && text.len() <= 40);
        let url = Url::parse(&format!("https://a/?api-version={version}&x=y")).unwrap();
        assert_eq!(url.query_pairs().next().unwrap().1, text);
    }
    if let Ok(scope) = text.parse::<Scope>() {
        assert_eq!(scope.as_str(), text);
    }
    match AccessKey::parse(&text) {
        Ok(key) => {
            assert_eq!(STANDARD.encode(key.expose()), text.trim());
            assert!(format!("{key:?}").len() < 40 && key.fingerprint().as_str().len() == 16);
        }
        Err(fault) => assert_tells_nothing(&format!("{fault} {fault:?}")),
    }
}

/// An answer of the service, written as `create 201`, headers, an empty line, and the body: what is made of it is within
/// the documented bounds and repeats no secret.
pub fn answer(data: &[u8]) {
    let Some((call, answer)) = read_answer(data) else {
        return;
    };
    let Call { operation, .. } = call;
    let head = answer.head.clone();
    assert!(head.retry_after.is_none_or(|wait| wait <= LONGEST));
    assert!(head.api_versions.len() <= 64);
    assert!(head.clock_skew().is_some() == head.server_date.is_some());
    let failed = match operation {
        Operation::Create => concluded(&call, answer, wire::read_identity).map(|identity| {
            assert_eq!(IdentityId::parse(identity.id.as_str()).as_ref(), Ok(&identity.id));
            identity.token.iter().for_each(assert_usable);
        }),
        Operation::Issue => concluded(&call, answer, wire::read_token).map(|token| assert_usable(&token)),
        Operation::Get => concluded(&call, answer, wire::read_detail).map(|detail| {
            assert_eq!(IdentityId::parse(detail.id.as_str()).as_ref(), Ok(&detail.id));
        }),
        Operation::Revoke | Operation::Delete | Operation::Probe => concluded(&call, answer, |_| Ok(())),
    };
    if let Err(error) = failed {
        assert_is_an_error(&error, operation, &head);
    }
}

fn concluded<T>(call: &Call, answer: Answer, read: Reader<T>) -> Result<T, Error> {
    call.conclude(answer, read, [SECRET].into_iter())
}

fn read_answer(data: &[u8]) -> Option<(Call, Answer)> {
    let at = data.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = data.split_at(at.unwrap_or(data.len()));
    let head = text(head)?;
    let mut lines = head.lines();
    let (operation, status) = lines.next()?.split_once(' ')?;
    let operation = Operation::ALL
        .into_iter()
        .find(|candidate| candidate.as_str() == operation)?;
    let status = status.parse().ok().filter(|status| (100..1000).contains(status))?;
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    let body = match body.strip_prefix(b"\n\n") {
        None => Err(BodyLost),
        // Not all bodies are text, but secrets are.
        Some(body) => Ok(text(body).map_or_else(|| body.to_vec(), String::into_bytes)),
    };
    let received_at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    Some((
        call(operation),
        Answer::new(Head::of(status, &headers, received_at), body),
    ))
}

fn call(operation: Operation) -> Call {
    let id = IdentityId::parse("8:acs:2dee53b4-368b-45b4-ab52-8493fb117652_0").unwrap();
    match operation {
        Operation::Create => Call::create(&CreateIdentity::new()).unwrap(),
        Operation::Issue => Call::issue(&id, &[Scope::Chat], None).unwrap(),
        Operation::Revoke => Call::revoke(&id),
        Operation::Delete => Call::delete(&id),
        Operation::Get => Call::get(&id),
        Operation::Probe => Call::probe(),
    }
}

/// A token goes into a header and into a Secret, its expiry into a status, whose times are RFC 3339.
fn assert_usable(token: &crate::AccessToken) {
    let text = token.token.expose_secret();
    assert!(!text.is_empty() && HeaderValue::from_str(text).is_ok());
    assert!(!format!("{token:?}").contains(SECRET));
    assert!((0..=9999).contains(&token.expires_on.to_zoned(jiff::tz::TimeZone::UTC).year()));
}

fn assert_is_an_error(error: &Error, operation: Operation, head: &Head) {
    let shown = error.to_string();
    assert_tells_nothing(&format!("{shown}{error:?}{:?}{:?}", error.code(), error.message()));
    assert_is_one_short_line(&shown, 400);
    assert!(error.code().is_none_or(|code| (1..=64).contains(&code.len())));
    assert!(error.message().is_none_or(|message| message.chars().count() <= 200));
    assert_eq!((error.operation(), error.status()), (operation, Some(head.status)));
    let is_create = operation == Operation::Create;
    match error.class() {
        FailureClass::NotSent | FailureClass::Withheld => panic!("an answer says that the request was not sent"),
        FailureClass::Throttled { .. } => assert_eq!(head.status, 429),
        FailureClass::InDoubt | FailureClass::Transient { .. } => {
            assert_eq!(error.class() == FailureClass::InDoubt, is_create);
        }
        FailureClass::NotOwned => assert!(head.status == 401 && !is_create),
        FailureClass::Gone => assert!(matches!(head.status, 404 | 410) && !is_create && !head.is_html),
        FailureClass::CredentialRejected => assert!(matches!(head.status, 401 | 403)),
        FailureClass::Rejected => assert!((400..500).contains(&head.status)),
    }
    if is_create && error.class() != FailureClass::InDoubt && head.status != 429 {
        assert!(
            error.code().is_some(),
            "only the service's own envelope settles a create"
        );
    }
}

#[cfg(test)]
mod tests {
    use acs_operator_seeds::run;

    #[test]
    fn whatever_stands_in_a_connection_string_its_key_is_not_told() {
        run("connection_string", super::connection_string);
    }

    #[test]
    fn an_accepted_endpoint_is_an_origin_and_the_host_that_is_called() {
        run("endpoint", super::endpoint);
    }

    #[test]
    fn accepted_names_read_back_the_same() {
        run("names", super::names);
    }

    #[test]
    fn whatever_the_service_answers_is_within_bounds_and_tells_no_secret() {
        run("answer", super::answer);
    }
}
