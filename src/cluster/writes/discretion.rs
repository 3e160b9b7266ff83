//! Keeps what was sent in a Secret out of what is told of it.

use k8s_openapi::ByteString;
use serde_json::Value;

use super::WriteError;

/// So much of a value in a row is a quotation. Shorter pieces occur by chance, and are no use to anyone.
const QUOTATION: usize = 12;

/// The error, its words replaced where they quote a value of `secret`.
///
/// The API server's own words name fields, but an admission policy or webhook may say whatever it likes, and its words
/// end up in a status.
pub(super) fn discreet(error: WriteError, secret: &Value) -> WriteError {
    let withhold = |words: String| {
        if quotes(&words, secret) {
            "its words quote the Secret, so they are left out".to_owned()
        } else {
            words
        }
    };
    match error {
        WriteError::Refused(words) => WriteError::Refused(withhold(words)),
        WriteError::Unavailable(words) => WriteError::Unavailable(withhold(words)),
        error @ (WriteError::Conflict | WriteError::Gone | WriteError::NotLeading(_)) => error,
    }
}

fn quotes(words: &str, secret: &Value) -> bool {
    let values = ["data", "stringData"]
        .into_iter()
        .filter_map(|member| secret[member].as_object());
    values.flat_map(|values| values.values()).any(|value| {
        let encoded = value.as_str().unwrap_or_default();
        let decoded = serde_json::from_value::<ByteString>(value.clone()).unwrap_or_default();
        has_piece_of(words, encoded.as_bytes()) || has_piece_of(words, &decoded.0)
    })
}

fn has_piece_of(words: &str, value: &[u8]) -> bool {
    let mut words = words.as_bytes().windows(QUOTATION);
    words.any(|piece| value.windows(QUOTATION).any(|window| window == piece))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJza3lwZWlkIjoi";

    fn told(words: &str) -> String {
        let secret = json!({"data": {"token": ByteString(TOKEN.into()), "other": ByteString(b"short".to_vec())}});
        discreet(WriteError::Refused(words.into()), &secret).to_string()
    }

    #[test]
    fn a_value_is_withheld_whole_in_part_and_encoded() {
        let encoded = json!(ByteString(TOKEN.into()));
        for quotation in [
            TOKEN,
            &TOKEN[3..15],
            &TOKEN[TOKEN.len() - 12..],
            &encoded.as_str().unwrap()[..20],
        ] {
            let told = told(&format!("denied by a policy: {quotation} is not good"));
            assert!(!told.contains(quotation) && told.contains("left out"), "{told}");
        }
    }

    #[test]
    fn other_words_are_passed_on() {
        let words = "exceeded quota: compute, requested: secrets=1, short";
        assert_eq!(told(words), format!("the API server refuses it: {words}"));
    }
}
