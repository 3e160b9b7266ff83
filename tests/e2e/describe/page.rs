//! What kubectl printed, without what differs from run to run, and the page made of it.

use std::{fmt::Write, sync::LazyLock};

use acs_operator::api::Reason;
use regex::Regex;

use crate::varying::{replaced, without_varying};

/// What is shown, in the order of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    User,
    Connection,
    ClusterConnection,
}

impl Kind {
    const ALL: [Self; 3] = [Self::User, Self::Connection, Self::ClusterConnection];

    /// As kubectl takes it, in whatever case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "CommunicationUser",
            Self::Connection => "CommunicationConnection",
            Self::ClusterConnection => "ClusterCommunicationConnection",
        }
    }
}

/// One object in one state.
#[derive(Clone, Debug)]
pub struct Shown {
    pub kind: Kind,
    pub reason: Reason,
    /// How it came there, as a sentence.
    pub situation: &'static str,
    /// Status and events as `kubectl describe` prints them, [normalised](normalised).
    pub printed: String,
}

const INTRODUCTION: &str = "\
<!-- Printed by a test (tests/e2e/describe.rs) on a real API server; `make docs` prints it anew. -->

# What `kubectl describe` shows

For each reason, status and events of an object as `kubectl describe` prints them: of a [CommunicationUser](#communicationuser), a
[CommunicationConnection](#communicationconnection) and a [ClusterCommunicationConnection](#clustercommunicationconnection).
[What the reasons mean](reasons.md) is on a page of its own. In angle brackets is what differs from object to object; the hosts
are made up.
";

/// The whole page.
pub fn render(shown: &[Shown]) -> String {
    let mut page = INTRODUCTION.to_owned();
    for kind in Kind::ALL {
        let name = kind.name();
        let command = format!("kubectl describe {} NAME", name.to_lowercase());
        let _ = write!(page, "\n## {name}\n\n```sh\n{command}\n```\n");
        for reason in Reason::ALL {
            let mut with_it = shown
                .iter()
                .filter(|shown| (shown.kind, shown.reason) == (kind, *reason))
                .peekable();
            if with_it.peek().is_some() {
                let _ = write!(page, "\n### {reason}\n");
            }
            page.extend(with_it.map(|shown| section(shown.situation, &shown.printed)));
        }
    }
    page
}

/// One object on the page.
pub fn section(situation: &str, printed: &str) -> String {
    format!("\n{situation}\n\n```text\n{printed}```\n")
}

/// Status and events of what kubectl described, with everything that differs from run to run replaced; `names` has words of
/// this run with what stands for them.
pub fn normalised<'a>(described: &str, names: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let names = names.into_iter();
    let described = names.fold(described.to_owned(), |text, (name, stands)| text.replace(name, stands));
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
        (regex(r"(Credential: +|The other one, )[0-9a-f]+"), "${1}<fingerprint>"),
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
