//! The defaults of volumes and of what limits resources.

use serde_json::{Value, json};

use super::kind::Kind;
use super::put::{items, put};

/// Fills in what a volume, a claim or a class of volumes leaves open.
pub(super) fn fill(kind: &Kind, object: &mut Value) {
    match kind.kind.as_str() {
        "PersistentVolumeClaim" => put(&mut object["spec"], "volumeMode", json!("Filesystem")),
        "PersistentVolume" => {
            let spec = &mut object["spec"];
            put(spec, "volumeMode", json!("Filesystem"));
            put(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
            if let Some(path) = spec.get_mut("hostPath").filter(|path| path.is_object()) {
                put(path, "type", json!(""));
            }
        }
        _ => {
            put(object, "reclaimPolicy", json!("Delete"));
            put(object, "volumeBindingMode", json!("Immediate"));
        }
    }
}

/// A container may have by default what it may have at most, and asks by default for what it may have by default.
pub(super) fn limit_range(object: &mut Value) {
    for item in items(&mut object["spec"], "limits") {
        if item["type"] != "Container" {
            continue;
        }
        let copy = |item: &mut Value, from: &str, to: &str| {
            for (name, value) in item[from].as_object().cloned().unwrap_or_default() {
                put(item, to, json!({}));
                put(&mut item[to], &name, value);
            }
        };
        copy(item, "max", "default");
        copy(item, "default", "defaultRequest");
        copy(item, "min", "defaultRequest");
    }
}
