//! Reads `managedFields`: who owns which field of a live object.
//!
//! Source: Kubernetes, "Server-Side Apply", the FieldsV1 format: `f:name` is
//! a field, `k:{..}` a list item by its keys, `v:..` a set's value, `.` the
//! item itself; a leaf is an empty map.

use serde_json::{Map, Value};

/// One manager's share of an object.
#[derive(Clone, Copy, Debug)]
pub struct Share<'a> {
    /// The field manager's name, such as `kubectl`.
    pub manager: &'a str,
    /// Whether it applies or updates.
    pub operation: Operation,
    /// The subresource it writes through, empty for the object itself.
    pub subresource: &'a str,
    /// The group and version that the fields are named in.
    pub api_version: &'a str,
    /// When it wrote last, RFC 3339.
    pub time: &'a str,
    /// The fields, in the form of `fieldsV1`.
    pub fields: &'a Value,
}

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Server-side apply: what it no longer sends is dropped.
    Apply,
    /// Any other write: create, update or patch.
    Update,
}

/// Every share of a live object.
pub fn shares(live: &Value) -> Vec<Share<'_>> {
    let share = |entry| Share {
        manager: text_of(entry, "manager"),
        operation: if text_of(entry, "operation") == "Apply" { Operation::Apply } else { Operation::Update },
        subresource: text_of(entry, "subresource"),
        api_version: text_of(entry, "apiVersion"),
        time: text_of(entry, "time"),
        fields: &entry["fieldsV1"],
    };
    live["metadata"]["managedFields"].as_array().map(|entries| entries.iter().map(share).collect()).unwrap_or_default()
}

fn text_of<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap_or_default()
}

/// What a manager applied, where it did.
pub fn applied_by<'a>(live: &'a Value, manager: &str) -> Option<Share<'a>> {
    shares(live)
        .into_iter()
        .find(|s| s.manager == manager && s.operation == Operation::Apply && s.subresource.is_empty())
}

/// Who owns the field at a path of plain keys, such as `["spec", "replicas"]`.
pub fn owners<'a>(live: &'a Value, path: &[&str]) -> Vec<Share<'a>> {
    let owns = |share: &Share| {
        let below = path.iter().try_fold(share.fields, |fields, key| fields.get(format!("f:{key}")));
        below.is_some()
    };
    shares(live).into_iter().filter(owns).collect()
}

/// The fields that a manager owns and that `desired` no longer names, as
/// paths for a person. Applying without them drops them.
pub fn dropped(fields: &Value, desired: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(fields, Some(desired), "", &mut found);
    found
}

fn walk(fields: &Value, desired: Option<&Value>, path: &str, found: &mut Vec<String>) {
    let Some(map) = fields.as_object() else { return };
    for (key, below) in map {
        if key == "." {
            continue;
        }
        let here = format!("{path}{}", spoken(key));
        match desired.and_then(|value| step(value, key)) {
            Some(value) => walk(below, Some(value), &here, found),
            None => found.push(here),
        }
    }
}

/// A key of FieldsV1 as people write paths.
fn spoken(key: &str) -> String {
    match key.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => match serde_json::from_str::<Map<String, Value>>(keys) {
            Ok(keys) => {
                let one = |(key, value): (&String, &Value)| format!("{key}={}", plain(value));
                format!("[{}]", keys.iter().map(one).collect::<Vec<_>>().join(","))
            }
            Err(_) => format!("[{keys}]"),
        },
        Some((_, rest)) => format!("[{rest}]"),
        None => format!(".{key}"),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// One step of FieldsV1 into a value.
fn step<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match key.split_once(':')? {
        ("f", name) => value.get(name),
        ("k", keys) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
            value.as_array()?.iter().find(|item| has_keys(item, &keys))
        }
        ("v", text) => {
            let wanted: Value = serde_json::from_str(text).ok()?;
            value.as_array()?.iter().find(|item| **item == wanted)
        }
        ("i", index) => value.get(index.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Whether an item of a list has these keys; `protocol` may be left to its default.
fn has_keys(item: &Value, keys: &Map<String, Value>) -> bool {
    keys.iter().all(|(key, value)| match item.get(key) {
        Some(found) => found == value,
        None => key == "protocol" && value == "TCP",
    })
}

/// Takes the fields of a share out of an object, and says how many there were.
pub fn take_out(object: &mut Value, fields: &Value) -> usize {
    let Some(map) = fields.as_object() else { return 0 };
    let mut taken = 0;
    for (key, below) in map {
        let leaf = below.as_object().is_none_or(|below| below.keys().all(|key| key == "."));
        taken += match key.split_once(':') {
            Some(("f", name)) if leaf => {
                usize::from(object.as_object_mut().is_some_and(|object| object.shift_remove(name).is_some()))
            }
            Some(("f", name)) => object.get_mut(name).map_or(0, |inner| take_out(inner, below)),
            Some(("k", keys)) => match serde_json::from_str::<Map<String, Value>>(keys) {
                Ok(keys) => take_out_of_list(object, &keys, below),
                Err(_) => 0,
            },
            _ => 0,
        };
    }
    taken
}

fn take_out_of_list(list: &mut Value, keys: &Map<String, Value>, below: &Value) -> usize {
    let Some(items) = list.as_array_mut() else { return 0 };
    let whole = below.get(".").is_some();
    let before = items.len();
    if whole {
        items.retain(|item| !has_keys(item, keys));
        return before - items.len();
    }
    items.iter_mut().filter(|item| has_keys(item, keys)).map(|item| take_out(item, below)).sum()
}

/// Unites two sets of fields.
pub fn union(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut both = a.clone();
            for (key, below) in b {
                let united = both.get(key).map_or_else(|| below.clone(), |above| union(above, below));
                both.insert(key.clone(), united);
            }
            Value::Object(both)
        }
        (Value::Null, other) | (other, _) => other.clone(),
    }
}

/// The managers whose work Bespin takes over with an application: what they
/// applied becomes ours, or a field that leaves git would stay for ever.
/// Source: kubernetes/client-go `csaupgrade`; argo-cd's client-side-apply migration.
const REPLACED: [&str; 4] =
    ["argocd-controller", "argocd-application-controller", "kubectl-client-side-apply", "kubectl"];

/// `managedFields` with the replaced managers' shares made `ours`, or `None`
/// where there is nothing to take over.
pub fn adopted(live: &Value, ours: &str) -> Option<Value> {
    let entries = live["metadata"]["managedFields"].as_array()?;
    let is_replaced = |entry: &Value| {
        let manager = text_of(entry, "manager");
        let applies = text_of(entry, "operation") == "Apply" || manager != "kubectl";
        REPLACED.contains(&manager) && applies && text_of(entry, "subresource").is_empty()
    };
    let (replaced, mut kept): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(|entry| is_replaced(entry));
    let newest = replaced.last()?;
    let position = kept.iter().position(|e| text_of(e, "manager") == ours && text_of(e, "operation") == "Apply");
    let mut mine = position.map_or_else(|| (*newest).clone(), |index| kept.remove(index).clone());
    for entry in &replaced {
        mine["fieldsV1"] = union(&mine["fieldsV1"], &entry["fieldsV1"]);
    }
    mine["manager"] = ours.into();
    mine["operation"] = "Apply".into();
    let all = std::iter::once(mine).chain(kept.into_iter().cloned()).collect();
    Some(Value::Array(all))
}

#[cfg(test)]
#[path = "fields/tests.rs"]
mod tests;
