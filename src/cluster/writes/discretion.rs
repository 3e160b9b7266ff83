//! Keeps the values of a Secret out of what is told of a change to it.
//!
//! The API server's own words name fields, but an admission policy or webhook may say whatever it likes, of what is sent and
//! of what is stored, and its words end up in a status.

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::{WriteError, Writes, within};

/// So much of a value in a row is a quotation. Shorter pieces occur by chance, and are no use to anyone.
const QUOTATION: usize = 12;

/// A Secret that is changed.
#[derive(Clone, Copy)]
pub(super) struct Changed<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    /// The version that the change is conditional on; `None`: there is to be no such Secret.
    pub(super) version: Option<&'a str>,
}

impl Writes {
    /// The answer to a request that changes a Secret, perhaps by what is `sent`. The words of an error hold no value of either;
    /// where that can't be told, they are left out.
    pub(super) async fn discreetly<T>(
        &self,
        secret: Changed<'_>,
        sent: Option<&Value>,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        // A fault of the connection is worded here.
        let mut is_worded_there = false;
        let answer = within(secret.name, async {
            let answer = request.await;
            is_worded_there = matches!(answer, Err(kube::Error::Api(_)));
            answer
        });
        match answer.await {
            Err(WriteError::Refused(words)) if is_worded_there => {
                Err(WriteError::Refused(self.withheld(words, secret, sent).await))
            }
            Err(WriteError::Unavailable(words)) if is_worded_there => {
                Err(WriteError::Unavailable(self.withheld(words, secret, sent).await))
            }
            answer => answer,
        }
    }

    async fn withheld(&self, words: String, secret: Changed<'_>, sent: Option<&Value>) -> String {
        if tells_of_a_right(&words) {
            return words;
        }
        let may_quote =
            sent.is_some_and(|sent| quotes(&words, sent)) || self.may_quote_what_is_stored(&words, secret).await;
        if may_quote {
            "its words may quote the Secret, so they are left out".to_owned()
        } else {
            words
        }
    }

    /// What it refused to change is usually still there.
    async fn may_quote_what_is_stored(
        &self,
        words: &str,
        Changed {
            namespace,
            name,
            version,
        }: Changed<'_>,
    ) -> bool {
        match self.read_secret(namespace, name).await {
            Ok(None) => version.is_some(),
            Ok(Some(stored)) => {
                let is_meant = version.is_none() || stored.metadata.resource_version.as_deref() == version;
                !is_meant || quotes(words, &json!({"data": stored.data}))
            }
            Err(_) => true,
        }
    }
}

/// That is found missing before anybody looks at a Secret, and is worded by the API server.
fn tells_of_a_right(words: &str) -> bool {
    words.contains("\" cannot ") && words.contains(" resource \"secrets\" in API group \"\"")
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
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJza3lwZWlkIjoi";

    fn is_quotation(words: &str) -> bool {
        let secret = json!({"data": {"token": ByteString(TOKEN.into()), "other": ByteString(b"short".to_vec())}});
        quotes(words, &secret)
    }

    #[test]
    fn a_value_is_recognised_whole_in_part_and_encoded() {
        let encoded = json!(ByteString(TOKEN.into()));
        for quotation in [
            TOKEN,
            &TOKEN[3..15],
            &TOKEN[TOKEN.len() - 12..],
            &encoded.as_str().unwrap()[..20],
        ] {
            let words = format!("denied by a policy: {quotation} is not good");
            assert!(is_quotation(&words), "{words}");
        }
    }

    #[test]
    fn other_words_are_no_quotation() {
        assert!(!is_quotation("exceeded quota: compute, requested: secrets=1, short"));
    }

    #[test]
    fn a_missing_right_is_told_whatever_can_be_read() {
        let missing = r#"secrets "alice" is forbidden: User "operator" cannot patch resource "secrets" in API group "" in the namespace "shop""#;
        assert!(tells_of_a_right(missing));
        assert!(!tells_of_a_right(
            r#"secrets "alice" is forbidden: ValidatingAdmissionPolicy 'p' denied request: it cannot be"#
        ));
    }
}
