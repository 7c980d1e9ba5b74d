//! What happens to an object between the request and the store: identity, the fields that the server keeps, and what
//! the server allots.

use serde_json::{Value, json};

use super::birth::TEMPLATE_GENERATION;
use super::kind::Kind;
use super::part::Part;
use super::patch;
use super::refusal::{Cause, Refusal};

/// Checks that the object is of the kind, the namespace and the name of the address.
///
/// # Errors
/// 400.
pub(super) fn object(kind: &Kind, namespace: &str, name: Option<&str>, mut object: Value) -> Result<Value, Refusal> {
    if !object.is_object() {
        return Err(Refusal::bad_request("the object provided is unrecognized: it is no object"));
    }
    for (field, wanted) in [("apiVersion", kind.api_version()), ("kind", kind.kind.clone())] {
        match object[field].as_str() {
            Some(found) if found != wanted && field == "kind" && !kind.custom => {
                let package = kind.group.split('.').next().filter(|g| !g.is_empty()).unwrap_or("core");
                return Err(Refusal::bad_request(format!(
                    "{found} in version {:?} cannot be handled as a {wanted}: converting ({}.{found}) to \
                     ({package}.{wanted}): unknown conversion",
                    kind.version, kind.version
                )));
            }
            Some(found) if found != wanted => {
                return Err(Refusal::bad_request(format!(
                    "the {field} in the data ({found}) does not match the expected {field} ({wanted})"
                )));
            }
            _ => object[field] = wanted.into(),
        }
    }
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    let metadata = &mut object["metadata"];
    if kind.namespaced() {
        match metadata["namespace"].as_str() {
            Some(found) if !found.is_empty() && found != namespace => {
                return Err(Refusal::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
            _ => metadata["namespace"] = namespace.into(),
        }
    } else if let Some(map) = metadata.as_object_mut() {
        map.remove("namespace");
    }
    if let Some(name) = name {
        match metadata["name"].as_str() {
            Some(found) if found != name => {
                return Err(Refusal::bad_request(format!(
                    "the name of the object ({found}) does not match the name on the URL ({name})"
                )));
            }
            _ => metadata["name"] = name.into(),
        }
    }
    Ok(object)
}

/// The configuration of an apply: of the right identity, without nulls, and only the part that it is about.
///
/// # Errors
/// 400.
pub(super) fn config(kind: &Kind, namespace: &str, name: &str, part: Part, config: Value) -> Result<Value, Refusal> {
    for field in ["apiVersion", "kind"] {
        if config[field].as_str().is_none_or(str::is_empty) {
            return Err(Refusal::bad_request(format!(
                "invalid object type: {field} must be set in the applied object"
            )));
        }
    }
    let mut config = object(kind, namespace, Some(name), config)?;
    patch::without_nulls(&mut config);
    if let Some(map) = config.as_object_mut() {
        match part {
            Part::Status => {
                map.retain(|field, _| ["apiVersion", "kind", "metadata", "status"].contains(&field.as_str()))
            }
            _ if kind.status => {
                map.remove("status");
            }
            _ => {}
        }
    }
    Ok(config)
}

/// Takes out nulls as decoding into a typed object does; the times of a pod's conditions are null rather than absent.
pub(super) fn plain(kind: &Kind, object: &mut Value) {
    patch::without_nulls(object);
    if kind.kind == "Pod" {
        for list in ["containerStatuses", "initContainerStatuses"] {
            for status in object["status"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                put_empty(status, &["state", "lastState"], &json!({}));
            }
        }
    }
    if kind.kind == "Event" && kind.group.is_empty() {
        put_empty(object, &["eventTime"], &Value::Null);
        put_empty(object, &["reportingComponent", "reportingInstance"], &json!(""));
    }
    if kind.kind == "Pod" && object["status"]["conditions"].is_array() {
        for condition in object["status"]["conditions"].as_array_mut().into_iter().flatten() {
            if let Some(fields) = condition.as_object_mut() {
                fields.entry("lastProbeTime").or_insert(Value::Null);
                fields.entry("lastTransitionTime").or_insert(Value::Null);
            }
        }
    }
}

/// Writes what a typed object writes even when it is empty.
fn put_empty(object: &mut Value, fields: &[&str], empty: &Value) {
    if let Some(map) = object.as_object_mut() {
        for field in fields {
            map.entry(*field).or_insert_with(|| empty.clone());
        }
    }
}

/// Refuses a write that rests on another version.
///
/// # Errors
/// 409.
pub(super) fn check_version(kind: &Kind, name: &str, live: &Value, new: &Value) -> Result<(), Refusal> {
    match new["metadata"]["resourceVersion"].as_str() {
        Some(version) if !version.is_empty() && Some(version) != live["metadata"]["resourceVersion"].as_str() => {
            Err(Refusal::stale(kind, name))
        }
        _ => Ok(()),
    }
}

/// The uid that a write names, when it is another than the object's.
pub(super) fn other_uid<'v>(live: &Value, new: &'v Value) -> Option<&'v str> {
    let asked = new["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty())?;
    (Some(asked) != live["metadata"]["uid"].as_str()).then_some(asked)
}

/// The metadata that only the server writes.
const SERVER_METADATA: [&str; 7] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];

