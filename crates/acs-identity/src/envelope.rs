//! The service's own words about an error.

use serde_json::Value;

use crate::shown::shown;

/// `{"error":{"code":…,"message":…}}`, the shape of every error that ACS itself writes.
///
/// Gateways before it write others (HTML, nothing, other JSON); those are not envelopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub code: String,
    pub message: Option<String>,
}

const LONGEST_CODE: usize = 64;

impl Envelope {
    /// Reads an envelope. A code is a word and no secret: whatever else is in its place, the body is not an envelope.
    pub fn read<'a>(body: &[u8], secrets: impl Iterator<Item = &'a str>) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let error = body.get("error")?;
        let secrets: Vec<&str> = secrets.collect();
        let shown = |text: &str| shown(text, secrets.iter().copied());
        let fits = |code: &&str| is_word(code) && shown(code) == **code;
        let code = error.get("code")?.as_str().filter(fits)?.to_owned();
        let message = error.get("message").and_then(Value::as_str).map(shown);
        Some(Self {
            code,
            message: message.filter(|message| !message.is_empty()),
        })
    }
}

fn is_word(code: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=LONGEST_CODE).contains(&code.len()) && code.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<(String, Option<String>)> {
        Envelope::read(body.as_bytes(), std::iter::empty()).map(|e| (e.code, e.message))
    }

    #[test]
    fn an_envelope_is_read_with_whatever_else_it_holds() {
        let body =
            r#"{"error":{"code":"ValidationError","message":"bad","target":"Scopes","details":[{}],"innererror":{}}}"#;
        assert_eq!(read(body), Some(("ValidationError".into(), Some("bad".into()))));
        assert_eq!(
            read(r#"{"error":{"code":"Denied","message":null}}"#),
            Some(("Denied".into(), None))
        );
        assert_eq!(read(r#"{"error":{"code":"Denied"}}"#), Some(("Denied".into(), None)));
    }

    #[test]
    fn a_secret_in_the_place_of_a_code_is_not_taken_for_one() {
        let body = br#"{"error":{"code":"c2VjcmV0","message":"got c2VjcmV0"}}"#;
        assert_eq!(Envelope::read(body, ["c2VjcmV0"].into_iter()), None);
        assert_eq!(
            read(r#"{"error":{"code":"eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln"}}"#),
            None
        );
    }

    #[test]
    fn what_gateways_write_is_not_an_envelope() {
        for body in [
            "",
            "null",
            "[]",
            "\"error\"",
            "<html><h1>502 Bad Gateway</h1></html>",
            r#"{"message":"Too many"}"#,
            r#"{"error":"str"}"#,
            r#"{"error":null}"#,
            r#"{"error":[]}"#,
            r#"{"error":{}}"#,
            r#"{"error":{"code":429,"message":"x"}}"#,
            r#"{"error":{"code":"","message":"x"}}"#,
            r#"{"error":{"code":"two words","message":"x"}}"#,
            r#"{"error":{"code":"Denied","message":"cut"#,
        ] {
            assert_eq!(read(body), None, "{body}");
        }
        let long = format!(r#"{{"error":{{"code":"{}"}}}}"#, "a".repeat(65));
        assert_eq!(read(&long), None);
        let deep = "[".repeat(60_000);
        assert_eq!(read(&deep), None);
    }
}
