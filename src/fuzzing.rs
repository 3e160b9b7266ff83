//! What must hold of everything that the operator reads from outside, for whatever bytes: one function per fuzz target.
//!
//! The programs in `fuzz/fuzz_targets` call these functions with bytes of the fuzzer's making, the tests below with the
//! seeds in `fuzz/seeds`. Only built for them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a target fails by panicking"
)]

#[cfg(test)]
mod objects;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PartialObjectMeta;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::api::conformity::{USER, breach};
use crate::api::{CommunicationUser, CommunicationUserStatus, CreateAttempt, DurationText};
use crate::cli::{self, CONNECTION_STRING_VARIABLE, Invocation, Refusal, Settings};
use crate::cluster::received::Received;
use crate::controller::act::content::{compare, manifest};
use crate::controller::act::service::sha256;
use crate::controller::memory::Memories;
use crate::decide::{
    Connection, ConnectionState, Decision, DesiredSecret, Finding, Observed, OwnedSecret, SecretVersion, SecretView,
    Step, ThisRun, TokenRecord, TokenRequest, User, Wish, decide,
};

pub use crate::cluster::watch::fuzzing::watch;

/// What is put in the place of `KEY`: base64, as access keys are.
const KEY: &str = "c2VjcmV0IGNhbmFyeSBrZXk9";
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln";
const ENDPOINT: &str = "https://contoso.unitedstates.communication.azure.com";
const ID: &str = "8:acs:2dee53b4-368b-45b4-ab52-8493fb117652_0";

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A CommunicationUser as the API server may hold it, in JSON. Whatever the definition lets it store can be read; the
/// decisions about it settle, and what they write to its status is accepted and read back.
pub fn user(data: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let stored = is_an_object(&json) && breach(&json, &USER, "").is_none();
    let Ok(Received::<CommunicationUser>(Ok(object))) = serde_json::from_value(json) else {
        return assert!(!stored, "what can be stored cannot be read");
    };
    // Not the object, whose times may have fractions.
    let written = serde_json::to_value(&object).unwrap();
    let anew: CommunicationUser = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(anew).unwrap(), written);
    let parsed = User::parse(&object);
    assert!(
        parsed
            .requests
            .renew
            .as_ref()
            .is_none_or(|text| text.chars().count() <= 256)
    );
    for secret in secrets(&parsed) {
        for state in states() {
            let observed = Observed {
                user: parsed.clone(),
                secret: secret.clone(),
                other_secrets: Vec::new(),
                rival: None,
                connection: Connection::new("ClusterCommunicationConnection/default", state),
                memory: Memories::default().recall(&parsed.uid),
                this_run: ThisRun::default(),
            };
            settles(observed, stored);
        }
    }
}

/// The API server checks by rules of its own what no schema of ours is about.
fn is_an_object(json: &Value) -> bool {
    let named = json["apiVersion"].is_string() && json["kind"].is_string() && json["metadata"].is_object();
    let metadata = serde_json::from_value::<Received<PartialObjectMeta<CommunicationUser>>>(json.clone());
    named && metadata.is_ok_and(|metadata| metadata.0.is_ok())
}

fn states() -> [ConnectionState; 2] {
    [
        ConnectionState::Ready {
            endpoint: ENDPOINT.into(),
            custom_ids: false,
        },
        ConnectionState::NotFound("there is no connection".into()),
    ]
}

/// The Secret as it may look to this object.
fn secrets(user: &User) -> Vec<SecretView> {
    let id = user.status.identity.as_ref().and_then(|identity| identity.id.clone());
    let version = SecretVersion {
        name: "alice".into(),
        uid: "s-1".into(),
        resource_version: "7".into(),
    };
    let with = |record: Option<TokenRecord>| {
        SecretView::Ours(OwnedSecret {
            version: version.clone(),
            record: record.map(Box::new),
        })
    };
    let record = |issued: SignedDuration| {
        let wanted = user.wish.as_ref().ok().and_then(|wish| wish.token.as_ref());
        TokenRecord {
            identity: id.clone().unwrap_or_else(|| ID.into()),
            sha256: sha256(TOKEN),
            issued: now() - issued,
            expires: now() - issued + SignedDuration::from_hours(24),
            scopes: wanted.map(|wanted| wanted.scopes.clone()).unwrap_or_default(),
            credential: "0011223344556677".into(),
            request: TokenRequest {
                minutes: wanted.map_or(0, |wanted| wanted.lifetime.as_mins()),
                ..TokenRequest::default()
            },
        }
    };
    vec![
        SecretView::NotSeen,
        SecretView::Absent,
        SecretView::Foreign,
        with(None),
        with(Some(record(SignedDuration::from_secs(1)))),
        with(Some(record(SignedDuration::from_hours(30)))),
    ]
}

/// Carries out writes of status alone, as far as there are any.
fn settles(mut observed: Observed, stored: bool) {
    for _ in 0..5 {
        match decide(&observed, now()) {
            Decision::Settled { wake_at } => return assert!(wake_at.is_none_or(|at| at > now()), "a hot loop"),
            Decision::Do(step) => match *step {
                Step::WriteStatus { status, .. } => {
                    let json = serde_json::to_value(&*status).unwrap();
                    let fault = breach(&json, &USER["properties"]["status"], "status");
                    assert!(!stored || fault.is_none(), "the API server would refuse: {fault:?}");
                    let read: CommunicationUserStatus = serde_json::from_value(json.clone()).unwrap();
                    assert_eq!(serde_json::to_value(&read).unwrap(), json);
                    observed.user.status = read;
                }
                _ => return,
            },
        }
    }
    panic!("nothing but writes of status");
}

