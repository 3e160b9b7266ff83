//! Pieces of schema that cannot be derived from a Rust type.

use kube::core::Rule;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::{
    condition::{MAX_CONDITIONS, MAX_MESSAGE_CHARS},
    rules,
};

/// One or two keys of a Secret's data, in an order that means something.
pub(super) fn secret_keys(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 2,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "string",
            "maxLength": 253,
            "x-kubernetes-validations": [Rule::from(rules::SECRET_KEY)],
        },
    })
}

/// Labels for an object that the operator writes.
pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {
            "type": "string",
            "maxLength": 63,
            "x-kubernetes-validations": [Rule::from(rules::LABEL_VALUE)],
        },
    })
}

/// Annotations for an object that the operator writes.
pub(super) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "maxLength": 4096},
    })
}

/// Id of an identity in status, where only the operator writes it.
pub(super) fn identity_id(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 200,
        "pattern": "^8:(acs|dod-acs|gcch-acs|spool):[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}_[A-Za-z0-9_-]+$",
    })
}

/// A time that a person writes. The format alone also lets `2026-11-23T08:00:00x5Z` and `2026-11-23T08:00:00+99:99` pass.
pub(super) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "format": "date-time",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
    })
}

/// Conditions as `metav1.Condition` defines them, merged by type; the derived schema is looser than Kubernetes' own.
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_CONDITIONS,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "description": "Ready, Reconciling or Stalled.",
                    "type": "string",
                    "maxLength": 316,
                },
                "status": {
                    "description": "True, False or Unknown.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "observedGeneration": {
                    "description": "The metadata.generation that this condition speaks of.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
                "lastTransitionTime": {
                    "description": "When the status last changed from one value to another.",
                    "type": "string",
                    "format": "date-time",
                },
                "reason": {
                    "description": "Why, in one word from a closed list, for programs to match on.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                },
                "message": {
                    "description": "Why, in a sentence that says what to do.",
                    "type": "string",
                    "maxLength": MAX_MESSAGE_CHARS,
                },
            },
        },
    })
}

/// A label selector, with empty meaning everything.
pub(super) fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "description": "Labels that the namespace must have, each with this value.",
                "type": "object",
                "additionalProperties": {"type": "string"},
            },
            "matchExpressions": {
                "description": "Requirements that the labels of the namespace must meet, all of them.",
                "type": "array",
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {"description": "Key of the label.", "type": "string"},
                        "operator": {"description": "In, NotIn, Exists or DoesNotExist.", "type": "string"},
                        "values": {
                            "description": "Values for In and NotIn; none for Exists and DoesNotExist.",
                            "type": "array",
                            "x-kubernetes-list-type": "atomic",
                            "items": {"type": "string"},
                        },
                    },
                },
            },
        },
    })
}
