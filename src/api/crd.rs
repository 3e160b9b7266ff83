//! The `CustomResourceDefinition`s, rendered from the Rust types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{ClusterCommunicationConnection, CommunicationConnection, CommunicationUser};

/// A definition could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("the definition of {kind} could not be written as YAML: {cause}")]
pub struct RenderError {
    kind: String,
    cause: String,
}

/// A file of the directory `crds/`, which holds one definition each for those who install without building.
pub struct CrdFile {
    /// Name of the file, such as `communicationusers.yaml`.
    pub name: String,
    /// Its whole content.
    pub content: String,
}

/// The definitions of all kinds, ready to be applied.
pub fn all() -> Vec<CustomResourceDefinition> {
    [
        CommunicationUser::crd(),
        CommunicationConnection::crd(),
        ClusterCommunicationConnection::crd(),
    ]
    .into_iter()
    .map(finish)
    .collect()
}

/// All definitions as YAML documents, separated by `---`. The same types always give the same text.
///
/// # Errors
/// When a definition cannot be written as YAML, which would be a defect.
pub fn render_all() -> Result<String, RenderError> {
    let documents: Result<Vec<_>, _> = all().iter().map(render).collect();
    Ok(documents?.join("---\n"))
}

/// What the files under `crds/` must hold.
///
/// # Errors
/// As for [`render_all`].
pub fn files() -> Result<Vec<CrdFile>, RenderError> {
    let file = |definition: &CustomResourceDefinition| {
        let yaml = render(definition)?;
        Ok(CrdFile {
            name: format!("{}.yaml", definition.spec.names.plural),
            content: format!("# Generated from the Rust types by `make crds`; changes made here are lost.\n{yaml}"),
        })
    };
    all().iter().map(file).collect()
}

fn render(definition: &CustomResourceDefinition) -> Result<String, RenderError> {
    let failed = |cause: String| RenderError {
        kind: definition.spec.names.kind.clone(),
        cause,
    };
    let mut value = serde_json::to_value(definition).map_err(|error| failed(error.to_string()))?;
    write_whole_numbers(&mut value);
    serde_saphyr::to_string(&value).map_err(|error| failed(error.to_string()))
}

/// Puts right what the derived definition lacks or has too much of.
fn finish(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    // The API server fills the list kind in; a definition that differs from what is stored looks out of sync to GitOps.
    definition.spec.names.list_kind = Some(format!("{}List", definition.spec.names.kind));
    let schemas = definition
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut());
    for root in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
        finish_schema(root);
    }
    definition
}

fn finish_schema(root: &mut JSONSchemaProps) {
    root.title = None;
    for_each_schema(root, &mut |schema| {
        // Optional fields are absent, never null: a null would have to be thought of in every rule.
        schema.nullable = None;
        if let Some(values) = &mut schema.enum_ {
            values.retain(|JSON(value)| !value.is_null());
        }
        schema.description = schema.description.as_deref().map(unwrap_lines);
    });
    // A new object says at once that nobody has looked at it; kstatus waits for that instead of seeing it ready.
    if let Some(status) = root
        .properties
        .as_mut()
        .and_then(|properties| properties.get_mut("status"))
    {
        status.default = Some(JSON(json!({"observedGeneration": -1})));
    }
}

/// Calls `visit` for a schema and everything below it.
fn for_each_schema(schema: &mut JSONSchemaProps, visit: &mut impl FnMut(&mut JSONSchemaProps)) {
    visit(schema);
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
    {
        for_each_schema(property, visit);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => for_each_schema(items, visit),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(|item| for_each_schema(item, visit)),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        for_each_schema(values, visit);
    }
}

/// Joins the lines of each paragraph of a doc comment: `kubectl explain` wraps them for its own reader.
fn unwrap_lines(text: &str) -> String {
    text.split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " "))
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// Bounds are floating-point in the definition's type; `1.0` would be stored as `1`.
fn write_whole_numbers(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(write_whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers),
        Value::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|number| number.fract() == 0.0)
                .map(|number| format!("{number:.0}"));
            if let Some(whole) = whole.and_then(|whole| whole.parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;
