//! Objects with whatever the definitions let pass, in their spec, metadata and status: the operator survives them, leaves no other object
//! waiting, and makes no loop of them.

use std::{collections::BTreeMap, time::Duration};

use acs_operator_testbed::{Passed, World};
use futures::{StreamExt, stream};
use kube::{
    Api, Error,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use proptest::{
    prelude::*,
    sample::{select, subsequence},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use crate::world;

const OBJECTS: usize = 200;

/// Long enough for a loop to show: what fails is tried again after 1, 2, 4, … seconds.
const WINDOW: Duration = Duration::from_secs(5);

/// More requests about one object than some tries make, and far fewer than a loop does.
const SOME: usize = 15;

/// An object or its status, with each of these members or without it.
fn any_of(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let members = members
        .into_iter()
        .map(|(key, value)| proptest::option::of(value).prop_map(move |value| Some((key.to_owned(), value?))));
    let members: Vec<_> = members.collect();
    members
        .prop_map(|members| members.into_iter().flatten().collect::<Map<_, _>>().into())
        .boxed()
}

fn text() -> BoxedStrategy<Value> {
    prop_oneof![
        "[a-z]{1,10}",
        "\\PC{0,40}",
        ".{0,20}",
        Just("x".repeat(200)),
        Just("\u{0}\u{202e}\u{1f980}\r\n".to_owned()),
        Just("8:acs:00000000-0000-0000-0000-000000000000_x".to_owned()),
    ]
    .prop_map(Value::from)
    .boxed()
}

/// A text for a field of a bounded length.
fn short_text() -> BoxedStrategy<Value> {
    prop_oneof!["[a-z]{1,10}", "\\PC{0,40}", Just(String::new())]
        .prop_map(Value::from)
        .boxed()
}

/// What a label may hold.
fn word() -> BoxedStrategy<Value> {
    "([A-Za-z0-9]([A-Za-z0-9_.-]{0,40}[A-Za-z0-9])?)?"
        .prop_map(Value::from)
        .boxed()
}

fn number() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(0),
        Just(-1),
        Just(i64::from(i32::MAX)),
        Just(i64::MAX),
        any::<i64>()
    ]
    .prop_map(Value::from)
    .boxed()
}

fn time() -> BoxedStrategy<Value> {
    let times = [
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2026-11-23T08:00:00x5Z",
        "2026-11-23T08:00:00+99:99",
        "2026-12-31T23:59:59.5+14:00",
        "2036-01-01T00:00:00.123456789Z",
        "9999-12-31T23:59:59Z",
    ];
    select(times.to_vec()).prop_map(Value::from).boxed()
}

fn identity_id() -> BoxedStrategy<Value> {
    "8:(acs|gcch-acs):[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}_[A-Za-z0-9_-]{1,40}"
        .prop_map(Value::from)
        .boxed()
}

