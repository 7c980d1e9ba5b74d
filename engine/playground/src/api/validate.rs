//! The checks that the API server makes on the kinds that are used: enough that a wrong manifest is refused here too.

use serde_json::Value;

use super::kind::Kind;
use super::refusal::{Cause, Refusal};
use super::select::Labels;

/// Checks an object that is to be created.
///
/// # Errors
/// 422 with every cause.
pub fn create(kind: &Kind, object: &Value) -> Result<(), Refusal> {
    let mut causes = Vec::new();
    name(kind, object, &mut causes);
    content(kind, object, &mut causes);
    finish(kind, object, causes)
}

/// Checks an object that is to replace another.
///
/// # Errors
/// 422 with every cause.
pub fn update(kind: &Kind, before: &Value, object: &Value) -> Result<(), Refusal> {
    let mut causes = Vec::new();
    content(kind, object, &mut causes);
    let frozen: &[&str] = match kind.kind.as_str() {
        "Deployment" | "ReplicaSet" | "DaemonSet" => &["/spec/selector"],
        "StatefulSet" => &["/spec/selector", "/spec/serviceName"],
        "Job" => &["/spec/selector", "/spec/template"],
        "Service" if before["spec"]["type"] == object["spec"]["type"] => &["/spec/clusterIP"],
        "RoleBinding" | "ClusterRoleBinding" => &["/roleRef"],
        _ => &[],
    };
    for pointer in frozen {
        let (old, new) = (before.pointer(pointer), object.pointer(pointer));
        if old != new {
            let shown = new.unwrap_or(&Value::Null);
            causes.push(Cause {
                reason: "FieldValueInvalid",
                message: format!("Invalid value: {shown}: field is immutable"),
                field: pointer[1..].replace('/', "."),
            });
        }
    }
    finish(kind, object, causes)
}

fn finish(kind: &Kind, object: &Value, causes: Vec<Cause>) -> Result<(), Refusal> {
    match causes.is_empty() {
        true => Ok(()),
        false => Err(Refusal::invalid(kind, object["metadata"]["name"].as_str().unwrap_or_default(), causes)),
    }
}

fn required(field: &str) -> Cause {
    Cause { reason: "FieldValueRequired", message: "Required value".into(), field: field.into() }
}

fn wrong(field: &str, value: &Value, because: &str) -> Cause {
    let message = format!("Invalid value: {value}: {because}");
    Cause { reason: "FieldValueInvalid", message, field: field.into() }
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

fn name(kind: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        causes.push(Cause {
            reason: "FieldValueRequired",
            message: "Required value: name or generateName is required".into(),
            field: "metadata.name".into(),
        });
        return;
    }
    // Names in this group are path segments: roles are called `system:...`.
    if kind.group == "rbac.authorization.k8s.io" {
        return;
    }
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let part = |p: &str| !p.is_empty() && p.chars().all(inner) && !p.starts_with('-') && !p.ends_with('-');
    if name.len() > 253 || !name.split('.').all(part) {
        causes.push(wrong("metadata.name", &object["metadata"]["name"], SUBDOMAIN));
    }
}

fn content(kind: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    match kind.kind.as_str() {
        "Pod" => pod("spec", spec, causes),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => workload(spec, causes),
        "Job" => pod("spec.template.spec", &spec["template"]["spec"], causes),
        "Service" => service(spec, causes),
        "HorizontalPodAutoscaler" => autoscaler(spec, causes),
        "CustomResourceDefinition" => definition(object, causes),
        "RoleBinding" | "ClusterRoleBinding" if object["roleRef"]["name"].is_null() => {
            causes.push(required("roleRef.name"));
        }
        _ => {}
    }
    if let Some(replicas) = spec["replicas"].as_i64().filter(|_| !kind.custom)
        && replicas < 0
    {
        causes.push(wrong("spec.replicas", &spec["replicas"], "must be greater than or equal to 0"));
    }
}

