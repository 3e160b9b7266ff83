//! What people copy from the documentation is accepted by the API server.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{dry_run, ensure_namespace, objects, path};

/// Documents for people: README.md at the top, and everything under docs/ and deploy/.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(path("README.md"))];
    for directory in ["docs", "deploy"] {
        collect(Path::new(&path(directory)), &mut found);
    }
    found
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.is_dir() => collect(&path, found),
            Some(extension) if extension == "md" => found.push(path),
            _ => {}
        }
    }
}

/// The contents of the fenced blocks of `language` in a Markdown text.
pub(super) fn blocks(markdown: &str, language: &str) -> Vec<String> {
    let (mut blocks, mut current): (Vec<String>, Option<String>) = (Vec::new(), None);
    for line in markdown.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut current, fence) {
            (None, Some(opened)) if opened.trim() == language => current = Some(String::new()),
            (Some(_), Some(_)) => blocks.extend(current.take()),
            (Some(block), None) => block.extend([line, "\n"]),
            (None, _) => {}
        }
    }
    blocks
}

async fn ensure_namespaces_of(manifests: &[Value]) {
    let named: BTreeSet<&str> = manifests
        .iter()
        .filter_map(|manifest| manifest["metadata"]["namespace"].as_str())
        .collect();
    for namespace in named {
        ensure_namespace(namespace).await;
    }
}

#[tokio::test]
async fn every_manifest_in_the_documentation_is_accepted() {
    let mut checked = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for block in blocks(&text, "yaml") {
            let manifests = objects(&block);
            ensure_namespaces_of(&manifests).await;
            for manifest in manifests {
                dry_run(&manifest).unwrap_or_else(|error| panic!("{}: {error:#}\n{block}", document.display()));
                checked += 1;
            }
        }
    }
    assert!(checked > 0, "README.md shows at least one manifest");
}

#[tokio::test]
async fn every_sample_is_accepted_by_itself() {
    for entry in fs::read_dir(path("deploy/samples")).unwrap() {
        let sample = entry.unwrap().path();
        let manifests = objects(&fs::read_to_string(&sample).unwrap());
        ensure_namespaces_of(&manifests).await;
        for manifest in manifests {
            dry_run(&manifest).unwrap_or_else(|error| panic!("{}: {error:#}", sample.display()));
        }
    }
}

#[test]
fn every_link_into_the_repository_leads_somewhere() {
    let mut checked = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#']).next())
        {
            if link.is_empty() || link.contains("://") {
                continue;
            }
            assert!(document.with_file_name(link).exists(), "{}: {link}", document.display());
            checked += 1;
        }
    }
    assert!(checked > 0, "README.md links to what is in the repository");
}

#[test]
fn fenced_blocks_are_found_by_their_language() {
    let markdown = "```yaml\na: 1\n```\n\n```sh\nls\n```\n  ```yaml\n  b: 2\n  ```\n";
    assert_eq!(blocks(markdown, "yaml"), ["a: 1\n", "  b: 2\n"]);
    assert_eq!(blocks(markdown, "sh"), ["ls\n"]);
}
