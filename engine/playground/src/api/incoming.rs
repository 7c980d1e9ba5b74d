//! What happens to an object between the request and the store: identity, the fields that the server keeps, and what
//! the server allots.

use serde_json::{Value, json};

use super::clock;
use super::kind::Kind;
use super::patch;
use super::refusal::{Cause, Refusal};
use super::store::Store;
use super::write::Part;

/// A version 4 UUID.
pub fn uuid() -> String {
    let n: u128 = rand::random();
    let n = (n & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let h = format!("{n:032x}");
    format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
}

/// Checks that the object is of the kind, the namespace and the name of the address.
///
/// # Errors
/// 400.
pub fn object(kind: &Kind, namespace: &str, name: Option<&str>, mut object: Value) -> Result<Value, Refusal> {
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
pub fn config(kind: &Kind, namespace: &str, name: &str, part: Part, config: Value) -> Result<Value, Refusal> {
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

/// Makes a name out of `generateName`.
pub fn generate_name(object: &mut Value) {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let metadata = &mut object["metadata"];
    if metadata["name"].as_str().is_some_and(|n| !n.is_empty()) {
        return;
    }
    if let Some(prefix) = metadata["generateName"].as_str().filter(|p| !p.is_empty()) {
        let mut n: u64 = rand::random();
        let mut name: String = prefix.chars().take(58).collect();
        for _ in 0..5 {
            name.push(char::from(ALPHABET[(n % 27) as usize]));
            n /= 27;
        }
        metadata["name"] = name.into();
    }
}

/// What the server writes into a new object.
pub fn newborn(kind: &Kind, object: &mut Value) {
    if kind.status
        && let Some(map) = object.as_object_mut()
    {
        map.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "managedFields"]
        {
            metadata.remove(field);
        }
        metadata.insert("uid".into(), uuid().into());
        metadata.insert("creationTimestamp".into(), clock::now().into());
        match kind.generation {
            true => metadata.insert("generation".into(), 1.into()),
            false => metadata.remove("generation"),
        };
    }
    match kind.kind.as_str() {
        "Pod" => object["status"] = json!({"phase": "Pending", "qosClass": quality(object)}),
        "CustomResourceDefinition" => object["status"] = established(object),
        // A typed server always writes the status of these, empty as it is.
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => object["status"] = json!({}),
        "Ingress" => object["status"] = json!({"loadBalancer": {}}),
        "HorizontalPodAutoscaler" => object["status"] = json!({"desiredReplicas": 0}),
        _ => {}
    }
}

fn quality(pod: &Value) -> &'static str {
    let containers = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let some = |c: &Value, f: &str| c["resources"][f].as_object().is_some_and(|m| !m.is_empty());
    let same = |c: &Value| {
        some(c, "limits") && (!some(c, "requests") || c["resources"]["limits"] == c["resources"]["requests"])
    };
    let both =
        |c: &Value| c["resources"]["limits"].get("cpu").is_some() && c["resources"]["limits"].get("memory").is_some();
    match () {
        () if containers.iter().all(|c| same(c) && both(c)) => "Guaranteed",
        () if containers.iter().any(|c| some(c, "limits") || some(c, "requests")) => "Burstable",
        () => "BestEffort",
    }
}

fn established(crd: &Value) -> Value {
    let now = clock::now();
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": "True",
        "lastTransitionTime": now, "reason": reason, "message": message})
    };
    let versions = crd["spec"]["versions"].as_array().cloned().unwrap_or_default();
    let stored: Vec<&Value> = versions.iter().filter(|v| v["storage"] == true).map(|v| &v["name"]).collect();
    let mut names = crd["spec"]["names"].clone();
    if let (Some(map), Some(kind)) = (names.as_object_mut(), crd["spec"]["names"]["kind"].as_str()) {
        map.entry("singular").or_insert_with(|| kind.to_lowercase().into());
        map.entry("listKind").or_insert_with(|| format!("{kind}List").into());
    }
    json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": names,
        "storedVersions": stored,
    })
}

/// What an object of this kind is before anybody wrote a field: the structures that a typed server always has.
pub fn blank(kind: &Kind, object: &Value) -> Value {
    if kind.custom {
        return json!({"metadata": {}});
    }
    let mut blank = json!({});
    let structures = [
        "/metadata",
        "/spec",
        "/spec/template",
        "/spec/template/metadata",
        "/spec/template/spec",
        "/spec/strategy",
        "/spec/scaleTargetRef",
        "/spec/names",
    ];
    for pointer in structures {
        let (parent, field) = pointer.rsplit_once('/').expect("every pointer above begins with a slash");
        if object.pointer(pointer).is_some_and(Value::is_object)
            && let Some(parent) = blank.pointer_mut(parent)
        {
            parent[field] = json!({});
        }
    }
    for pod in ["/spec", "/spec/template/spec"] {
        if object.pointer(pod).is_some_and(|spec| spec["containers"].is_array())
            && let Some(spec) = blank.pointer_mut(pod)
        {
            spec["containers"] = json!([]);
        }
    }
    // The finalizers of a new namespace, and the status of anything new, are the server's own writing.
    if kind.kind == "Namespace" {
        blank["spec"] = object["spec"].clone();
    }
    if let Some(status) = object.get("status") {
        blank["status"] = status.clone();
    }
    blank
}

