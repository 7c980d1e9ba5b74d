//! Reads Kubernetes manifests as kubectl reads them.
//!
//! kubectl's YAML is 1.1: `no` is false and `0644` is 420. Reading it
//! otherwise would send a wrong value without a word, so the scalars follow
//! kubectl, and whatever is doubtful is refused with its file and line.

use serde_json::{Map, Number, Value};
use std::fmt;

/// The most bytes that one file may have.
const MOST_BYTES: usize = 4 << 20;
/// The most objects that one file may hold, lists unfolded.
const MOST_OBJECTS: usize = 5_000;
/// The most nodes of one file.
const MOST_NODES: usize = 250_000;
/// How deep a file may nest: without optimization, a level takes 20 KiB of a thread's 2 MiB of stack.
const MOST_DEPTH: usize = 64;
/// The most nodes that the aliases of one file may stand for; a bomb of them ends here.
const MOST_REPEATED: usize = 50_000;

/// Something in a manifest that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mistake {
    /// The file, as the caller named it.
    pub file: String,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: u64,
    /// What is wrong, and the help.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// Reads every object of a file: several documents, `List` kinds unfolded,
/// duplicate keys refused. JSON is read too, for it is YAML.
///
/// # Errors
/// Everything that is wrong with the file, each with its line.
pub fn load(text: &str, file: &str) -> Result<Vec<Value>, Vec<Mistake>> {
    let mistake = |line, message: String| Mistake { file: file.to_owned(), line, message };
    if text.len() > MOST_BYTES {
        let message = format!("the file has {} bytes; the most is {MOST_BYTES}: split it", text.len());
        return Err(vec![mistake(0, message)]);
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options())
        .map_err(|error| vec![mistake(line_of(&error), first_sentence(&error))])?;
    let starts = starts(text);
    let mut objects = Vec::new();
    let mut mistakes = Vec::new();
    for (index, document) in documents.into_iter().enumerate() {
        let line = starts.get(index).copied().unwrap_or(0);
        match unfold(kubectl(document), &mut objects) {
            Ok(()) if objects.len() > MOST_OBJECTS => {
                mistakes.push(mistake(line, format!("more than {MOST_OBJECTS} objects: split the file")));
                break;
            }
            Ok(()) => {}
            Err(message) => mistakes.push(mistake(line, message)),
        }
    }
    if mistakes.is_empty() { Ok(objects) } else { Err(mistakes) }
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_REPEATED },
        budget: serde_saphyr::budget! { max_nodes: MOST_NODES, max_documents: MOST_OBJECTS, max_depth: MOST_DEPTH },
    }
}

fn line_of(error: &serde_saphyr::Error) -> u64 {
    error.location().map_or(0, |location| location.line())
}

/// The library's sentence without the position, which we print ourselves, and
/// without its advice to programmers.
fn first_sentence(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let text = text.strip_prefix("line ").and_then(|rest| rest.split_once(": ")).map_or(text, |(_, sentence)| sentence);
    let text = text.rsplit_once(" at line ").map_or(text, |(sentence, _)| sentence);
    text.replace(", set DuplicateKeyPolicy in Options if acceptable", ": keep one of the two")
}

/// The line on which each document that is not empty starts.
fn starts(text: &str) -> Vec<u64> {
    let mut starts = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        let marker = line == "---" || line.starts_with("--- ");
        if marker || line == "..." {
            open = false;
        }
        let content = if marker { line[3..].trim() } else { line.trim() };
        let silent = content.is_empty() || content.starts_with('#') || content == "..." || content.starts_with('%');
        if !open && !silent {
            starts.push(index as u64 + 1);
            open = true;
        }
    }
    starts
}

/// What remains between the library's scalars and kubectl's: a float without
/// a fraction is an integer there (`1e3` is 1000).
fn kubectl(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(whole(number)),
        Value::Array(items) => Value::Array(items.into_iter().map(kubectl).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (key, kubectl(value))).collect()),
        other => other,
    }
}

fn whole(number: Number) -> Number {
    /// Below this every integer has its own float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => Number::from(float as i64),
        _ => number,
    }
}

fn unfold(document: Value, objects: &mut Vec<Value>) -> Result<(), String> {
    let mut object = match document {
        Value::Null => return Ok(()),
        Value::Object(object) => object,
        other => return Err(format!("a manifest is a map with apiVersion and kind, not {}", name_of(&other))),
    };
    let api_version = text_of(&object, "apiVersion")?;
    let kind = text_of(&object, "kind")?;
    if kind.ends_with("List") && object.get("items").is_some_and(Value::is_array) {
        let Some(Value::Array(items)) = object.remove("items") else { return Ok(()) };
        let kind = kind.trim_end_matches("List").to_owned();
        return items.into_iter().try_for_each(|item| unfold(typed(item, &api_version, &kind), objects));
    }
    let metadata = object.get("metadata").and_then(Value::as_object);
    let named = |key: &str| metadata.and_then(|metadata| metadata.get(key)).and_then(Value::as_str).is_some();
    if !named("name") && !named("generateName") {
        return Err(format!("{kind} of {api_version} has no metadata.name: give it one"));
    }
    objects.push(Value::Object(object));
    Ok(())
}

/// The items of a typed list may leave their type to the list.
fn typed(item: Value, api_version: &str, kind: &str) -> Value {
    let Value::Object(mut item) = item else { return item };
    if !kind.is_empty() && !item.contains_key("kind") {
        item.insert("kind".into(), kind.into());
        item.entry("apiVersion").or_insert_with(|| api_version.into());
    }
    Value::Object(item)
}

fn text_of(object: &Map<String, Value>, key: &str) -> Result<String, String> {
    match object.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(other) if !other.is_null() => Err(format!("`{key}` is {}, but must be text: quote it", name_of(other))),
        _ => Err(format!("a manifest without `{key}`: add it, or keep the file out of the application's path")),
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
#[path = "manifest/tests.rs"]
mod tests;
