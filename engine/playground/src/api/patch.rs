//! JSON patch, JSON merge patch and strategic merge patch.

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::shape::Shape;

/// A change to an object, as it was sent.
#[derive(Clone, Debug)]
pub enum Patch {
    /// A list of operations, `application/json-patch+json` (RFC 6902).
    Json(Value),
    /// A partial object whose nulls remove, `application/merge-patch+json` (RFC 7386).
    Merge(Value),
    /// Kubernetes' own: lists of built-in kinds merge by key.
    Strategic(Value),
}

impl Patch {
    /// The patched object.
    ///
    /// # Errors
    /// 400 for a malformed patch, 422 for one that does not fit.
    pub fn apply_to(&self, shape: &Shape, live: &Value) -> Result<Value, Refusal> {
        let mut object = live.clone();
        match self {
            Patch::Json(patch) => {
                let patch: json_patch::Patch =
                    serde_json::from_value(patch.clone()).map_err(|e| Refusal::bad_request(e.to_string()))?;
                json_patch::patch(&mut object, &patch).map_err(|error| {
                    tracing::debug!(%error, "a JSON patch does not fit");
                    let message = "the server rejected our request due to an error in our request";
                    Refusal { details: json!({}), ..Refusal::plain(422, "Invalid", message) }
                })?;
            }
            Patch::Merge(patch) => json_patch::merge(&mut object, patch),
            Patch::Strategic(patch) => object = strategic(shape, &object, patch),
        }
        match object {
            Value::Object(_) => Ok(object),
            _ => Err(Refusal::bad_request("the patch does not leave an object")),
        }
    }
}

/// The name of the field that strategic merge finds an item by: the first of the list's keys.
fn merge_key(shape: &Shape) -> Option<&str> {
    match shape {
        Shape::Keyed { keys, .. } => keys.first().map(|(key, _)| key.as_str()),
        _ => None,
    }
}

/// Strategic merge looks into values that server-side apply holds to be one (`selector`, `secretKeyRef`): there,
/// objects still merge field by field.
fn strategic(shape: &Shape, live: &Value, patch: &Value) -> Value {
    match (live, patch) {
        (_, Value::Object(new)) => {
            let empty = Map::new();
            let old = live.as_object().unwrap_or(&empty);
            strategic_map(shape, old, new)
        }
        (Value::Array(old), Value::Array(new)) if merge_key(shape).is_some() => strategic_list(shape, old, new),
        (Value::Array(old), Value::Array(new)) if *shape == Shape::Set => {
            let added = new.iter().filter(|item| !old.contains(item));
            Value::Array(old.iter().chain(added).cloned().collect())
        }
        (_, Value::Array(new)) => Value::Array(new.iter().map(without_directives).collect()),
        _ => patch.clone(),
    }
}

fn strategic_map(shape: &Shape, old: &Map<String, Value>, new: &Map<String, Value>) -> Value {
    match new.get("$patch").and_then(Value::as_str) {
        Some("replace") => return without_directives(&Value::Object(new.clone())),
        Some("delete") => return Value::Object(Map::new()),
        _ => {}
    }
    let mut out = old.clone();
    if let Some(kept) = new.get("$retainKeys").and_then(Value::as_array) {
        out.retain(|name, _| kept.iter().any(|k| k == name));
    }
    for (name, value) in new {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let Some(items) = out.get_mut(list).and_then(Value::as_array_mut) {
                let gone = value.as_array().cloned().unwrap_or_default();
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if name.starts_with('$') {
            continue;
        }
        if value.is_null() {
            out.remove(name);
            continue;
        }
        let (inner, _) = shape.field(name);
        let merged = strategic(inner, out.get(name).unwrap_or(&Value::Null), value);
        out.insert(name.clone(), merged);
    }
    for (name, order) in new.iter().filter_map(|(n, v)| Some((n.strip_prefix("$setElementOrder/")?, v.as_array()?))) {
        if let Some(items) = out.get_mut(name).and_then(Value::as_array_mut) {
            let before = old.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            reorder(shape.field(name).0, items, order, before);
        }
    }
    Value::Object(out)
}

fn strategic_list(shape: &Shape, old: &[Value], new: &[Value]) -> Value {
    let key = merge_key(shape).unwrap_or("name");
    let mut out = old.to_vec();
    for item in new {
        let directive = item.get("$patch").and_then(Value::as_str);
        if directive == Some("replace") && item.get(key).is_none() {
            out.clear();
            continue;
        }
        let at = out.iter().position(|o| o.get(key) == item.get(key));
        match (directive, at) {
            (Some("delete"), Some(at)) => {
                out.remove(at);
            }
            (Some("delete"), None) => {}
            (_, Some(at)) => out[at] = strategic(shape.item(), &out[at], item),
            (_, None) => out.push(strategic(shape.item(), &Value::Null, item)),
        }
    }
    reorder(shape, &mut out, new, old);
    Value::Array(out)
}

/// Items that the patch names come in its order, the others in theirs; where both were there before, their old order
/// decides, and what is new comes first (strategicpatch, mergeSortedSlice).
fn reorder(shape: &Shape, items: &mut Vec<Value>, order: &[Value], before: &[Value]) {
    let same = |a: &Value, b: &Value| match merge_key(shape) {
        Some(key) => a.get(key) == b.get(key),
        None => a == b,
    };
    let at = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut named, others): (Vec<Value>, Vec<Value>) = items.drain(..).partition(|item| at(order, item).is_some());
    named.sort_by_key(|item| at(order, item));
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    while let (Some(left), Some(right)) = (named.peek(), others.peek()) {
        let other_first = matches!((at(before, left), at(before, right)), (Some(l), Some(r)) if r < l);
        items.extend(if other_first { others.next() } else { named.next() });
    }
    items.extend(named.chain(others));
}

fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(name, v)| !name.starts_with('$') && !v.is_null());
            Value::Object(kept.map(|(name, v)| (name.clone(), without_directives(v))).collect())
        }
        other => other.clone(),
    }
}

/// Takes out every null, as decoding into a typed object does.
pub fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
