//! The columns of custom resources: what their definition's `additionalPrinterColumns` point at.

use serde_json::{Value, json};

use super::column::{self, Cell, Column};
use super::path::Path;
use crate::api::kind::Kind;

/// The name, and the columns of the definition; only the age where there are none.
pub(super) fn columns(kind: &Kind) -> Vec<Column> {
    let text = |column: &Value, field: &str| column[field].as_str().unwrap_or_default().to_owned();
    let mut columns = vec![column::name()];
    let age = [json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})];
    let given = if kind.columns.is_empty() { &age[..] } else { &kind.columns[..] };
    columns.extend(given.iter().map(|column| {
        let path = text(column, "jsonPath");
        let description = match text(column, "description") {
            none if none.is_empty() => format!("Custom resource definition column (in JSONPath format): {path}"),
            some => some,
        };
        Column {
            name: text(column, "name"),
            kind: text(column, "type"),
            format: text(column, "format"),
            description,
            priority: column["priority"].as_i64().unwrap_or(0),
            cell: Cell::Custom(Path::new(&path, &text(column, "type"))),
        }
    }));
    columns
}
