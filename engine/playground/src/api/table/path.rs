//! A field of a custom resource that a column shows.

use serde_json::Value;

use super::cells;

/// A field, and what the column makes of it.
pub(super) struct Path {
    steps: Vec<Step>,
    kind: String,
}

enum Step {
    Field(String),
    Item(usize),
    /// The first item whose field has this value: `[?(@.type=="Ready")]`.
    Where(String, String),
}

/// The simple paths that definitions may have: `.a.b`, `['a']`, `[0]` and one comparison.
fn parse(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (inside, after) = inner.split_once(']').unwrap_or((inner, ""));
            rest = after;
            let inside = inside.trim_matches(['\'', '"']);
            steps.push(match (inside.parse(), inside.strip_prefix("?(@.")) {
                (Ok(at), _) => Step::Item(at),
                (_, Some(test)) => {
                    let (field, value) = test.trim_end_matches(')').split_once("==").unwrap_or((test, ""));
                    Step::Where(field.trim().to_owned(), value.trim().trim_matches(['\'', '"']).to_owned())
                }
                _ => Step::Field(inside.to_owned()),
            });
        } else {
            let inner = rest.trim_start_matches('.');
            let end = unescaped(inner);
            if end > 0 {
                steps.push(Step::Field(inner[..end].replace("\\.", ".")));
            }
            rest = &inner[end..];
        }
    }
    steps
}

/// Where a field's name ends: at a dot or a bracket that no backslash precedes.
fn unescaped(text: &str) -> usize {
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        if (letter == '.' && before != '\\') || letter == '[' {
            return at;
        }
        before = letter;
    }
    text.len()
}

impl Path {
    /// The field at a path such as `.status.phase`, in a column of this type.
    pub(super) fn new(path: &str, kind: &str) -> Path {
        Path { steps: parse(path), kind: kind.to_owned() }
    }

    /// The value as the column's type shows it; null where there is none or it is of another type.
    pub(super) fn cell(&self, object: &Value) -> Value {
        let Some(value) = self.steps.iter().try_fold(object, |at, step| match step {
            Step::Field(name) => at.get(name),
            Step::Item(index) => at.get(index),
            Step::Where(field, wanted) => at.as_array()?.iter().find(|item| item[field] == wanted.as_str()),
        }) else {
            return Value::Null;
        };
        match (self.kind.as_str(), value) {
            ("string", Value::String(text)) => text.as_str().into(),
            ("string", Value::Null) => Value::Null,
            ("string", other) => other.to_string().into(),
            ("integer", Value::Number(n)) => n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)).into(),
            ("number", Value::Number(n)) => n.as_f64().into(),
            ("boolean", Value::Bool(_)) => value.clone(),
            ("date", Value::String(time)) => match cells::since(time) {
                unknown if unknown == "<unknown>" => "<invalid>".into(),
                age => age.into(),
            },
            _ => Value::Null,
        }
    }
}