fn pod(path: &str, spec: &Value, causes: &mut Vec<Cause>) {
    let containers = spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if containers.is_empty() {
        causes.push(required(&format!("{path}.containers")));
    }
    let mut names = Vec::new();
    for (at, container) in containers.iter().enumerate() {
        let field = |name: &str| format!("{path}.containers[{at}].{name}");
        match container["name"].as_str() {
            None | Some("") => causes.push(required(&field("name"))),
            Some(name) if names.contains(&name) => causes.push(Cause {
                reason: "FieldValueDuplicate",
                message: format!("Duplicate value: {name:?}"),
                field: field("name"),
            }),
            Some(name) => names.push(name),
        }
        if container["image"].as_str().is_none_or(str::is_empty) {
            causes.push(required(&field("image")));
        }
    }
}

fn workload(spec: &Value, causes: &mut Vec<Cause>) {
    let template = &spec["template"];
    let empty = |s: &Value| s.as_object().is_none_or(serde_json::Map::is_empty);
    if spec["selector"].is_null() {
        causes.push(required("spec.selector"));
    } else if empty(&spec["selector"]) {
        causes.push(wrong("spec.selector", &spec["selector"], "empty selector is invalid for deployment"));
    }
    match Labels::of_spec(&spec["selector"]) {
        Some(labels) if !labels.matches(template) => {
            let shown = template["metadata"].get("labels").unwrap_or(&Value::Null);
            causes.push(wrong("spec.template.metadata.labels", shown, "`selector` does not match template `labels`"));
        }
        _ => {}
    }
    pod("spec.template.spec", &template["spec"], causes);
}

fn service(spec: &Value, causes: &mut Vec<Cause>) {
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    if ports.is_empty() && spec["type"] != "ExternalName" && spec["clusterIP"] != "None" {
        causes.push(required("spec.ports"));
    }
    for (at, port) in ports.iter().enumerate() {
        if !port["port"].as_i64().is_some_and(|p| (1..=65535).contains(&p)) {
            let because = "must be between 1 and 65535, inclusive";
            causes.push(wrong(&format!("spec.ports[{at}].port"), &port["port"], because));
        }
        if ports.len() > 1 && port["name"].as_str().is_none_or(str::is_empty) {
            causes.push(required(&format!("spec.ports[{at}].name")));
        }
    }
}

fn autoscaler(spec: &Value, causes: &mut Vec<Cause>) {
    for field in ["kind", "name"] {
        if spec["scaleTargetRef"][field].as_str().is_none_or(str::is_empty) {
            causes.push(required(&format!("spec.scaleTargetRef.{field}")));
        }
    }
    if spec["scaleTargetRef"]["apiVersion"].as_str().is_none_or(str::is_empty) {
        let field = "spec.scaleTargetRef.apiVersion";
        causes.push(wrong(field, &Value::String(String::new()), "apiVersion must specify API group"));
    }
    match (spec["minReplicas"].as_i64().unwrap_or(1), spec["maxReplicas"].as_i64()) {
        (_, None | Some(..1)) => {
            causes.push(wrong("spec.maxReplicas", &spec["maxReplicas"], "must be greater than 0"));
        }
        (least, Some(most)) if most < least => {
            let because = "must be greater than or equal to `minReplicas`";
            causes.push(wrong("spec.maxReplicas", &spec["maxReplicas"], because));
        }
        _ => {}
    }
}

fn definition(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    for field in ["/group", "/names/plural", "/names/kind", "/scope"] {
        if spec.pointer(field).and_then(Value::as_str).is_none_or(str::is_empty) {
            causes.push(required(&format!("spec{}", field.replace('/', "."))));
        }
    }
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let wanted = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
    if object["metadata"]["name"].as_str() != Some(wanted.as_str()) {
        causes.push(wrong("metadata.name", &object["metadata"]["name"], "must be spec.names.plural+\".\"+spec.group"));
    }
    for (at, version) in spec["versions"].as_array().into_iter().flatten().enumerate() {
        if version["schema"]["openAPIV3Schema"].is_null() {
            causes.push(Cause {
                reason: "FieldValueRequired",
                message: "Required value: schemas are required".into(),
                field: format!("spec.versions[{at}].schema.openAPIV3Schema"),
            });
        }
    }
    if spec["versions"].as_array().is_none_or(Vec::is_empty) {
        causes.push(required("spec.versions"));
    }
}
