//! What people copy from the documentation is accepted by the API server.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{dry_run, ensure_namespace, installed, objects, path};

/// The connection that other samples build on.
const CONNECTION_STRINGS: &str = "deploy/samples/connections/connection-strings.yaml";

/// The kinds of Azure Service Operator in a sample, whose definitions are not ours to have.
const AZURE_SERVICE_OPERATOR: &str = "communication.azure.com/";

/// Documents for people: README.md at the top, and everything under docs/ and deploy/.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(path("README.md"))];
    for directory in ["docs", "deploy"] {
        collect(Path::new(&path(directory)), ".md", &mut found);
    }
    found
}

/// The samples, patches among them.
pub(crate) fn samples() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(Path::new(&path("deploy/samples")), ".yaml", &mut found);
    found
}

fn collect(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
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
    for sample in samples() {
        let text = fs::read_to_string(&sample).unwrap();
        assert!(text.starts_with("# "), "{} says what it is for", sample.display());
        let manifests = if sample.to_string_lossy().ends_with(".patch.yaml") {
            vec![patched(&sample)]
        } else {
            objects(&text)
        };
        ensure_namespaces_of(&manifests).await;
        for manifest in manifests
            .iter()
            .filter(|manifest| !is_azure_service_operators(manifest))
        {
            dry_run(manifest).unwrap_or_else(|error| panic!("{}: {error:#}", sample.display()));
        }
    }
}

/// What a patch makes of the connection that it is for.
fn patched(patch: &Path) -> Value {
    let (of, patch) = (path(CONNECTION_STRINGS), patch.to_string_lossy());
    let arguments = [
        "patch",
        "--local",
        "-f",
        &of,
        "--type=merge",
        "--patch-file",
        &patch,
        "-o",
        "json",
    ];
    serde_json::from_str(&installed().kubectl(arguments).unwrap()).unwrap()
}

fn is_azure_service_operators(manifest: &Value) -> bool {
    let version = manifest["apiVersion"].as_str().unwrap();
    version.starts_with(AZURE_SERVICE_OPERATOR)
}

/// Its fields are those of communication.azure.com/v20230401.
#[test]
fn the_secret_that_azure_service_operator_writes_is_the_one_that_the_connection_beside_it_reads() {
    let text = fs::read_to_string(path("deploy/samples/connections/azure-service-operator.yaml")).unwrap();
    let [service, connection] = &objects(&text)[..] else {
        panic!("two objects:\n{text}")
    };
    let metadata = |object: &Value| object["metadata"]["namespace"].clone();
    assert_eq!(metadata(service), metadata(connection));
    let read = &connection["spec"]["auth"]["connectionString"]["secretRef"];
    let keys: Vec<_> = read["keys"].as_array().unwrap().iter().collect();
    assert_eq!(keys, ["primaryConnectionString", "secondaryConnectionString"]);
    for key in keys {
        let written = &service["spec"]["operatorSpec"]["secrets"][key.as_str().unwrap()];
        assert_eq!((&written["name"], &written["key"]), (&read["name"], key));
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
