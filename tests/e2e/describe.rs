//! What `kubectl describe` prints for each reason, on a page for people: docs/describe.md.
//!
//! Every object on it is a real one, brought into its state by what really brings objects there.

mod connections;
mod page;
mod stage;
mod users;

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use acs_operator::api::Reason;
use anyhow::Result;

use page::Shown;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "how `make docs` asks for it")]
async fn the_committed_page_shows_what_kubectl_describe_prints_for_every_reason() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/describe.md");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let mut shown = everything(&committed.into()).await.unwrap();
    shown.sort_by_key(|shown| (shown.kind, shown.reason));

    let reached: BTreeSet<_> = shown.iter().map(|shown| shown.reason).collect();
    let all: BTreeSet<_> = Reason::ALL.iter().copied().collect();
    assert_eq!(reached, all, "every reason is shown");

    let page = page::render(&shown);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let other = |shown: &&Shown| !committed.contains(&page::section(shown.situation, &shown.printed));
    assert!(
        page == committed,
        "docs/describe.md is not what kubectl prints: run `make docs`. What is printed otherwise: {:#?}",
        shown.iter().filter(other).collect::<Vec<_>>()
    );
}

async fn everything(committed: &Arc<str>) -> Result<Vec<Shown>> {
    let (users, connections) = tokio::join!(users::all(committed), connections::all(committed));
    Ok([users?, connections?].concat())
}
