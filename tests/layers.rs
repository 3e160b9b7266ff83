//! Which module of the operator may use which: dependencies point one way, so that a decision can be read and tested
//! without a cluster, and the cluster without ACS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Every module of `src`, and the modules it may use. What is not listed may use nothing.
const ALLOWED: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("clock", &[]),
    ("decide", &["api"]),
    ("cluster", &["api", "clock"]),
    ("telemetry", &["api", "clock"]),
    ("admin", &["clock", "telemetry"]),
    ("cli", &["telemetry"]),
    ("controller", &["api", "clock", "cluster", "decide", "telemetry"]),
    (
        "app",
        &[
            "admin",
            "api",
            "cli",
            "clock",
            "cluster",
            "controller",
            "decide",
            "telemetry",
        ],
    ),
    ("main", &["app", "cli"]),
    ("lib", &[]),
    ("fuzzing", &["api", "cli", "cluster", "controller", "decide"]),
];

/// External crates that a module must not name.
const FORBIDDEN_CRATES: &[(&str, &[&str])] = &[
    ("api", &["acs_identity", "axum", "tokio"]),
    ("decide", &["acs_identity", "axum", "kube_runtime", "reqwest", "tokio"]),
    ("cluster", &["acs_identity", "reqwest"]),
    ("telemetry", &["kube", "reqwest"]),
    ("admin", &["acs_identity", "kube", "reqwest"]),
];

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    file: PathBuf,
    uses: String,
}

#[test]
fn modules_use_only_the_modules_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let breaches: Vec<Breach> = sources(&root)
        .into_iter()
        .flat_map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let file = path.strip_prefix(&root).unwrap().to_owned();
            breaches(&file, &text)
        })
        .collect();
    assert!(
        breaches.is_empty(),
        "dependencies that point the wrong way (see ALLOWED in {}): {breaches:#?}",
        file!()
    );
}

#[test]
fn a_dependency_that_points_the_wrong_way_is_found_in_every_spelling() {
    for text in [
        "use crate::controller::users;",
        "use crate::{clock::Clock, controller};",
        "use crate::{\n    clock::Clock,\n    controller::{Users, work::{Lane}},\n};",
        "fn f() { crate::controller::run() }",
        "use acs_operator::controller;",
        "use super::controller::users;",
    ] {
        let found = breaches(Path::new("api.rs"), text);
        assert!(
            found.iter().any(|breach| breach.uses == "controller"),
            "{text}: {found:?}"
        );
    }
    let found = breaches(Path::new("cluster/secrets.rs"), "use acs_identity::IdentityId;");
    assert_eq!(
        found,
        [Breach {
            file: "cluster/secrets.rs".into(),
            uses: "acs_identity".into()
        }]
    );
    // What is allowed, and words in comments, are not found.
    assert_eq!(
        breaches(
            Path::new("decide/step.rs"),
            "use crate::api::User;\n/// [`crate::controller`]\n// crate::app"
        ),
        []
    );
    assert_eq!(
        breaches(Path::new("cluster/secrets.rs"), "use super::names::secret_name;"),
        []
    );
}

#[test]
fn a_module_that_nobody_thought_of_may_use_nothing() {
    assert_eq!(breaches(Path::new("novelty.rs"), "use crate::api;").len(), 1);
}

#[test]
fn the_acs_client_knows_nothing_of_kubernetes() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/acs-identity");
    let text = fs::read_to_string(manifest.join("Cargo.toml")).unwrap();
    assert!(
        !text.contains("kube") && !text.contains("k8s"),
        "crates/acs-identity must not depend on Kubernetes crates"
    );
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// What `file` (relative to `src`) uses and must not.
fn breaches(file: &Path, text: &str) -> Vec<Breach> {
    let module = file
        .iter()
        .next()
        .unwrap()
        .to_str()
        .unwrap()
        .trim_end_matches(".rs")
        .to_owned();
    let rule = |table: &'static [(&str, &[&'static str])]| {
        table
            .iter()
            .find(|(name, _)| *name == module)
            .map_or(&[][..], |(_, names)| *names)
    };
    let code = without_comments_and_strings(text);

    let mut roots = vec!["crate::", "acs_operator::"];
    if file.components().count() == 1 {
        // Seen from a module at the top, `super` is the crate.
        roots.push("super::");
    }
    let used: BTreeSet<String> = roots.iter().flat_map(|root| heads_after(&code, root)).collect();
    let upward = used
        .into_iter()
        .filter(|name| *name != module && is_module(name) && !rule(ALLOWED).contains(&name.as_str()));
    let foreign = rule(FORBIDDEN_CRATES)
        .iter()
        .filter(|name| code.contains(&format!("{name}::")))
        .map(ToString::to_string);
    upward
        .chain(foreign)
        .map(|uses| Breach {
            file: file.to_owned(),
            uses,
        })
        .collect()
}

fn without_comments_and_strings(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let line = line.replace("'\"'", "").replace("\\\"", "");
        code.extend(line.split('"').step_by(2));
        code.push('\n');
    }
    code
}

fn is_module(name: &str) -> bool {
    ALLOWED.iter().any(|(module, _)| *module == name)
}

/// The first path segments after each `root`: one for `crate::api::User`, several for `crate::{api::User, clock}`.
fn heads_after(code: &str, root: &str) -> Vec<String> {
    let identifier = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut heads = Vec::new();
    for (start, _) in code.match_indices(root) {
        let rest = &code[start + root.len()..];
        match rest.strip_prefix('{') {
            None => heads.push(identifier(rest)),
            Some(group) => heads.extend(top_level_items(group).into_iter().map(identifier)),
        }
    }
    heads
}

/// The items of a brace group, without what is nested in them, up to the brace that closes it.
fn top_level_items(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0usize, 0usize, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[start..at]);
                start = at + 1;
            }
            '}' => {
                items.push(&group[start..at]);
                break;
            }
            _ => {}
        }
    }
    items
}