/// Gives a Service its cluster address and a Job its selector.
pub fn allot(kind: &Kind, store: &mut Store, object: &mut Value) {
    match kind.kind.as_str() {
        "Service" if object["spec"]["type"] != "ExternalName" => {
            let spec = &mut object["spec"];
            if spec["clusterIP"].as_str().is_none_or(str::is_empty) {
                spec["clusterIP"] = store.next_address().into();
            }
            if !spec["clusterIPs"].is_array() {
                spec["clusterIPs"] = json!([spec["clusterIP"]]);
            }
            for (field, value) in [("ipFamilies", json!(["IPv4"])), ("ipFamilyPolicy", json!("SingleStack"))] {
                if spec[field].is_null() {
                    spec[field] = value;
                }
            }
            if spec["type"] == "NodePort" || spec["type"] == "LoadBalancer" {
                for port in spec["ports"].as_array_mut().into_iter().flatten() {
                    if port["nodePort"].is_null() {
                        let n: u16 = rand::random();
                        port["nodePort"] = (30000 + u32::from(n) % 2768).into();
                    }
                }
            }
        }
        "Pod" => admit_pod(object),
        "Job" if object["spec"]["selector"].is_null() => {
            let uid = object["metadata"]["uid"].clone();
            let name = object["metadata"]["name"].clone();
            object["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
            let labels = &mut object["spec"]["template"]["metadata"]["labels"];
            for (label, value) in [("controller-uid", &uid), ("job-name", &name)] {
                labels[format!("batch.kubernetes.io/{label}")] = value.clone();
                labels[label] = value.clone();
            }
        }
        _ => {}
    }
}

/// What admission plug-ins and typed conditions add to a pod.
fn admit_pod(pod: &mut Value) {
    let toleration = |name: &str| {
        json!({"key": format!("node.kubernetes.io/{name}"), "operator": "Exists",
        "effect": "NoExecute", "tolerationSeconds": 300})
    };
    let spec = &mut pod["spec"];
    let tolerations = json!([toleration("not-ready"), toleration("unreachable")]);
    for (field, value) in
        [("preemptionPolicy", json!("PreemptLowerPriority")), ("priority", json!(0)), ("tolerations", tolerations)]
    {
        if spec[field].is_null() {
            spec[field] = value;
        }
    }
}

/// Refuses a write that rests on another version.
///
/// # Errors
/// 409.
pub fn check_version(kind: &Kind, name: &str, live: &Value, new: &Value) -> Result<(), Refusal> {
    match new["metadata"]["resourceVersion"].as_str() {
        Some(version) if !version.is_empty() && Some(version) != live["metadata"]["resourceVersion"].as_str() => {
            Err(Refusal::stale(kind, name))
        }
        _ => Ok(()),
    }
}

/// The uid that a write names, when it is another than the object's.
pub fn other_uid<'v>(live: &Value, new: &'v Value) -> Option<&'v str> {
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

/// Puts back what a write through this part may not change.
pub fn keep_server_fields(kind: &Kind, live: &Value, new: &mut Value, part: Part) {
    put_back(live, new, &SERVER_METADATA);
    if kind.kind == "Service" && new["spec"]["type"] == live["spec"]["type"] {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if new["spec"][field].is_null() && !live["spec"][field].is_null() {
                new["spec"][field] = live["spec"][field].clone();
            }
        }
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

/// Whether a write changed what the object asks for: then its generation rises.
pub fn intent_changed(kind: &Kind, live: &Value, new: &Value) -> bool {
    let ignored = |field: &str| field == "metadata" || (field == "status" && (kind.status || !kind.custom));
    let part = |object: &Value| -> serde_json::Map<String, Value> {
        let map = object.as_object().cloned().unwrap_or_default();
        map.into_iter().filter(|(field, _)| !ignored(field)).collect()
    };
    part(live) != part(new)
}

/// Whether an object that is being deleted has nothing left that holds it.
pub fn may_go(kind: &Kind, object: &Value) -> bool {
    let metadata = &object["metadata"];
    let empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    metadata["deletionTimestamp"].is_string()
        && empty(&metadata["finalizers"])
        && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && (kind.kind != "Namespace" || empty(&object["spec"]["finalizers"]))
}

/// 422 for one field.
pub fn invalid_field(kind: &Kind, name: &str, field: &str, message: String) -> Refusal {
    Refusal::invalid(kind, name, vec![Cause { reason: "FieldValueInvalid", message, field: field.into() }])
}
