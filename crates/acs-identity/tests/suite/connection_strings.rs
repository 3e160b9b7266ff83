//! Connection strings, good and bad: every fault has a name, and none repeats the key.

use acs_identity::{
    AccessKeyError, ConnectionString, ConnectionStringError as Fault, ConnectionStringPart as Part, EndpointError,
    InsecureEndpoints,
};
use proptest::prelude::*;

const ENDPOINT: &str = "https://contoso.communication.azure.com";
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn parse(text: &str) -> Result<ConnectionString, Fault> {
    ConnectionString::parse(text, InsecureEndpoints::Refuse)
}

#[test]
fn every_usual_way_of_writing_one_is_understood() {
    for text in [
        format!("endpoint={ENDPOINT}/;accesskey={KEY}"),
        format!("endpoint={ENDPOINT};accesskey={KEY}"),
        format!("endpoint={ENDPOINT}//;accesskey={KEY}"),
        format!("accesskey={KEY};endpoint={ENDPOINT}/"),
        format!("Endpoint={ENDPOINT}/;AccessKey={KEY}"),
        format!("ENDPOINT={ENDPOINT}/;ACCESSKEY={KEY};"),
        format!("endpoint={ENDPOINT}/;accesskey={KEY}\n"),
        format!("  endpoint = {ENDPOINT}/ ; accesskey = {KEY} ; "),
        format!("endpoint={ENDPOINT}/;region=unitedstates;accesskey={KEY}"),
        format!("endpoint={ENDPOINT}:443/;accesskey={KEY}"),
    ] {
        let connection = parse(&text).unwrap_or_else(|fault| panic!("{text:?}: {fault}"));
        assert_eq!(connection.endpoint.as_str(), ENDPOINT, "{text:?}");
        assert_eq!(
            connection.access_key.fingerprint().as_str(),
            "1089696ee321f246",
            "{text:?}"
        );
    }
}

#[test]
fn every_fault_is_named() {
    for (text, fault) in [
        (String::new(), Fault::Empty),
        (" \n".into(), Fault::Empty),
        (format!("\"endpoint={ENDPOINT}/;accesskey={KEY}\""), Fault::Quoted),
        (format!("'endpoint={ENDPOINT}/;accesskey={KEY}'"), Fault::Quoted),
        (";".into(), Fault::EmptyPart(1)),
        (format!(";endpoint={ENDPOINT}/;accesskey={KEY}"), Fault::EmptyPart(1)),
        (format!("endpoint={ENDPOINT}/;;accesskey={KEY}"), Fault::EmptyPart(2)),
        (format!("endpoint={ENDPOINT}/;accesskey={KEY};;"), Fault::EmptyPart(3)),
        (ENDPOINT.into(), Fault::NotNameValue(1)),
        ("endpoint".into(), Fault::NotNameValue(1)),
        (format!("endpoint={ENDPOINT}/;accesskey"), Fault::NotNameValue(2)),
        (KEY.into(), Fault::Missing(Part::Endpoint)),
        (format!("accesskey={KEY}"), Fault::Missing(Part::Endpoint)),
        (format!("endpoint={ENDPOINT}/"), Fault::Missing(Part::AccessKey)),
        (
            format!("endpoint={ENDPOINT}/,accesskey={KEY}"),
            Fault::Missing(Part::AccessKey),
        ),
        (
            format!("endpoint={ENDPOINT}/;accesskey=\t"),
            Fault::EmptyValue(Part::AccessKey),
        ),
        (format!("endpoint=;accesskey={KEY}"), Fault::EmptyValue(Part::Endpoint)),
        (
            format!("endpoint={ENDPOINT}/;accesskey={KEY};AccessKey={KEY}"),
            Fault::Duplicate(Part::AccessKey),
        ),
        (
            format!("endpoint={ENDPOINT}/;endpoint={ENDPOINT}/;accesskey={KEY}"),
            Fault::Duplicate(Part::Endpoint),
        ),
        (
            format!("endpoint={ENDPOINT}/sub;accesskey={KEY}"),
            EndpointError::Path.into(),
        ),
        (
            format!("endpoint={ENDPOINT}/?a=b;accesskey={KEY}"),
            EndpointError::QueryOrFragment.into(),
        ),
        (
            format!("endpoint=https://me@contoso.communication.azure.com;accesskey={KEY}"),
            EndpointError::UserInfo.into(),
        ),
        (
            format!("endpoint=http://localhost:8080;accesskey={KEY}"),
            EndpointError::Insecure.into(),
        ),
        (
            format!("endpoint=contoso.communication.azure.com;accesskey={KEY}"),
            EndpointError::NotAUrl.into(),
        ),
        (
            format!("endpoint={KEY};accesskey={ENDPOINT}"),
            EndpointError::NotAUrl.into(),
        ),
        (
            format!("endpoint={ENDPOINT}/;accesskey={}", &KEY[..43]),
            AccessKeyError::Length.into(),
        ),
        (
            format!("endpoint={ENDPOINT}/;accesskey={}", KEY.replace('M', "_")),
            AccessKeyError::NotBase64.into(),
        ),
        (
            format!("endpoint={ENDPOINT}/;accesskey=\"{KEY}\""),
            AccessKeyError::NotBase64.into(),
        ),
    ] {
        assert_eq!(parse(&text).unwrap_err(), fault, "{text:?}");
    }
}

#[test]
fn an_emulator_on_http_is_accepted_only_where_that_is_allowed() {
    let text = format!("endpoint=http://localhost:8080/;accesskey={KEY}");
    assert!(parse(&text).is_err());
    let connection = ConnectionString::parse(&text, InsecureEndpoints::Allow).unwrap();
    assert_eq!(connection.endpoint.as_str(), "http://localhost:8080");
}

/// A connection string with one random fault: a piece cut out, doubled, or put in.
fn mangled() -> impl Strategy<Value = String> {
    let text = format!("endpoint={ENDPOINT}/;accesskey={KEY};");
    let length = text.len();
    (0..length, 0..length, "[ -~é\\n]{0,6}").prop_map(move |(a, b, new)| {
        let (from, to) = (a.min(b), a.max(b));
        format!("{}{new}{}", &text[..from], &text[to..])
    })
}

/// Whether any eight characters in a row of the key are in the text.
fn tells_of_the_key(shown: &str) -> bool {
    KEY.as_bytes()
        .windows(8)
        .any(|part| shown.contains(std::str::from_utf8(part).unwrap()))
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_result_shows_any_of_the_key(text in mangled()) {
        let result = parse(&text);
        prop_assert!(!tells_of_the_key(&format!("{result:?}")), "{result:?}");
        if let Err(fault) = result {
            prop_assert!(!tells_of_the_key(&fault.to_string()), "{fault}");
        }
    }
}
