//! The page of all reasons, for people who met one.

use super::{Reason, ReasonClass};

/// `docs/reasons.md`, from the enum.
pub fn render() -> String {
    let mut page = String::from(INTRODUCTION);
    for class in [ReasonClass::Ready, ReasonClass::Reconciling, ReasonClass::Stalled] {
        page += heading(class);
        page += "\n| reason | what it means | what to do |\n|---|---|---|\n";
        let reasons = Reason::ALL.iter().filter(|reason| reason.class() == class);
        page.extend(reasons.map(|reason| row(*reason)));
    }
    page
}

const INTRODUCTION: &str = "\
<!-- Generated from the enum Reason (src/api/reason.rs) by `make docs`. -->

# Reasons

The `Ready` condition of every object has a reason, shown in the REASON column of `kubectl get acsu` (of CommunicationUsers),
`kubectl get acsc` (of CommunicationConnections) and `kubectl get cacsc` (of ClusterCommunicationConnections). Its message says what it is
about in this very case. Alerts and scripts can rely on the names. [Each as `kubectl describe` prints it](describe.md) is on a page of its own.
";

fn heading(class: ReasonClass) -> &'static str {
    match class {
        ReasonClass::Ready => "\n## The desired state is reached\n",
        ReasonClass::Reconciling => "\n## It is not reached, and time or someone else can bring it (`Reconciling`)\n",
        ReasonClass::Stalled => "\n## It is not reached, and only a change of this object can bring it (`Stalled`)\n",
    }
}

fn row(reason: Reason) -> String {
    let (meaning, remedy) = (cell(&reason.meaning()), cell(reason.remedy()));
    format!("| `{}` | {meaning} | {remedy} |\n", reason.as_str())
}

/// Text that a table cell can hold.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "how `make docs` asks for it")]
    fn the_committed_page_of_reasons_is_that_of_the_enum() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reasons.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, render()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            committed,
            render(),
            "docs/reasons.md is not what the enum says: run `make docs`"
        );
    }
}
