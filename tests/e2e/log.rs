//! The log, as someone reads it who has never seen the operator: a life in lines, the same in both formats.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path, sync::LazyLock, time::Duration};

use acs_emulator::{Fault, Operation};
use acs_operator_testbed::{OperatorLog, World};
use anyhow::{Context, Result};
use kube::api::{DeleteParams, Patch, PatchParams};
use regex::Regex;
use serde_json::{Value, json};

use crate::{
    settings,
    varying::{replaced, without_varying},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_reads_in_the_text_log_as_it_happened() {
    assert_lines(a_life("text").await.unwrap(), text_line);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_json_log_says_the_same_as_the_text_log() {
    assert_lines(a_life("json").await.unwrap(), json_line);
}

/// Creates, renews, revokes, repairs, goes through an outage, deletes; returns the log and the namespace.
async fn a_life(format: &str) -> Result<(String, String)> {
    let files = tempfile::TempDir::with_prefix("acs-log-")?;
    let mut settings = settings();
    settings.log = OperatorLog::Readable(files.path().to_owned());
    // A cluster of its own: what is cluster-scoped in one that others use is told of too.
    settings.cluster_wide = true;
    settings.arguments.push(format!("--log-format={format}"));
    let mut world = World::start(settings).await?;
    let namespace = world.namespace.clone();

    world
        .create("alice", json!({"token": {"scopes": ["chat", "voip"]}}))
        .await?;
    rest(&world, "TokenIssued").await?;
    world
        .create("recorder", json!({"identity": {"deletionPolicy": "Retain"}}))
        .await?;
    world.until_reason("recorder", "IdentityCreated").await?;
    world.quiet().await;
    annotate(&world, "renew-requested-at", "now").await?;
    world
        .eventually("nothing is renewed", async || {
            Ok(world.resource.count(Operation::Issue) == 1)
        })
        .await?;
    rest(&world, "TokenIssued").await?;
    annotate(&world, "revoke-requested-at", "a laptop was lost").await?;
    world
        .eventually("nothing is revoked", async || {
            Ok(world.resource.count(Operation::Issue) == 2)
        })
        .await?;
    rest(&world, "TokenIssued").await?;

    let before = world.secret_values("alice").await?;
    let edit: Patch<Value> = Patch::Merge(json!({"stringData": {"userId": "someone else"}}));
    world.secrets().patch("alice", &PatchParams::default(), &edit).await?;
    world
        .eventually("the Secret is not put right", async || {
            Ok(world.secret_values("alice").await? == before)
        })
        .await?;
    rest(&world, "TokenIssued").await?;
    world.secrets().delete("alice", &DeleteParams::default()).await?;
    world
        .eventually("the Secret is not back", async || {
            Ok(world.resource.count(Operation::Issue) == 3)
        })
        .await?;
    rest(&world, "TokenIssued").await?;

    world.acs().inject(Fault::status(503).on(Operation::Issue));
    world
        .patch("alice", json!({"spec": {"token": {"scopes": ["chat"]}}}))
        .await?;
    // Two tries more, which are not worth a line.
    world
        .eventually("it is not tried again", async || {
            Ok(world.resource.count(Operation::Issue) == 6)
        })
        .await?;
    world.acs().clear_faults();
    rest(&world, "TokenIssued").await?;

    world.delete("alice").await?;
    world.until_gone("alice").await?;
    world.quiet().await;
    world.delete("recorder").await?;
    world.until_gone("recorder").await?;
    world.quiet().await;
    let ended = world.operator.stop(Duration::from_secs(20)).await?;
    assert!(ended.success());
    Ok((world.operator.log(), namespace))
}

async fn rest(world: &World, reason: &str) -> Result<()> {
    world.until_reason("alice", reason).await?;
    world.quiet().await;
    Ok(())
}

async fn annotate(world: &World, key: &str, value: &str) -> Result<()> {
    let annotations = json!({format!("acs-operator.dev/{key}"): value});
    world
        .patch("alice", json!({"metadata": {"annotations": annotations}}))
        .await?;
    Ok(())
}

/// A line of either format.
struct Line {
    level: String,
    message: String,
    fields: BTreeMap<String, String>,
}

/// Reads a line of `--log-format text`: `TIME LEVEL target: message field=value field="a value"`.
fn text_line(line: &str) -> Result<Line> {
    static FIELD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#" (\w+)=("(?:[^"\\]|\\.)*"|\S+)"#).unwrap());
    let (head, said) = line.split_once(": ").context("no target")?;
    let level = head.split_whitespace().nth(1).context("no level")?;
    let fields: BTreeMap<_, _> = FIELD
        .captures_iter(said)
        .map(|field| {
            let value = serde_json::from_str::<String>(&field[2]).unwrap_or_else(|_| field[2].to_owned());
            (field[1].to_owned(), value)
        })
        .collect();
    let end = FIELD.find(said).map_or(said.len(), |field| field.start());
    Ok(Line {
        level: level.to_owned(),
        message: said[..end].to_owned(),
        fields,
    })
}

/// Reads a line of `--log-format json`.
fn json_line(line: &str) -> Result<Line> {
    let mut fields: BTreeMap<String, Value> = serde_json::from_str(line)?;
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut take = |key: &str| fields.remove(key).map(text).with_context(|| format!("no {key}"));
    let (level, message) = (take("level")?, take("message")?);
    take("timestamp")?;
    take("target")?;
    let fields = fields.into_iter().map(|(key, value)| (key, text(value))).collect();
    Ok(Line { level, message, fields })
}

#[allow(clippy::disallowed_methods, reason = "how the lines are written anew")]
fn assert_lines((log, namespace): (String, String), read: fn(&str) -> Result<Line>) {
    let lines = log.lines().fold(String::new(), |mut lines, line| {
        let Line { level, message, fields } = read(line).unwrap_or_else(|error| panic!("{error:#}: {line}"));
        let _ = write!(lines, "{level} {message}");
        for (key, value) in fields {
            let _ = write!(lines, " {key}={value:?}");
        }
        lines + "\n"
    });
    let varying = [
        (Regex::new(&namespace).unwrap(), "contact-center"),
        (Regex::new(r"127\.0\.0\.1:\d+").unwrap(), "<address>"),
        (Regex::new(r#" holder="[^"]+""#).unwrap(), r#" holder="<replica>""#),
        (Regex::new(r#" version="v[0-9.]+""#).unwrap(), r#" version="<version>""#),
    ];
    let lines = replaced(&without_varying(&lines), &varying);
    // Everything that is logged at the default level.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/log/life.txt");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &lines).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(lines == committed, "the log is\n{lines}\nand not\n{committed}");
}
