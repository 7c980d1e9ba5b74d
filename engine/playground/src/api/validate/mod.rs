//! The checks that the API server makes on the kinds that are used: enough that a wrong manifest is refused here too.

mod amounts;
mod frozen;
mod pod;

use serde_json::Value;

use super::kind::Kind;
use super::refusal::{Cause, Refusal};
use super::select::Labels;

/// Checks an object that is to be created.
///
/// # Errors
/// 422 with every cause.
pub(super) fn create(kind: &Kind, object: &Value) -> Result<(), Refusal> {
    let mut causes = Vec::new();
    name(kind, object, &mut causes);
    content(kind, object, &mut causes);
    finish(kind, object, causes)
}

/// Checks an object that is to replace another.
///
/// # Errors
/// 422 with every cause.
pub(super) fn update(kind: &Kind, before: &Value, object: &Value) -> Result<(), Refusal> {
    let mut causes = Vec::new();
    // The real server's checks of a DaemonSet look at what changed first.
    if kind.kind == "DaemonSet" {
        frozen::check(kind, before, object, &mut causes);
        content(kind, object, &mut causes);
    } else {
        content(kind, object, &mut causes);
        if kind.kind == "Job" {
            job_selector(object, &mut causes);
        }
        frozen::check(kind, before, object, &mut causes);
    }
    finish(kind, object, causes)
}

fn finish(kind: &Kind, object: &Value, causes: Vec<Cause>) -> Result<(), Refusal> {
    match causes.is_empty() {
        true => Ok(()),
        false => Err(Refusal::invalid(kind, object["metadata"]["name"].as_str().unwrap_or_default(), causes)),
    }
}

/// A value with its fields in alphabetical order, as messages show it.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut all: Vec<(&String, &Value)> = map.iter().collect();
            all.sort_by_key(|(name, _)| *name);
            all.into_iter().map(|(name, inner)| (name.clone(), sorted(inner))).collect::<serde_json::Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn forbidden(field: &str, because: &str) -> Cause {
    Cause { reason: "FieldValueForbidden", message: format!("Forbidden: {because}"), field: field.into() }
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
        "Pod" => pod::check("spec", spec, causes),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => workload(&kind.kind, spec, causes),
        "Job" => job(spec, causes),
        "Service" => service(spec, causes),
        "PersistentVolumeClaim" => amounts::claim(spec, causes),
        "ResourceQuota" => amounts::quota(spec, causes),
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

fn workload(kind: &str, spec: &Value, causes: &mut Vec<Cause>) {
    let template = &spec["template"];
    let empty = |s: &Value| s.as_object().is_none_or(serde_json::Map::is_empty);
    if kind == "StatefulSet" && !matches!(spec["podManagementPolicy"].as_str(), Some("OrderedReady" | "Parallel")) {
        let because = "must be 'OrderedReady' or 'Parallel'";
        causes.push(wrong("spec.podManagementPolicy", &spec["podManagementPolicy"], because));
    }
    if spec["selector"].is_null() {
        causes.push(required("spec.selector"));
    } else if empty(&spec["selector"]) {
        let of = if kind == "ReplicaSet" { "deployment".into() } else { kind.to_lowercase() };
        causes.push(wrong("spec.selector", &spec["selector"], &format!("empty selector is invalid for {of}")));
    }
    selected(spec, causes);
    pod::check("spec.template.spec", &template["spec"], causes);
}

/// A selector matches the pods that are made beside it.
fn selected(spec: &Value, causes: &mut Vec<Cause>) {
    match Labels::of_spec(&spec["selector"]) {
        Some(labels) if !labels.matches(&spec["template"]) => unselected(spec, causes),
        _ => {}
    }
}

fn unselected(spec: &Value, causes: &mut Vec<Cause>) {
    let shown = sorted(spec["template"]["metadata"].get("labels").unwrap_or(&Value::Null));
    causes.push(wrong("spec.template.metadata.labels", &shown, "`selector` does not match template `labels`"));
}

fn job(spec: &Value, causes: &mut Vec<Cause>) {
    for field in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"] {
        if spec[field].as_i64().is_some_and(|n| n < 0) {
            causes.push(wrong(&format!("spec.{field}"), &spec[field], "must be greater than or equal to 0"));
        }
    }
    pod::check("spec.template.spec", &spec["template"]["spec"], causes);
    if spec["template"]["spec"]["restartPolicy"] == "Always" {
        let message = "Required value: valid values: \"OnFailure\", \"Never\"".into();
        causes.push(Cause { message, ..required("spec.template.spec.restartPolicy") });
    }
}

/// A Job's selector is given when it is created; afterwards it is its writer's to keep.
fn job_selector(job: &Value, causes: &mut Vec<Cause>) {
    let spec = &job["spec"];
    let Some(labels) = Labels::of_spec(&spec["selector"]) else {
        causes.push(required("spec.selector"));
        return unselected(spec, causes);
    };
    let given = serde_json::json!({"batch.kubernetes.io/controller-uid": job["metadata"]["uid"]});
    if spec["manualSelector"] != true && spec["selector"] != serde_json::json!({"matchLabels": given}) {
        causes.push(wrong("spec.selector", &sorted(&spec["selector"]), "`selector` not auto-generated"));
    }
    if !labels.matches(&spec["template"]) {
        unselected(spec, causes);
    }
}

fn service(spec: &Value, causes: &mut Vec<Cause>) {
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    if ports.is_empty() && spec["type"] != "ExternalName" && spec["clusterIP"] != "None" {
        causes.push(required("spec.ports"));
    }
    if spec["type"] == "ExternalName" && spec["externalName"].as_str().is_none_or(str::is_empty) {
        causes.push(required("spec.externalName"));
    }
    for (at, port) in ports.iter().enumerate() {
        let in_range = |field: &str, causes: &mut Vec<Cause>| {
            let value = &port[field];
            if value.as_i64().is_none_or(|p| !(1..=65535).contains(&p)) && !value.is_string() {
                let because = "must be between 1 and 65535, inclusive";
                causes.push(wrong(&format!("spec.ports[{at}].{field}"), value, because));
            }
        };
        if ports.len() > 1 && port["name"].as_str().is_none_or(str::is_empty) {
            causes.push(required(&format!("spec.ports[{at}].name")));
        }
        in_range("port", causes);
        if !port["targetPort"].is_null() {
            in_range("targetPort", causes);
        }
    }
    one_of(spec, "sessionAffinity", &["ClientIP", "None"], causes);
    one_of(spec, "type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], causes);
}

fn one_of(spec: &Value, field: &str, known: &[&str], causes: &mut Vec<Cause>) {
    if let Some(found) = spec[field].as_str().filter(|found| !known.contains(found)) {
        let known: Vec<String> = known.iter().map(|value| format!("{value:?}")).collect();
        causes.push(Cause {
            reason: "FieldValueNotSupported",
            message: format!("Unsupported value: {found:?}: supported values: {}", known.join(", ")),
            field: format!("spec.{field}"),
        });
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
    for (at, metric) in spec["metrics"].as_array().into_iter().flatten().enumerate() {
        amounts::metric(at, metric, causes);
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