/// Puts back metadata as the live object has it.
fn put_back(live: &Value, new: &mut Value, fields: &[&str]) {
    for field in fields {
        match live["metadata"].get(field) {
            Some(value) => new["metadata"][*field] = value.clone(),
            None => {
                if let Some(map) = new["metadata"].as_object_mut() {
                    map.shift_remove(*field);
                }
            }
        }
    }
}

/// A Service that stays reachable in the cluster keeps its addresses; the first of several follows the single one.
fn keep_addresses(live: &Value, new: &mut Value) {
    if live["type"] == "ExternalName" || new["type"] == "ExternalName" {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if new[field].is_null() && !live[field].is_null() {
            new[field] = live[field].clone();
        }
    }
    if new["clusterIP"] != live["clusterIP"] && new["clusterIPs"] == live["clusterIPs"] {
        new["clusterIPs"] = json!([new["clusterIP"]]);
    }
}

/// Puts back what a write through this part may not change.
pub(super) fn keep_server_fields(kind: &Kind, live: &Value, new: &mut Value, part: Part) {
    put_back(live, new, &SERVER_METADATA);
    if kind.kind == "DaemonSet" {
        let before = live["metadata"]["annotations"][TEMPLATE_GENERATION].as_str().and_then(|n| n.parse().ok());
        let changed = i64::from(new["spec"]["template"] != live["spec"]["template"]);
        new["metadata"]["annotations"][TEMPLATE_GENERATION] = (before.unwrap_or(1) + changed).to_string().into();
    }
    if kind.kind == "Service" {
        keep_addresses(&live["spec"], &mut new["spec"]);
    }
    let keep = |new: &mut Value, field: &str| match live.get(field) {
        Some(value) => new[field] = value.clone(),
        None => {
            if let Some(map) = new.as_object_mut() {
                map.shift_remove(field);
            }
        }
    };
    match part {
        Part::Status if kind.custom => {
            let status = new.get("status").cloned();
            let managed = new["metadata"].get("managedFields").cloned();
            *new = live.clone();
            match status {
                Some(status) => new["status"] = status,
                None => {
                    if let Some(map) = new.as_object_mut() {
                        map.shift_remove("status");
                    }
                }
            }
            if let Some(managed) = managed {
                new["metadata"]["managedFields"] = managed;
            }
        }
        Part::Status => {
            keep(new, "spec");
            put_back(live, new, &["labels", "ownerReferences"]);
        }
        Part::Whole | Part::Scale if kind.status => keep(new, "status"),
        Part::Whole | Part::Scale => {}
    }
}

/// Whether a write changed nothing but when managers wrote last: then nothing is written.
pub(super) fn only_times_differ(live: &Value, new: &Value) -> bool {
    let untimed = |object: &Value| {
        let mut metadata = object["metadata"].clone();
        for entry in metadata["managedFields"].as_array_mut().into_iter().flatten() {
            if let Some(map) = entry.as_object_mut() {
                map.shift_remove("time");
            }
        }
        metadata
    };
    let rest = |object: &Value, other: &Value| {
        let mut fields = object.as_object().into_iter().flatten();
        fields.all(|(name, value)| name == "metadata" || other.get(name) == Some(value))
    };
    live == new || (rest(live, new) && rest(new, live) && untimed(live) == untimed(new))
}

/// Whether a write changed what the object asks for: then its generation rises.
pub(super) fn intent_changed(kind: &Kind, live: &Value, new: &Value) -> bool {
    let ignored = |field: &str| field == "metadata" || (field == "status" && (kind.status || !kind.custom));
    let part = |object: &Value| -> serde_json::Map<String, Value> {
        let map = object.as_object().cloned().unwrap_or_default();
        map.into_iter().filter(|(field, _)| !ignored(field)).collect()
    };
    part(live) != part(new)
}

/// Whether an object that is being deleted has nothing left that holds it.
pub(super) fn may_go(kind: &Kind, object: &Value) -> bool {
    let metadata = &object["metadata"];
    let empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    metadata["deletionTimestamp"].is_string()
        && empty(&metadata["finalizers"])
        && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && (kind.kind != "Namespace" || empty(&object["spec"]["finalizers"]))
}

/// 422 for one field.
pub(super) fn invalid_field(kind: &Kind, name: &str, field: &str, message: String) -> Refusal {
    Refusal::invalid(kind, name, vec![Cause { reason: "FieldValueInvalid", message, field: field.into() }])
}
