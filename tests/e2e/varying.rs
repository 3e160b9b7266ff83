//! What differs from run to run in texts that are compared with committed ones.

use std::sync::LazyLock;

use regex::Regex;

/// The text, with identities, uuids and times replaced by their names.
pub fn without_varying(text: &str) -> String {
    // In this order: an id holds a uuid.
    static VARYING: LazyLock<[(Regex, &str); 3]> = LazyLock::new(|| {
        let regex = |pattern| Regex::new(pattern).unwrap();
        [
            (regex(r"8:acs:[0-9a-f-]{36}_[0-9a-f-]{36}"), "8:acs:<id>"),
            (regex(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
            (regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>"),
        ]
    });
    replaced(text, &*VARYING)
}

/// The text, with what the patterns match replaced.
pub fn replaced(text: &str, patterns: &[(Regex, &str)]) -> String {
    patterns.iter().fold(text.to_owned(), |text, (pattern, name)| {
        pattern.replace_all(&text, *name).into_owned()
    })
}
