//! Compares what git names with what lives, only on the fields that git names.
//!
//! The server adds defaults and other managers add fields; neither is a
//! difference. A field that we applied and git no longer names is one.

use super::object::is_built_in;
use super::quantity;
use serde_json::{Map, Value};

/// One field that is not as git says.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The path within the object, such as `.spec.template.spec.containers[name=was].image`.
    pub path: String,
    /// What git says, nothing where it no longer names the field.
    pub desired: Value,
    /// What lives, nothing where it is missing.
    pub live: Value,
}

/// How a kind's fields are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schema {
    /// Kubernetes' own kinds: lists merge by key, zero values are left out of answers.
    BuiltIn,
    /// Custom resources: a list is one value.
    Custom,
}

/// Every difference of an object of this API group.
pub fn compare(group: &str, desired: &Value, live: &Value) -> Vec<Difference> {
    let schema = if is_built_in(group) { Schema::BuiltIn } else { Schema::Custom };
    let mut walk = Walk { schema, found: Vec::new() };
    walk.values(desired, Some(live), "", "");
    walk.found
}

struct Walk {
    schema: Schema,
    found: Vec<Difference>,
}

impl Walk {
    fn values(&mut self, desired: &Value, live: Option<&Value>, path: &str, key: &str) {
        let live_or_null = live.unwrap_or(&Value::Null);
        match (desired, live_or_null) {
            (desired, live) if is_nothing(desired) && is_nothing(live) => {}
            (Value::Object(desired), Value::Object(live)) => {
                for (name, value) in desired {
                    self.values(value, live.get(name), &format!("{path}.{name}"), name);
                }
            }
            (Value::Object(desired), Value::Null) if is_only_nothing(desired) => {}
            (Value::Array(desired), Value::Array(live)) => self.lists(desired, live, path, key),
            (desired, live) if same_scalar(desired, live, path) => {}
            (desired, Value::Null) if self.schema == Schema::BuiltIn && is_zero(desired) => {}
            (desired, live) => self.differ(path, desired, live),
        }
    }

    fn lists(&mut self, desired: &[Value], live: &[Value], path: &str, key: &str) {
        let keys = merge_keys(key, desired, live);
        if self.schema == Schema::BuiltIn
            && let Some(keys) = keys
        {
            for item in desired {
                let here = format!("{path}[{}]", spoken_keys(item, keys));
                match live.iter().find(|found| same_keys(item, found, keys)) {
                    Some(found) => self.values(item, Some(found), &here, key),
                    None => self.differ(&here, item, &Value::Null),
                }
            }
            return;
        }
        let same = match is_set(key) {
            true => {
                desired.len() == live.len()
                    && desired.iter().all(|item| live.iter().any(|found| exact(item, found, path)))
            }
            false => {
                desired.len() == live.len() && desired.iter().zip(live).all(|(item, found)| exact(item, found, path))
            }
        };
        if !same {
            self.differ(path, &Value::from(desired.to_vec()), &Value::from(live.to_vec()));
        }
    }

    fn differ(&mut self, path: &str, desired: &Value, live: &Value) {
        self.found.push(Difference { path: path.to_owned(), desired: desired.clone(), live: live.clone() });
    }
}

/// Compares within a list that is one value: nothing may be there that git
/// does not name, but for what the server itself fills in.
fn exact(desired: &Value, live: &Value, path: &str) -> bool {
    match (desired, live) {
        (desired, live) if is_nothing(desired) && is_nothing(live) => true,
        (Value::Object(desired), Value::Object(live)) => {
            let named = desired.iter().all(|(key, value)| match live.get(key) {
                Some(found) => exact(value, found, &format!("{path}.{key}")),
                None => is_nothing(value) || is_zero(value),
            });
            named
                && live
                    .iter()
                    .all(|(key, value)| desired.contains_key(key) || is_nothing(value) || is_default(key, value))
        }
        (Value::Array(desired), Value::Array(live)) => {
            desired.len() == live.len() && desired.iter().zip(live).all(|(a, b)| exact(a, b, path))
        }
        (desired, live) => same_scalar(desired, live, path),
    }
}

