//! What a new object is given: a name, an identity, a first status, and what the server allots.

use serde_json::{Value, json};

use super::clock;
use super::kind::Kind;
use super::store::Store;

/// Where a DaemonSet counts the versions of its template.
pub(super) const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Makes a name out of `generateName`.
pub(super) fn generate_name(object: &mut Value) {
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
pub(super) fn newborn(kind: &Kind, object: &mut Value) {
    if kind.status
        && kind.kind != "Node"
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
        "PersistentVolumeClaim" => object["status"] = json!({"phase": "Pending"}),
        "PersistentVolume" => {
            object["status"] = json!({"phase": "Pending", "lastPhaseTransitionTime": clock::now()});
        }
        "DaemonSet" => {
            object["metadata"]["annotations"][TEMPLATE_GENERATION] = "1".into();
            object["status"] = json!({});
        }
        "CustomResourceDefinition" => object["status"] = established(object),
        // A typed server always writes the status of these, empty as it is.
        "Deployment" | "StatefulSet" | "Job" | "CronJob" => object["status"] = json!({}),
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
pub(super) fn blank(kind: &Kind, object: &Value) -> Value {
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
        "/spec/updateStrategy",
        "/spec/scaleTargetRef",
        "/spec/names",
        "/spec/jobTemplate",
        "/spec/jobTemplate/metadata",
        "/spec/jobTemplate/spec",
        "/spec/jobTemplate/spec/template",
        "/spec/jobTemplate/spec/template/metadata",
        "/spec/jobTemplate/spec/template/spec",
        "/source",
    ];
    for pointer in structures {
        let (parent, field) = pointer.rsplit_once('/').expect("every pointer above begins with a slash");
        if object.pointer(pointer).is_some_and(Value::is_object)
            && let Some(parent) = blank.pointer_mut(parent)
        {
            parent[field] = json!({});
        }
    }
    for pod in ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"] {
        if object.pointer(pod).is_some_and(|spec| spec["containers"].is_array())
            && let Some(spec) = blank.pointer_mut(pod)
        {
            spec["containers"] = json!([]);
        }
    }
    if kind.kind == "PersistentVolumeClaim" && object["spec"]["resources"].is_object() {
        blank["spec"]["resources"] = json!({});
    }
    // Fields that are written even when they are empty are nobody's then.
    for pointer in ["/spec/serviceName", "/reportingComponent", "/reportingInstance"] {
        let (parent, field) = pointer.rsplit_once('/').expect("every pointer above begins with a slash");
        if object.pointer(pointer).is_some_and(|value| value == "")
            && let Some(parent) = blank.pointer_mut(parent)
        {
            parent[field] = "".into();
        }
    }
    // The finalizers of a new namespace, and the status of anything new, are the server's own writing.
    if kind.kind == "Namespace" {
        blank["spec"] = object["spec"].clone();
    }
    if kind.kind == "Event" && object["eventTime"].is_null() {
        blank["eventTime"] = Value::Null;
    }
    if let Some(status) = object.get("status") {
        blank["status"] = status.clone();
    }
    blank
}

/// Gives a Service its cluster address, and a pod what admission adds.
pub(super) fn allot(kind: &Kind, store: &mut Store, object: &mut Value) {
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
        _ => {}
    }
}

/// What a new object is given behind its writer's back: a Job its selector, a volume what keeps it while it is used.
pub(super) fn admit(kind: &Kind, object: &mut Value) {
    match kind.kind.as_str() {
        "Job" => select(object),
        "PersistentVolumeClaim" => protect(object, "kubernetes.io/pvc-protection"),
        "PersistentVolume" => protect(object, "kubernetes.io/pv-protection"),
        _ => {}
    }
}

fn protect(object: &mut Value, finalizer: &str) {
    let mut all = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    if !all.iter().any(|f| f == finalizer) {
        all.push(finalizer.into());
    }
    object["metadata"]["finalizers"] = all.into();
}

/// A Job whose labels are those of its pods gets the new ones as well.
fn select(job: &mut Value) {
    if !job["spec"]["selector"].is_null() {
        return;
    }
    let (uid, name) = (job["metadata"]["uid"].clone(), job["metadata"]["name"].clone());
    job["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    let shared = job["metadata"]["labels"] == job["spec"]["template"]["metadata"]["labels"];
    let labels = &mut job["spec"]["template"]["metadata"]["labels"];
    for (label, value) in [("controller-uid", &uid), ("job-name", &name)] {
        labels[format!("batch.kubernetes.io/{label}")] = value.clone();
        labels[label] = value.clone();
    }
    if shared {
        job["metadata"]["labels"] = labels.clone();
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
    if spec["serviceAccountName"].is_null() {
        spec["serviceAccountName"] = "default".into();
        spec["serviceAccount"] = "default".into();
    }
    for (field, value) in
        [("preemptionPolicy", json!("PreemptLowerPriority")), ("priority", json!(0)), ("tolerations", tolerations)]
    {
        if spec[field].is_null() {
            spec[field] = value;
        }
    }
}

/// A version 4 UUID.
pub(super) fn uuid() -> String {
    let n: u128 = rand::random();
    let n = (n & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let h = format!("{n:032x}");
    format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
}
