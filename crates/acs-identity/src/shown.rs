//! Making words from outside fit to be shown.

const MAX_CHARACTERS: usize = 200;
const REDACTED: &str = "[redacted]";
const SHORTEST_JWT: usize = 20;

/// `text` on one line, printable, at most 200 characters, without `secrets` and without anything that looks like a JWT.
pub(crate) fn shown<'a>(text: &str, secrets: impl Iterator<Item = &'a str>) -> String {
    let text = secrets
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret, REDACTED));
    let printable: String = without_jwts(&text)
        .chars()
        .map(|c| if is_printable(c) { c } else { ' ' })
        .collect();
    let words: Vec<&str> = printable.split_whitespace().collect();
    cut(&words.join(" "))
}

/// The standard library's idea of printable, which leaves out control, format (bidirectional overrides) and unassigned
/// characters.
fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_CHARACTERS {
        return text.to_owned();
    }
    text.chars().take(MAX_CHARACTERS - 1).chain(['…']).collect()
}

/// A JWT begins with `{"` in base64url.
fn without_jwts(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.find("eyJ").map(|at| rest.split_at(at)) {
        let end = from
            .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
            .unwrap_or(from.len());
        let (run, after) = from.split_at(end);
        kept.push_str(before);
        kept.push_str(if run.len() < SHORTEST_JWT { run } else { REDACTED });
        rest = after;
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        shown(text, std::iter::empty())
    }

    #[test]
    fn words_are_brought_onto_one_printable_line() {
        assert_eq!(
            plain("Scopes: The \"Scopes\" field\r\n is required."),
            "Scopes: The \"Scopes\" field is required."
        );
        assert_eq!(plain("a\u{0}b\u{1b}[31mc\u{202e}d\u{200b}e\u{feff}"), "a b [31mc d e");
        assert_eq!(plain("Ungültig: 日本"), "Ungültig: 日本");
        assert_eq!(plain(" \n "), "");
    }

    #[test]
    fn at_most_200_characters_are_kept() {
        assert_eq!(plain(&"é".repeat(200)), "é".repeat(200));
        let cut = plain(&"é".repeat(100_000));
        assert_eq!(cut.chars().count(), 200);
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn secrets_that_come_back_are_taken_out_before_anything_is_cut() {
        let text = format!("{} Signature=c2VjcmV0 end", "x".repeat(190));
        let words = shown(&text, ["c2VjcmV0", ""].into_iter());
        assert!(!words.contains("c2Vj"), "{words}");
        assert_eq!(
            shown("got c2VjcmV0c2VjcmV0", ["c2VjcmV0"].into_iter()),
            "got [redacted][redacted]"
        );
    }

    #[test]
    fn tokens_that_come_back_are_taken_out() {
        assert_eq!(
            plain("bad token eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln_-x, sorry"),
            "bad token [redacted], sorry"
        );
        assert_eq!(plain("eyJ is short"), "eyJ is short");
    }
}