/// What the server fills into list items. Source: the defaults of the
/// Kubernetes API types (core/v1, networking/v1, apps/v1).
fn is_default(key: &str, value: &Value) -> bool {
    match key {
        "protocol" => value == "TCP",
        "volumeMode" => value == "Filesystem",
        "apiVersion" => value == "v1",
        "kind" => value == "PersistentVolumeClaim",
        "status" => true,
        "imagePullPolicy" => value == "IfNotPresent" || value == "Always",
        "terminationMessagePath" => value == "/dev/termination-log",
        "terminationMessagePolicy" => value == "File",
        "defaultMode" => value == 420,
        _ => false,
    }
}

/// The keys by which a list of Kubernetes' own kinds merges, where it does.
/// Source: `patchMergeKey` and `listMapKey` of the API types.
fn merge_keys(list: &str, desired: &[Value], live: &[Value]) -> Option<&'static [&'static str]> {
    let all_have = |key: &str| desired.iter().chain(live).all(|item| item.get(key).is_some());
    let keys: &'static [&'static str] = match list {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "secrets"
        | "resourceClaims" => &["name"],
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "hostAliases" => &["ip"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        "ports" if all_have("containerPort") => &["containerPort", "protocol"],
        "ports"
            if all_have("port") && !all_have("endPort") && live.iter().all(|item| item.get("targetPort").is_some()) =>
        {
            &["port", "protocol"]
        }
        _ => return None,
    };
    Some(keys)
}

/// Lists whose order the server changes. HPA: argo-cd's note on `spec.metrics`.
fn is_set(list: &str) -> bool {
    matches!(list, "metrics" | "finalizers" | "accessModes")
}

fn same_keys(a: &Value, b: &Value, keys: &[&str]) -> bool {
    let of = |item: &Value, key: &str| match item.get(key) {
        None if key == "protocol" => Value::from("TCP"),
        found => found.cloned().unwrap_or_default(),
    };
    keys.iter().all(|key| of(a, key) == of(b, key))
}

fn spoken_keys(item: &Value, keys: &[&str]) -> String {
    let spoken = |key: &&str| {
        let value = item.get(*key)?;
        Some(format!("{key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    };
    keys.iter().filter_map(spoken).collect::<Vec<_>>().join(",")
}

fn same_scalar(desired: &Value, live: &Value, path: &str) -> bool {
    if desired == live {
        return true;
    }
    if let (Some(a), Some(b)) = (desired.as_f64(), live.as_f64()) {
        return a == b;
    }
    holds_quantities(path) && quantity::same(desired, live)
}

/// Whether the field is a quantity, which has many spellings.
fn holds_quantities(path: &str) -> bool {
    const BELOW: [&str; 11] = [
        ".requests.",
        ".limits.",
        ".capacity.",
        ".hard.",
        ".default.",
        ".defaultRequest.",
        ".max.",
        ".min.",
        ".maxLimitRequestRatio.",
        ".overhead.",
        ".allocatable.",
    ];
    const ENDS: [&str; 4] = [".sizeLimit", ".averageValue", ".divisor", ".target.value"];
    BELOW.iter().any(|part| path.contains(part)) || ENDS.iter().any(|end| path.ends_with(end))
}

/// Null, `{}` and `[]` mean the same to the server: nothing is said.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn is_only_nothing(map: &Map<String, Value>) -> bool {
    map.values().all(|value| match value {
        Value::Object(map) => is_only_nothing(map),
        other => is_nothing(other),
    })
}

/// The zero of its type, which Kubernetes' own kinds leave out of answers.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        other => is_nothing(other),
    }
}

#[cfg(test)]
#[path = "diff/tests.rs"]
mod tests;
