//! Whether a document is one that the API server stores under a schema of ours. Only built for tests and fuzzing.
//!
//! Rules in CEL and patterns are left out: the API server forgives a stored value that breaks a rule which came later, so
//! everything of the right types and sizes has to be reckoned with. So has every text for a time: the format lets many pass.

use std::sync::LazyLock;

use serde_json::Value;

/// What is wrong with `value` under `schema`, with the path of the field; `None`: it can be stored.
pub(crate) fn breach(value: &Value, schema: &Value, path: &str) -> Option<String> {
    let most = |keyword: &str| schema[keyword].as_u64().unwrap_or(u64::MAX);
    let least = |keyword: &str| schema[keyword].as_u64().unwrap_or(0);
    let sized = |size: usize, minimum: &str, maximum: &str| {
        let fits = (least(minimum)..=most(maximum)).contains(&(size as u64));
        (!fits).then(|| format!("{path} has the size {size}"))
    };
    match (schema["type"].as_str().unwrap_or("object"), value) {
        ("object", Value::Object(members)) => {
            let required = schema["required"].as_array().into_iter().flatten();
            let missing = required
                .filter_map(Value::as_str)
                .find(|name| !members.contains_key(*name));
            missing
                .map(|name| format!("{path}.{name} is missing"))
                .or_else(|| sized(members.len(), "minProperties", "maxProperties"))
                .or_else(|| {
                    members.iter().find_map(|(name, member)| {
                        let schema = schema["properties"].get(name).or(schema.get("additionalProperties"))?;
                        breach(member, schema, &format!("{path}.{name}"))
                    })
                })
        }
        ("array", Value::Array(items)) => sized(items.len(), "minItems", "maxItems")
            .or_else(|| repeated(items, schema, path))
            .or_else(|| items.iter().find_map(|item| breach(item, &schema["items"], path))),
        ("string", Value::String(text)) => {
            let listed = schema["enum"].as_array().is_none_or(|texts| texts.contains(value));
            if !listed {
                return Some(format!("{path} is {text:?}"));
            }
            sized(text.chars().count(), "minLength", "maxLength")
        }
        ("integer", Value::Number(number)) => {
            let range = match schema["format"].as_str() {
                Some("int32") => i64::from(i32::MIN)..=i64::from(i32::MAX),
                _ => i64::MIN..=i64::MAX,
            };
            let fits = number.as_i64().is_some_and(|number| range.contains(&number))
                && schema["minimum"]
                    .as_f64()
                    .is_none_or(|least| number.as_f64() >= Some(least));
            (!fits).then(|| format!("{path} is {number}"))
        }
        ("boolean", Value::Bool(_)) => None,
        (wanted, _) => Some(format!("{path} is no {wanted}")),
    }
}

fn repeated(items: &[Value], schema: &Value, path: &str) -> Option<String> {
    let identity = |item: &Value| match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Some(item.clone()),
        Some("map") => Some(item["type"].clone()),
        _ => None,
    };
    let again = |(index, item): (usize, &Value)| {
        let this = identity(item)?;
        items[..index]
            .iter()
            .any(|other| identity(other) == Some(this.clone()))
            .then_some(())
    };
    items
        .iter()
        .enumerate()
        .find_map(again)
        .map(|()| format!("{path} has an element twice"))
}

/// The schema of `CommunicationUser`.
pub(crate) static USER: LazyLock<Value> = LazyLock::new(|| {
    let version = super::crd::all().swap_remove(0).spec.versions.swap_remove(0);
    let schema = version.schema.and_then(|schema| schema.open_api_v3_schema);
    serde_json::to_value(schema).unwrap_or_default()
});
