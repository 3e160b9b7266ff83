//! Objects of every shape that a definition lets be stored.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::ID;
use crate::api::conformity::{USER, breach};

/// Texts that mean something somewhere.
const TEXTS: [&str; 13] = [
    "",
    "24h",
    "1h30m",
    "15m",
    "0m",
    "99h9999m",
    ID,
    "u-1",
    "0b1a0a9d-64ef-4f3c-9a51-7c0f6a0f1d55",
    "u-1/0b1a0a9d-64ef-4f3c-9a51-7c0f6a0f1d55",
    "alice",
    "Ready",
    "token",
];

/// All of them are let pass by `format: date-time`.
const TIMES: [&str; 5] = [
    "2026-11-23T08:00:00Z",
    "2027-01-15T09:00:00.123456789+02:00",
    "9999-12-31T23:59:59Z",
    "2026-11-23T08:00:00x5Z",
    "2026-11-23T08:00:00+99:99",
];

fn conforming(schema: &Value) -> BoxedStrategy<Value> {
    let bound = |keyword: &str| schema[keyword].as_u64().and_then(|bound| usize::try_from(bound).ok());
    match schema["type"].as_str() {
        Some("string") if schema["enum"].is_array() => {
            select(schema["enum"].as_array().cloned().unwrap_or_default()).boxed()
        }
        Some("string") if schema["format"] == "date-time" => {
            prop_oneof![9 => Just(TIMES[0]), 1 => select(TIMES.to_vec())]
                .prop_map(Value::from)
                .boxed()
        }
        Some("string") => {
            let (least, most) = (bound("minLength").unwrap_or(0), bound("maxLength").unwrap_or(500));
            let text = prop_oneof![
                3 => select(TEXTS.to_vec()).prop_map(str::to_owned),
                1 => any::<String>(),
                1 => (0..=most.min(40_000)).prop_map(|length| "é".repeat(length)),
            ];
            text.prop_map(move |text| {
                text.chars()
                    .chain("xx".chars().take(least))
                    .take(most)
                    .collect::<String>()
                    .into()
            })
            .boxed()
        }
        Some("integer") => match schema["format"].as_str() {
            Some("int32") => (0..=i32::MAX).prop_map(Value::from).boxed(),
            _ => prop_oneof![0..10_i64, Just(i64::MAX)].prop_map(Value::from).boxed(),
        },
        Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
        Some("array") => {
            let (least, most) = (bound("minItems").unwrap_or(0), bound("maxItems").unwrap_or(8));
            let is_map = schema["x-kubernetes-list-type"] == "map";
            proptest::collection::vec(conforming(&schema["items"]), least..=most)
                .prop_map(move |mut items| {
                    let key = |item: &Value| if is_map { item["type"].clone() } else { item.clone() };
                    items.sort_by_key(|item| key(item).to_string());
                    items.dedup_by_key(|item| key(item));
                    items.into()
                })
                .boxed()
        }
        _ => object(
            schema,
            bound("minProperties").unwrap_or(0),
            bound("maxProperties").unwrap_or(4),
        ),
    }
}

fn object(schema: &Value, least: usize, most: usize) -> BoxedStrategy<Value> {
    if let Some(values) = schema.get("additionalProperties") {
        return proptest::collection::btree_map(
            "[a-z]{1,9}(\\.example/[a-z]{1,9})?",
            conforming(values),
            0..=most.min(4),
        )
        .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into())
        .boxed();
    }
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|names| names.contains(&name.into()))
    };
    let members = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let name = name.clone();
            let value = conforming(schema);
            let value = if required(&name) {
                value.prop_map(Some).boxed()
            } else {
                proptest::option::of(value).boxed()
            };
            value.prop_map(move |value| Some((name.clone(), value?)))
        });
    members
        .collect::<Vec<_>>()
        .prop_map(|members| members.into_iter().flatten().collect::<Map<_, _>>())
        .prop_filter("too few members", move |members| members.len() >= least)
        .prop_map(Value::from)
        .boxed()
}

fn metadata() -> impl Strategy<Value = Value> {
    let annotation = |name: &'static str| {
        proptest::option::of(prop_oneof![5 => select(TEXTS.to_vec()).prop_map(str::to_owned), 1 => "\\PC{250,300}"])
            .prop_map(move |text| Some((format!("acs-operator.dev/{name}"), text?)))
    };
    let annotations = [
        "create-attempt",
        "renew-requested-at",
        "revoke-requested-at",
        "replace-identity",
        "abandon",
    ];
    let annotations = annotations.map(annotation).to_vec();
    let managed = proptest::option::of(select(TIMES.to_vec()));
    let parts = (annotations, managed, any::<bool>(), any::<bool>(), 1..9_i64);
    parts.prop_map(|(annotations, managed, deleting, protected, generation)| {
        let annotations: Map<_, _> = annotations
            .into_iter()
            .flatten()
            .map(|(name, text)| (name, text.into()))
            .collect();
        let mut metadata = json!({
            "name": "alice", "namespace": "team", "uid": "u-1", "resourceVersion": "1", "generation": generation,
            "annotations": annotations,
        });
        if let Some(time) = managed {
            metadata["managedFields"] = json!([{"manager": "someone", "operation": "Update", "time": time}]);
        }
        if deleting {
            metadata["deletionTimestamp"] = "2026-11-23T08:00:00Z".into();
        }
        if protected {
            metadata["finalizers"] = json!(["acs-operator.dev/identity"]);
        }
        metadata
    })
}

proptest! {
    #[test]
    fn whatever_the_definition_lets_be_stored_is_read_and_decided_on(
        object in conforming(&USER), metadata in metadata(),
    ) {
        let mut object = object;
        for (name, value) in [
            ("apiVersion", json!("acs-operator.dev/v1beta1")), ("kind", json!("CommunicationUser")), ("metadata", metadata),
        ] {
            object[name] = value;
        }
        let fault = breach(&object, &USER, "");
        prop_assert_eq!(fault, None, "not what the definition lets be stored");
        super::user(object.to_string().as_bytes());
    }
}