/// A Secret and the object that it is said to belong to, in JSON, as two members `secret` and `user`. What is judged to
/// hold a token does, and what is written is judged to be intact.
pub fn secret(data: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let (Ok(mut secret), Ok(object)) = (
        serde_json::from_value::<Secret>(json["secret"].clone()),
        serde_json::from_value::<CommunicationUser>(json["user"].clone()),
    ) else {
        return;
    };
    let user = User::parse(&object);
    let annotations = secret.metadata.annotations.get_or_insert_default();
    // No fuzzer finds a checksum.
    let Some((record, _)) = TokenRecord::with_sum(annotations) else {
        return;
    };
    let read = TokenRecord::from_annotations(annotations);
    assert!(read.is_none_or(|read| read == record));
    annotations.extend(record.to_annotations());
    assert_eq!(TokenRecord::from_annotations(annotations).as_ref(), Some(&record));
    assert!(record.life().renew_at(None, &user.uid) > record.issued || record.issued == Timestamp::MAX);
    let Ok(wish) = &user.wish else { return };
    let desired = DesiredSecret::new(&user, wish, &record, ENDPOINT);
    let (finding, token) = compare(&secret, &desired);
    assert_eq!(finding == Finding::TokenLost, token.is_none());
    let Some(token) = token else { return };
    assert_eq!(sha256(token.expose_secret()), record.sha256);
    is_intact(&user, wish, &desired, &token);
}

fn is_intact(user: &User, wish: &Wish, desired: &DesiredSecret, token: &SecretString) {
    let written: Secret = serde_json::from_value(manifest(user, desired, token)).unwrap();
    assert_eq!(compare(&written, desired).0, Finding::Intact);
    let SecretView::Ours(seen) = SecretView::of(&written.metadata, user) else {
        panic!("what was written is not ours");
    };
    assert_eq!(seen.version.name, wish.secret.name);
    assert_eq!(seen.record.as_deref(), Some(&desired.record));
}

/// Arguments, one in a line, and variables, as `NAME=value` behind `env `. What is refused repeats no connection string.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Files must not be read. What shows characters that cannot be printed leaves them out.
    let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    if text.contains("ca-file") || letters.contains(KEY.trim_end_matches('=')) {
        return;
    }
    let (mut arguments, mut variables) = (vec![OsString::from("acs-operator"), "run".into()], BTreeMap::new());
    let with_key = |text: &str| text.replace("KEY", KEY).into();
    for line in text.lines() {
        match line.strip_prefix("env ").and_then(|line| line.split_once('=')) {
            Some((name, value)) if name == CONNECTION_STRING_VARIABLE || is_part_of_a_connection_string(value) => {
                variables.insert(name, with_key(value));
            }
            Some((name, value)) => drop(variables.insert(name, OsString::from(value))),
            None if is_part_of_a_connection_string(line) => arguments.push(with_key(line)),
            None => arguments.push(line.into()),
        }
    }
    match cli::parse_from(arguments, |name| variables.get(name).cloned()) {
        Ok(Invocation::Run(settings)) => assert_are_usable(&settings),
        Ok(Invocation::Crds) => {}
        Err(refusal) => {
            let shown = format!("{refusal}{refusal:?}");
            assert!(!shown.contains(KEY), "{shown}");
            if let Refusal::Settings(faults) = &refusal {
                assert!(!faults.is_empty());
                let control = |c: char| c.is_control() && c != '\n';
                assert!(!refusal.to_string().contains(control), "{refusal:?}");
            }
        }
    }
}

/// The value may be cut off, or there may be white space where the parser allows it.
fn is_part_of_a_connection_string(argument: &str) -> bool {
    let compact: String = argument.split_whitespace().collect();
    compact.to_ascii_lowercase().contains("accesskey=key")
}

fn assert_are_usable(settings: &Settings) {
    assert!((1..=1024).contains(&settings.workers.get()));
    assert!((Duration::from_secs(1)..=Duration::from_hours(1)).contains(&settings.drain_timeout));
    if let Some(default) = &settings.default_connection {
        assert_eq!(settings.endpoints.check(&default.connection.endpoint), Ok(()));
    }
    let own = settings.own_namespace("default");
    assert!((1..=63).contains(&own.len()) && !own.contains(|c: char| c.is_ascii_uppercase() || c == '/'));
}

/// Texts in manifests and annotations. What is read is in its range; what is written again reads back the same.
pub fn texts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match DurationText::new(text).to_duration() {
        Ok(duration) => {
            assert_eq!(duration.as_secs() % 60, 0);
            assert!(duration.as_secs() <= 99 * 3600 + 9999 * 60 && text.len() <= 8);
        }
        Err(error) => assert!(error.to_string().contains("write for example 24h"), "{error}"),
    }
    if let Ok(attempt) = text.parse::<CreateAttempt>() {
        assert!(!attempt.owner_uid.is_empty() && !attempt.owner_uid.contains('/'));
        assert_eq!(attempt.to_string().parse(), Ok(attempt));
    }
}

#[cfg(test)]
mod tests {
    use acs_operator_seeds::run;

    #[test]
    fn whatever_object_can_be_stored_is_read_and_decided_on() {
        run("user", super::user);
    }

    #[test]
    fn a_secret_is_judged_by_the_token_that_it_holds() {
        run("secret", super::secret);
    }

    #[test]
    fn whatever_is_written_in_flags_and_variables_no_key_is_told() {
        run("settings", super::settings);
    }

    #[test]
    fn durations_and_attempts_read_back_the_same() {
        run("texts", super::texts);
    }

    #[test]
    fn an_object_is_delivered_whatever_was_delivered_before_it() {
        run("watch", super::watch);
    }
}
