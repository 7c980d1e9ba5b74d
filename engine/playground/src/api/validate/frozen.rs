//! What may not change once it is there.

use serde_json::{Value, json};

use super::{forbidden, sorted, wrong};
use crate::api::kind::Kind;
use crate::api::quantity::Quantity;
use crate::api::refusal::Cause;

const SEALED: &str = "field is immutable when `immutable` is set";
const STATEFUL: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
const CLAIMED: &str =
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
const POD: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Finds what a write would change in vain.
pub(super) fn check(kind: &Kind, before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    let mut same = |pointers: &[&str]| pointers.iter().for_each(|pointer| fixed(before, after, pointer, causes));
    match kind.kind.as_str() {
        "Deployment" | "ReplicaSet" | "DaemonSet" => same(&["/spec/selector"]),
        "Job" => same(&["/spec/completions", "/spec/selector", "/spec/template", "/spec/completionMode"]),
        "StatefulSet" => stateful_set(&before["spec"], &after["spec"], causes),
        "Service" => service(&before["spec"], &after["spec"], causes),
        "PersistentVolumeClaim" => claim(before, after, causes),
        "Secret" | "ConfigMap" => sealed(kind, before, after, causes),
        "Pod" => pod(&before["spec"], &after["spec"], causes),
        "RoleBinding" | "ClusterRoleBinding" if before["roleRef"] != after["roleRef"] => {
            let role = &after["roleRef"];
            let shown = json!({"APIGroup": role["apiGroup"], "Kind": role["kind"], "Name": role["name"]});
            causes.push(wrong("roleRef", &shown, "cannot change roleRef"));
        }
        _ => {}
    }
}

fn fixed(before: &Value, after: &Value, pointer: &str, causes: &mut Vec<Cause>) {
    let new = after.pointer(pointer).unwrap_or(&Value::Null);
    if before.pointer(pointer).unwrap_or(&Value::Null) != new {
        causes.push(wrong(&pointer[1..].replace('/', "."), &sorted(new), "field is immutable"));
    }
}

fn without(spec: &Value, fields: &[&str]) -> Value {
    let mut spec = spec.clone();
    if let Some(map) = spec.as_object_mut() {
        map.retain(|field, _| !fields.contains(&field.as_str()));
    }
    spec
}

fn stateful_set(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    let free = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    if without(before, &free) != without(after, &free) {
        causes.push(forbidden("spec", STATEFUL));
    }
}

/// A Service that keeps an address keeps the one it has; one that becomes a name elsewhere gives it up.
fn service(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    let (old, new) = (&before["clusterIPs"], &after["clusterIPs"]);
    let elsewhere = before["type"] == "ExternalName" || after["type"] == "ExternalName";
    if !elsewhere && old[0] != new[0] {
        causes.push(wrong("spec.clusterIPs[0]", new, "may not change once set"));
    }
}

fn claim(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    let bound = before["status"]["phase"] == "Bound";
    let (mut old, mut new) = (before["spec"].clone(), after["spec"].clone());
    for field in ["volumeName", "storageClassName", "volumeAttributesClassName"] {
        let may_change = if field == "volumeAttributesClassName" { bound } else { old[field].is_null() };
        if may_change && !new[field].is_null() {
            old[field] = new[field].clone();
        }
    }
    let storage = |spec: &Value| Quantity::parse(spec["resources"]["requests"]["storage"].as_str().unwrap_or("0")).ok();
    let smaller = storage(&new) < storage(&old);
    if bound && new["resources"]["requests"].is_object() {
        new["resources"]["requests"]["storage"] = old["resources"]["requests"]["storage"].clone();
    }
    if old != new {
        causes.push(forbidden("spec", CLAIMED));
    }
    let capacity = Quantity::parse(before["status"]["capacity"]["storage"].as_str().unwrap_or("0")).ok();
    if smaller && storage(&after["spec"]) <= capacity {
        causes.push(forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"));
    }
    let mode = &after["spec"]["volumeMode"];
    if &before["spec"]["volumeMode"] != mode {
        causes.push(wrong("volumeMode", mode, "field is immutable"));
    }
}

fn sealed(kind: &Kind, before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    if kind.kind == "Secret" {
        fixed(before, after, "/type", causes);
    }
    if before["immutable"] != true {
        return;
    }
    let fields: &[&str] = if kind.kind == "Secret" { &["data"] } else { &["data", "binaryData"] };
    if after["immutable"] != true {
        causes.push(forbidden("immutable", SEALED));
    }
    causes
        .extend(fields.iter().filter(|field| before[**field] != after[**field]).map(|field| forbidden(field, SEALED)));
}

fn pod(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    let count = |spec: &Value| spec["containers"].as_array().map_or(0, Vec::len);
    if count(before) != count(after) {
        return causes.push(forbidden("spec.containers", "pod updates may not add or remove containers"));
    }
    let (old, new) = (&before["activeDeadlineSeconds"], &after["activeDeadlineSeconds"]);
    if new.as_i64() > old.as_i64() && !old.is_null() {
        return causes.push(wrong("spec.activeDeadlineSeconds", new, "must be less than or equal to previous value"));
    }
    let plain = |spec: &Value| {
        let mut spec = without(spec, &["activeDeadlineSeconds", "schedulingGates", "tolerations"]);
        for list in ["containers", "initContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                container["image"] = Value::Null;
                container["imagePullPolicy"] = Value::Null;
            }
        }
        spec
    };
    if plain(before) != plain(after) {
        causes.push(forbidden("spec", POD));
    }
}
