//! Objects as tables, the way kubectl asks for them.

mod autoscaler;
mod cells;
mod column;
mod columns;
mod custom;
mod network;
mod path;
mod pod;
mod workloads;

use std::sync::Arc;

use serde_json::{Value, json};

use super::kind::Kind;
use super::route::Query;

/// How much of each object a table's row carries (`includeObject`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    /// Nothing but the cells.
    Nothing,
    /// The metadata: what is sent when nothing is said.
    Metadata,
    /// The whole object, which `kubectl get --sort-by` looks into.
    Object,
}

impl Include {
    /// What a request asks for.
    pub(super) fn of(query: &Query) -> Include {
        match query.get("includeObject") {
            Some("None") => Include::Nothing,
            Some("Object") => Include::Object,
            _ => Include::Metadata,
        }
    }
}

/// A table that goes over the wire: `meta.k8s.io/v1`.
pub(super) fn render(kind: &Kind, objects: &[Arc<Value>], mut metadata: Value, include: Include) -> Value {
    if let Some(map) = metadata.as_object_mut() {
        map.retain(|_, value| value != "");
    }
    let columns = if kind.custom { custom::columns(kind) } else { columns::of(&kind.kind) };
    let definitions: Vec<Value> = columns.iter().map(column::Column::definition).collect();
    let row = |object: &Arc<Value>| {
        let mut row = json!({"cells": columns.iter().map(|column| column.cell.of(object)).collect::<Vec<_>>()});
        if let Some(conditions) = pod::row_conditions(kind, object) {
            row["conditions"] = conditions;
        }
        row["object"] = match include {
            Include::Nothing => Value::Null,
            Include::Object => Value::clone(object),
            Include::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
            }
        };
        row
    };
    let rows: Vec<Value> = objects.iter().map(row).collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": definitions,
        "rows": rows})
}