fn choice(these: &[&'static str]) -> BoxedStrategy<Value> {
    select(these.to_vec()).prop_map(Value::from).boxed()
}

fn pairs(keys: &'static str, values: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let pairs = proptest::collection::btree_map(keys, values, 0..4);
    pairs.prop_map(|pairs| json!(pairs)).boxed()
}

fn spec() -> BoxedStrategy<Value> {
    let scopes = vec!["chat", "chat.join", "chat.join.limited", "voip", "voip.join"];
    let token = any_of(vec![
        ("lifetime", choice(&["1h", "24h", "90m", "1h30m", "0h1440m", "01h"])),
        ("renewBefore", choice(&["15m", "20m", "8h", "0h15m"])),
    ]);
    let token = (subsequence(scopes, 1..=5), token).prop_map(|(scopes, mut token)| {
        token["scopes"] = json!(scopes);
        token
    });
    let keys = any_of(vec![
        ("userId", choice(&["id", ".", "-"])),
        ("expiresOn", choice(&["_", "until"])),
    ]);
    let keys = keys.prop_map(|mut keys| {
        keys["token"] = json!("ACS_TOKEN");
        keys
    });
    let secret = any_of(vec![
        ("name", choice(&["shared", "alice", "a.b.c", "0"])),
        ("keys", keys.boxed()),
        ("labels", pairs("[a-z]{1,5}", word())),
        ("annotations", pairs("[a-z]{1,5}(\\.example/[a-z]{1,5})?", text())),
    ]);
    let with_token =
        (token, proptest::option::of(secret)).prop_map(|(token, secret)| json!({"token": token, "secret": secret}));
    let connection = any_of(vec![("kind", choice(&["ClusterCommunicationConnection"]))]);
    let connection = connection.prop_map(|mut reference| {
        reference["name"] = json!("nowhere");
        reference
    });
    let others = any_of(vec![
        ("suspend", any::<bool>().prop_map(Value::from).boxed()),
        ("connectionRef", connection.boxed()),
        (
            "identity",
            any_of(vec![
                ("id", identity_id()),
                ("deletionPolicy", choice(&["Delete", "Retain"])),
            ]),
        ),
    ]);
    // Most are to come far.
    let others = prop_oneof![3 => Just(json!({})), 1 => others];
    let without_null = |mut spec: Value| {
        spec.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        spec
    };
    (prop_oneof![Just(json!({})), with_token], others)
        .prop_map(move |(mut spec, others)| {
            spec.as_object_mut()
                .unwrap()
                .extend(others.as_object().unwrap().clone());
            without_null(spec)
        })
        .boxed()
}

/// Who has what of an object, as anybody may say of it who creates it.
fn managed_fields() -> BoxedStrategy<Value> {
    let times = [
        "0001-01-01T00:00:00Z",
        "9999-12-30T21:59:59Z",
        "2026-01-01T00:00:00+23:59",
    ];
    let managers = choice(&["acs-operator", "kubectl", "x"]);
    let entries = (
        managers,
        choice(&["Apply", "Update"]),
        choice(&times),
        choice(&["v1", "acs-operator.dev/v9"]),
    );
    let entries = entries.prop_map(|(manager, operation, time, version)| {
        json!([{
            "manager": manager, "operation": operation, "time": time, "apiVersion": version,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:token": {".": {}}}},
        }])
    });
    entries.boxed()
}

fn metadata() -> BoxedStrategy<Value> {
    let requests = any_of(vec![
        ("acs-operator.dev/renew-requested-at", text()),
        ("acs-operator.dev/revoke-requested-at", text()),
        (
            "acs-operator.dev/replace-identity",
            prop_oneof![text(), identity_id()].boxed(),
        ),
        ("acs-operator.dev/abandon", text()),
        ("acs-operator.dev/create-attempt", text()),
        ("acs-operator.dev/anything", text()),
        (
            "example.com/huge",
            prop_oneof![text(), Just(json!("x".repeat(250_000)))].boxed(),
        ),
    ]);
    let finalizers = subsequence(
        vec!["acs-operator.dev/identity", "example.com/a", "example.com/b"],
        0..=3,
    );
    any_of(vec![
        ("annotations", requests),
        ("labels", pairs("[a-z]{1,5}", word())),
        ("finalizers", finalizers.prop_map(|all| json!(all)).boxed()),
        ("managedFields", managed_fields()),
    ])
}

fn status() -> BoxedStrategy<Value> {
    let identity = any_of(vec![
        ("id", identity_id()),
        ("origin", choice(&["Created", "Adopted", "Restored"])),
        ("ownerUid", "[a-z0-9-]{0,36}".prop_map(Value::from).boxed()),
        ("attempt", short_text()),
        ("creationTime", time()),
        ("endpoint", text()),
        ("suspectedOrphans", choice_of_counts()),
    ]);
    let token = any_of(vec![
        ("issueTime", time()),
        ("expirationTime", time()),
        ("renewalTime", time()),
        ("revocationTime", time()),
        (
            "scopes",
            subsequence(vec!["chat", "voip", "everything", ""], 0..=4)
                .prop_map(|all| json!(all))
                .boxed(),
        ),
        ("credential", short_text()),
    ]);
    let secret = any_of(vec![("name", text()), ("uid", text()), ("resourceVersion", text())]);
    let condition = (choice(&["True", "False", "Unknown"]), time(), text()).prop_map(|(status, time, message)| {
        json!({"status": status, "lastTransitionTime": time, "message": message, "reason": "Garbage"})
    });
    let types = ["Ready", "Reconciling", "Stalled", "A", "B", "C", "D", "E"];
    let conditions = (proptest::collection::vec(condition, 0..8), Just(types)).prop_map(|(mut conditions, types)| {
        for (condition, kind) in conditions.iter_mut().zip(types) {
            condition["type"] = json!(kind);
        }
        json!(conditions)
    });
    any_of(vec![
        ("observedGeneration", number()),
        ("connection", text()),
        ("identity", identity),
        ("token", token),
        ("secret", secret),
        ("lastHandledRenewAt", text()),
        ("lastHandledRevokeAt", text()),
        ("conditions", conditions.boxed()),
    ])
}

fn choice_of_counts() -> BoxedStrategy<Value> {
    select(vec![0, 1, i32::MAX]).prop_map(Value::from).boxed()
}

/// The same objects in each run.
fn poison() -> Vec<(Value, Value)> {
    let mut runner = TestRunner::deterministic();
    let object = (metadata(), spec(), proptest::option::of(status()));
    let mut objects = Vec::new();
    for number in 0..OBJECTS {
        let (mut metadata, spec, status) = object.new_tree(&mut runner).unwrap().current();
        metadata["name"] = json!(format!("poison-{number}"));
        let object = json!({
            "apiVersion": "acs-operator.dev/v1beta1", "kind": "CommunicationUser", "metadata": metadata, "spec": spec,
        });
        objects.push((object, status.unwrap_or_default()));
    }
    objects
}

/// Whether the API server took it. It refuses what the definitions do.
fn is_taken(answer: Result<DynamicObject, Error>) -> bool {
    match answer {
        Ok(_) => true,
        Err(Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => false,
        Err(error) => panic!("{error}"),
    }
}

/// How often each object was written to.
fn counts(world: &World) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for Passed { path, .. } in world.traffic.passed() {
        *counts.entry(path).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_put_into_objects_the_operator_lives_serves_the_others_and_makes_no_loop() {
    let world = world().await;
    let resource = ApiResource {
        group: "acs-operator.dev".into(),
        version: "v1beta1".into(),
        api_version: "acs-operator.dev/v1beta1".into(),
        kind: "CommunicationUser".into(),
        plural: "communicationusers".into(),
    };
    let users: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    let put = async |(object, status): (Value, Value)| {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let object = serde_json::from_value(object).unwrap();
        if !is_taken(users.create(&PostParams::default(), &object).await) {
            return (0, 0);
        }
        let patch = Patch::Merge(json!({"status": status}));
        let taken = status.is_object() && is_taken(users.patch_status(&name, &PatchParams::default(), &patch).await);
        (1, usize::from(taken))
    };
    let taken = stream::iter(poison()).map(put).buffer_unordered(8);
    let (objects, statuses) = taken
        .fold((0, 0), async |all, one| (all.0 + one.0, all.1 + one.1))
        .await;
    println!("of {OBJECTS} objects {objects} were taken, and {statuses} statuses");
    assert!(
        objects > OBJECTS / 2 && statuses > OBJECTS / 5,
        "{objects} and {statuses}"
    );

    world
        .create("normal", json!({"token": {"scopes": ["voip"]}}))
        .await
        .unwrap();
    world.until_reason("normal", "TokenIssued").await.unwrap();
    // The first look at each.
    sleep(WINDOW).await;
    let before = counts(&world);
    sleep(WINDOW).await;
    for (path, count) in counts(&world) {
        let more = count - before.get(&path).copied().unwrap_or_default();
        assert!(
            more < SOME,
            "{path}: {more} in {WINDOW:?}:\n{}",
            world.operator.log_tail()
        );
    }
    assert!(world.operator.is_running());
    world.operator.answers("/readyz", 200, "ok").await.unwrap();
}
