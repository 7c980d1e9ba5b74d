//! The scale subresource: one number of an object, seen as an `autoscaling/v1` Scale.

use serde_json::{Map, Value, json};

use super::incoming;
use super::kind::Kind;
use super::refusal::Refusal;
use super::select::Labels;

/// The Scale of an object.
pub(super) fn view(kind: &Kind, object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {},
        "status": {},
    });
    let Some(paths) = &kind.scale else {
        return scale;
    };
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    scale["spec"]["replicas"] = number(&paths.replicas).into();
    scale["status"]["replicas"] = number(&paths.observed).into();
    let selector = paths.selector.as_deref().and_then(|pointer| object.pointer(pointer));
    match selector {
        Some(Value::String(text)) => scale["status"]["selector"] = text.as_str().into(),
        Some(spec) => {
            if let Some(labels) = Labels::of_spec(spec) {
                scale["status"]["selector"] = labels.to_string().into();
            }
        }
        None => {}
    }
    scale
}

/// The number that a sent Scale asks for.
///
/// # Errors
/// 409 when it rests on another version, 422 when it is no number from 0 up.
pub(super) fn wanted(kind: &Kind, name: &str, live: &Value, scale: &Value) -> Result<i64, Refusal> {
    incoming::check_version(kind, name, live, scale)?;
    let replicas = scale["spec"].get("replicas").cloned().unwrap_or_else(|| json!(0));
    match replicas.as_i64() {
        Some(n) if n >= 0 => Ok(n),
        _ => {
            let message = format!("Invalid value: {replicas}: must be greater than or equal to 0");
            Err(incoming::invalid_field(kind, name, "spec.replicas", message))
        }
    }
}

/// The object with another number.
pub(super) fn with_replicas(kind: &Kind, object: &Value, replicas: i64) -> Value {
    let mut new = object.clone();
    if let Some(paths) = &kind.scale {
        set(&mut new, &paths.replicas, replicas.into());
    }
    new
}

/// An applied Scale as a configuration of the object itself.
///
/// # Errors
/// As [`wanted`].
pub(super) fn as_config(kind: &Kind, live: &Value, scale: &Value) -> Result<Value, Refusal> {
    let name = live["metadata"]["name"].as_str().unwrap_or_default();
    let mut config = json!({"metadata": {}});
    if let (Some(paths), Some(_)) = (&kind.scale, scale["spec"].get("replicas")) {
        set(&mut config, &paths.replicas, wanted(kind, name, live, scale)?.into());
    }
    Ok(config)
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for step in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[step];
    }
    *at = value;
}
