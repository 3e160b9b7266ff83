//! What `kubectl describe` prints for each reason, on a page for people: docs/describe.md.
//!
//! Every object on it is a real one, brought into its state by what really brings objects there.

mod page;
mod situations;
mod stage;

use std::{collections::BTreeSet, fs, path::Path};

use acs_operator::api::Reason;

use page::Shown;

/// Reasons that no CommunicationUser can have yet, and why.
const NOT_REACHED: [(Reason, &str); 2] = [
    // A user's own credential is never judged: a refused one is a matter of its connection.
    (
        Reason::AccessDenied,
        "It is a reason of connections, which this version does not reconcile.",
    ),
    // Which resource a connection is to is recorded in the status of connections.
    (
        Reason::ResourceMismatch,
        "The resource of a connection is not known before connections are reconciled; until then it is `IdentityNotOwned`.",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "how `make docs` asks for it")]
async fn the_committed_page_shows_what_kubectl_describe_prints_for_every_reason() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/describe.md");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let mut shown: Vec<Shown> = Box::pin(situations::all(&committed)).await.unwrap();
    shown.sort_by_key(|shown| shown.reason);

    let reached: BTreeSet<_> = shown.iter().map(|shown| shown.reason).collect();
    let not_reached: BTreeSet<_> = NOT_REACHED.iter().map(|(reason, _)| *reason).collect();
    let all: BTreeSet<_> = Reason::ALL.iter().copied().collect();
    assert_eq!(
        &reached | &not_reached,
        all,
        "every reason is shown, or said to be out of reach"
    );
    assert!(reached.is_disjoint(&not_reached));

    let page = page::render(&shown, &NOT_REACHED);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differing = page.lines().zip(committed.lines()).find(|(is, was)| is != was);
    assert!(
        page == committed,
        "docs/describe.md is not what kubectl prints: run `make docs`. First difference: {differing:#?}"
    );
}
