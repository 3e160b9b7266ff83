//! What holds of every definition, whatever its kind.

use std::{collections::BTreeMap, fs, path::Path};

use super::*;

/// Set to write the files instead of comparing them; `make crds` does.
const UPDATE: &str = "UPDATE_CRDS";

#[test]
#[allow(clippy::disallowed_methods, reason = "a switch of this test, not of the program")]
fn the_committed_definitions_are_those_of_the_types() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for CrdFile { name, content } in files().unwrap() {
        let path = directory.join(&name);
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&path, content).unwrap();
            continue;
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == content,
            "crds/{name} is not what the types say: run `make crds` and commit the result"
        );
    }
}

#[test]
fn the_yaml_says_what_the_definition_says() {
    for definition in all() {
        let mut expected = serde_json::to_value(&definition).unwrap();
        write_whole_numbers(&mut expected);
        let read: Value = serde_saphyr::from_str(&render(&definition).unwrap()).unwrap();
        assert_eq!(read, expected);
    }
    assert_eq!(render_all().unwrap().matches("\n---\n").count(), 2);
}

/// A rule at the root that starts to fail after an upgrade would also block the removal of a finalizer, and so would a
/// bound there. That `spec` is required has been so since the first version.
#[test]
fn nothing_is_demanded_at_the_root_but_a_spec() {
    for (kind, root) in roots() {
        let fields: Vec<_> = root.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["description", "properties", "required", "type"], "{kind}");
        assert_eq!(root["required"], json!(["spec"]), "{kind}");
        let properties: Vec<_> = root["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            properties,
            ["spec", "status"],
            "{kind}: metadata has no schema, so no rule either"
        );
    }
}

/// The API server forgives a stored value that breaks a rule, but not a rule that cannot be evaluated, and on a time it
/// cannot be when the text only looks like one.
#[test]
fn no_rule_looks_at_a_time() {
    for (path, field) in fields() {
        let is_time = field["format"] == "date-time";
        assert!(!(is_time && field.get("x-kubernetes-validations").is_some()), "{path}");
    }
}

#[test]
fn every_rule_says_in_one_line_what_to_write() {
    for (path, field) in fields() {
        for rule in field["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().unwrap_or_default();
            assert!(message.len() > 20 && !message.contains('\n'), "{path}: {rule}");
        }
    }
}

#[test]
fn every_field_is_explained() {
    for (path, field) in fields() {
        let description = field["description"].as_str().unwrap_or_default();
        assert!(
            description.ends_with('.') && !description.contains('\n'),
            "{path}: {description:?}"
        );
    }
}

#[test]
fn a_field_has_one_type_and_is_never_null() {
    for (path, field) in fields() {
        for absent in [
            "nullable",
            "title",
            "anyOf",
            "oneOf",
            "allOf",
            "x-kubernetes-preserve-unknown-fields",
        ] {
            assert!(field.get(absent).is_none(), "{path} has {absent}");
        }
        assert!(field["type"].is_string(), "{path}");
        let format = field["format"].as_str().unwrap_or("date-time");
        assert!(["date-time", "int32", "int64"].contains(&format), "{path}: {format}");
        for value in field["enum"].as_array().into_iter().flatten() {
            assert!(value.is_string(), "{path}: {value}");
        }
    }
}

#[test]
fn every_list_says_how_two_writers_share_it() {
    let lists: BTreeMap<_, _> = fields()
        .into_iter()
        .filter(|(_, field)| field["type"] == "array")
        .map(|(path, field)| {
            (
                path,
                field["x-kubernetes-list-type"].as_str().unwrap_or("none").to_owned(),
            )
        })
        .collect();
    for (path, list_type) in &lists {
        let expected = match path.rsplit('.').next().unwrap() {
            "conditions" => "map",
            "scopes" | "names" => "set",
            _ => "atomic",
        };
        assert_eq!(list_type, expected, "{path}");
    }
    assert!(lists.contains_key("CommunicationUser.spec.token.scopes"), "{lists:?}");
}

#[test]
fn a_new_object_has_not_been_observed() {
    for (kind, root) in roots() {
        let status = &root["properties"]["status"];
        assert_eq!(status["default"], json!({"observedGeneration": -1}), "{kind}");
        assert_eq!(
            status["properties"]["observedGeneration"]["default"],
            json!(-1),
            "{kind}"
        );
    }
}

#[test]
fn the_kinds_have_the_names_that_people_type() {
    let names: Vec<_> = all()
        .into_iter()
        .map(|definition| {
            assert_eq!(definition.spec.names.categories.unwrap(), ["acs", "azure"]);
            let short = definition.spec.names.short_names.unwrap().join(" ");
            (definition.metadata.name.unwrap(), short, definition.spec.scope)
        })
        .collect();
    let expected = [
        ("communicationusers.acs-operator.dev", "acsu", "Namespaced"),
        ("communicationconnections.acs-operator.dev", "acsc", "Namespaced"),
        ("clustercommunicationconnections.acs-operator.dev", "cacsc", "Cluster"),
    ];
    assert_eq!(
        names,
        expected.map(|(name, short, scope)| (name.to_owned(), short.to_owned(), scope.to_owned()))
    );
}

#[test]
fn removing_a_helm_release_keeps_the_definitions_and_with_them_every_object() {
    for definition in all() {
        assert_eq!(
            definition.metadata.annotations.unwrap()["helm.sh/resource-policy"],
            "keep"
        );
    }
}

/// kubectl prints a `date` column as an age, and a time in the future as `<invalid>`.
#[test]
fn only_the_age_is_a_date_column() {
    for column in all()
        .into_iter()
        .flat_map(|crd| crd.spec.versions)
        .flat_map(|v| v.additional_printer_columns.unwrap())
    {
        assert_eq!(column.type_ == "date", column.name == "Age", "{}", column.name);
    }
}

/// The root schema of each kind.
fn roots() -> Vec<(String, Value)> {
    all()
        .into_iter()
        .map(|definition| {
            let schema = definition.spec.versions[0]
                .schema
                .clone()
                .unwrap()
                .open_api_v3_schema
                .unwrap();
            (definition.spec.names.kind, serde_json::to_value(schema).unwrap())
        })
        .collect()
}

/// Every field of every kind by its path, such as `CommunicationUser.spec.token`. Elements of lists and maps are looked
/// through, not listed.
fn fields() -> Vec<(String, Value)> {
    fn collect(path: &str, schema: &Value, into: &mut Vec<(String, Value)>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            collect(&path, field, into);
            into.push((path, field.clone()));
        }
        for elements in ["items", "additionalProperties"]
            .into_iter()
            .filter_map(|elements| schema.get(elements))
        {
            collect(path, elements, into);
        }
    }
    let mut fields = vec![];
    for (kind, root) in roots() {
        collect(&kind, &root, &mut fields);
    }
    fields
}
