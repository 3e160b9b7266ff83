//! What kubectl printed, without what differs from run to run, and the page made of it.

use std::{fmt::Write, sync::LazyLock};

use acs_operator::api::Reason;
use regex::Regex;

use crate::varying::{replaced, without_varying};

/// One object in one state.
pub struct Shown {
    pub reason: Reason,
    /// How it came there, as a sentence.
    pub situation: &'static str,
    /// Status and events as `kubectl describe` prints them, [normalised](normalised).
    pub printed: String,
}

const INTRODUCTION: &str = "\
<!-- Printed by a test (tests/e2e/describe.rs) on a real API server; `make docs` prints it anew. -->

# What `kubectl describe` shows

For each reason, status and events of a CommunicationUser as

```sh
kubectl describe communicationuser NAME
```

prints them. [What the reasons mean](reasons.md) is on a page of its own. In angle brackets is what differs from object to object;
the host is made up.
";

/// The whole page.
pub fn render(shown: &[Shown], not_reached: &[(Reason, &str)]) -> String {
    let mut page = INTRODUCTION.to_owned();
    for reason in Reason::ALL {
        let _ = write!(page, "\n## {reason}\n");
        for shown in shown.iter().filter(|shown| shown.reason == *reason) {
            page.push_str(&section(shown.situation, &shown.printed));
        }
        for (_, why) in not_reached.iter().filter(|(other, _)| other == reason) {
            let _ = write!(page, "\nNo CommunicationUser has it yet. {why}\n");
        }
    }
    page
}

/// One object on the page.
pub fn section(situation: &str, printed: &str) -> String {
    format!("\n{situation}\n\n```text\n{printed}```\n")
}

/// Status and events of what kubectl described, with everything that differs from run to run replaced.
pub fn normalised(described: &str, namespace: &str) -> String {
    let described = described.replace(namespace, "contact-center");
    let (_, shown) = described.split_once("\nStatus:\n").unwrap_or_default();
    let (status, events) = shown.split_once("\nEvents:").unwrap_or((shown, ""));
    let printed = format!("Status:\n{status}\nEvents:\n{}", events_table(events));
    replaced(&without_varying(&printed), &*VARYING)
}

/// What differs from run to run besides.
static VARYING: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
    let regex = |pattern| Regex::new(pattern).unwrap();
    [
        (regex(r"127\.0\.0\.1:\d+"), "contoso.communication.azure.com"),
        (regex(r"http://"), "https://"),
        (regex(r"(Resource Version: +)\d+"), "${1}<number>"),
        (regex(r"(Credential: +)[0-9a-f]+"), "${1}<fingerprint>"),
    ]
});

/// The events without their age, which the widths of all columns follow, in the order in which kubectl lists them.
fn events_table(printed: &str) -> String {
    // Two blanks or more separate columns: `Type  Reason  Age  From  Message`.
    static SEPARATOR: LazyLock<Regex> = LazyLock::new(|| Regex::new(r" {2,}").unwrap());
    let rows = printed.lines().map(str::trim).filter(|line| !line.is_empty());
    let rows: Vec<[&str; 4]> = rows
        .filter_map(|row| match SEPARATOR.splitn(row, 5).collect::<Vec<_>>()[..] {
            ["----", ..] => None,
            [kind, reason, _age, from, message] => Some([kind, reason, from, message]),
            _ => Some(["", "", "", row]),
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (kinds, reasons, froms) = (width(0), width(1), width(2));
    rows.iter()
        .fold(String::new(), |mut table, [kind, reason, from, message]| {
            let _ = writeln!(table, "  {kind:kinds$}  {reason:reasons$}  {from:froms$}  {message}");
            table
        })
}
