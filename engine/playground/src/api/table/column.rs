//! A column of a table, and how the built-in ones are written down.

use serde_json::{Value, json};

use super::path::Path;

/// A column of a table.
pub(super) struct Column {
    /// The heading, in mixed case; kubectl writes it in capitals.
    pub name: String,
    /// The type of its cells, as OpenAPI names it.
    pub kind: String,
    /// The format beside the type; only the name's column has one.
    pub format: String,
    /// What it tells, for people.
    pub description: String,
    /// 0 for what is always shown.
    pub priority: i64,
    /// Where its cells come from.
    pub cell: Cell,
}

/// Where a cell comes from.
pub(super) enum Cell {
    /// What a printer makes of the object.
    Built(fn(&Value) -> Value),
    /// A field of a custom resource.
    Custom(Path),
}

impl Column {
    /// The column as a table defines it.
    pub(super) fn definition(&self) -> Value {
        json!({"name": self.name, "type": self.kind, "format": self.format, "description": self.description,
            "priority": self.priority})
    }
}

impl Cell {
    /// The cell of an object.
    pub(super) fn of(&self, object: &Value) -> Value {
        match self {
            Cell::Built(cell) => cell(object),
            Cell::Custom(path) => path.cell(object),
        }
    }
}

/// The column that names the object.
pub(super) fn name() -> Column {
    Column { format: "name".into(), ..column("Name", "string", 0, |o| o["metadata"]["name"].clone()) }
}

/// A column of this type and priority: kubectl shows those of priority 0, and all with `-o wide`.
pub(super) fn column(name: &str, kind: &str, priority: i64, cell: fn(&Value) -> Value) -> Column {
    let own = str::to_owned;
    Column {
        name: own(name),
        kind: own(kind),
        format: String::new(),
        description: own(name),
        priority,
        cell: Cell::Built(cell),
    }
}

/// A column of texts that is always shown.
pub(super) fn string(name: &str, cell: fn(&Value) -> Value) -> Column {
    column(name, "string", 0, cell)
}

/// A column of whole numbers that is always shown.
pub(super) fn integer(name: &str, cell: fn(&Value) -> Value) -> Column {
    column(name, "integer", 0, cell)
}

/// A column that only `-o wide` shows.
pub(super) fn wide(name: &str, cell: fn(&Value) -> Value) -> Column {
    column(name, "string", 1, cell)
}
