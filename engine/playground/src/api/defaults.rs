//! The defaults that the API server writes into objects (pkg/apis/*/v1/defaults.go), for the kinds that are used.

use serde_json::{Map, Value, json};

use super::kind::Kind;
use super::put::{items, put};
use super::volumes;

/// Fills in what the object leaves open.
pub(super) fn fill(kind: &Kind, object: &mut Value) {
    if let Some(schema) = &kind.schema {
        from_schema(schema, object);
        return;
    }
    match kind.kind.as_str() {
        "Pod" => {
            pod_spec(&mut object["spec"]);
            put(&mut object["spec"], "enableServiceLinks", json!(true));
            requests_from_limits(&mut object["spec"]);
        }
        "Deployment" => deployment(object),
        "ReplicaSet" => replica_set(object),
        "StatefulSet" => stateful_set(object),
        "DaemonSet" => daemon_set(object),
        "Job" => job(object),
        "CronJob" => cron_job(object),
        "PersistentVolume" | "PersistentVolumeClaim" | "StorageClass" => volumes::fill(kind, object),
        "LimitRange" => volumes::limit_range(object),
        "PriorityClass" => put(object, "preemptionPolicy", json!("PreemptLowerPriority")),
        "EndpointSlice" => endpoint_slice(object),
        "Endpoints" => items(object, "subsets")
            .for_each(|subset| items(subset, "ports").for_each(|port| put(port, "protocol", json!("TCP")))),
        "Service" => service(object),
        "HorizontalPodAutoscaler" => autoscaler(object),
        "Secret" => secret(object),
        "Namespace" => namespace(object),
        "NetworkPolicy" => network_policy(object),
        "RoleBinding" | "ClusterRoleBinding" => role_binding(object),
        "Ingress" => {}
        "CustomResourceDefinition" => definition(object),
        _ => {}
    }
}

/// The defaults of a pod's spec, here and in templates.
pub(super) fn pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    if spec["nodeSelector"].as_object().is_some_and(Map::is_empty)
        && let Some(map) = spec.as_object_mut()
    {
        map.shift_remove("nodeSelector");
    }
    put(spec, "restartPolicy", json!("Always"));
    put(spec, "terminationGracePeriodSeconds", json!(30));
    put(spec, "dnsPolicy", json!("ClusterFirst"));
    put(spec, "securityContext", json!({}));
    put(spec, "schedulerName", json!("default-scheduler"));
    if let Some(account) = spec.get("serviceAccountName").filter(|name| !name.is_null()).cloned() {
        put(spec, "serviceAccount", account);
    }
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            self::container(container);
        }
    }
    for volume in items(spec, "volumes") {
        for (source, mode) in [("configMap", "defaultMode"), ("secret", "defaultMode"), ("projected", "defaultMode")] {
            if let Some(source) = volume.get_mut(source).filter(|s| s.is_object()) {
                put(source, mode, json!(420));
            }
        }
    }
}

fn container(container: &mut Value) {
    if !container.is_object() {
        return;
    }
    let image = container["image"].as_str().unwrap_or_default();
    let latest =
        !image.contains('@') && image.rsplit('/').next().is_none_or(|n| !n.contains(':') || n.ends_with(":latest"));
    put(container, "imagePullPolicy", json!(if latest { "Always" } else { "IfNotPresent" }));
    put(container, "resources", json!({}));
    put(container, "terminationMessagePath", json!("/dev/termination-log"));
    put(container, "terminationMessagePolicy", json!("File"));
    for port in items(container, "ports") {
        put(port, "protocol", json!("TCP"));
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).filter(|p| p.is_object()) {
            put(probe, "timeoutSeconds", json!(1));
            put(probe, "periodSeconds", json!(10));
            put(probe, "successThreshold", json!(1));
            put(probe, "failureThreshold", json!(3));
            if let Some(get) = probe.get_mut("httpGet").filter(|g| g.is_object()) {
                put(get, "path", json!("/"));
                put(get, "scheme", json!("HTTP"));
            }
        }
    }
    for variable in items(container, "env") {
        if let Some(field) = variable.get_mut("valueFrom").and_then(|v| v.get_mut("fieldRef")) {
            put(field, "apiVersion", json!("v1"));
        }
    }
    for field in ["limits", "requests"] {
        if container["resources"][field].is_null()
            && let Some(resources) = container["resources"].as_object_mut()
        {
            resources.remove(field);
        }
    }
}

/// A pod requests what it is limited to; templates are left as they are.
fn requests_from_limits(spec: &mut Value) {
    for container in items(spec, "containers") {
        if let Some(limits) = container["resources"].get("limits").cloned().filter(Value::is_object) {
            put(&mut container["resources"], "requests", json!({}));
            for (name, quantity) in limits.as_object().into_iter().flatten() {
                put(&mut container["resources"]["requests"], name, quantity.clone());
            }
        }
    }
}

fn template(spec: &mut Value) {
    put(spec, "template", json!({}));
    put(&mut spec["template"], "metadata", json!({}));
    pod_spec(&mut spec["template"]["spec"]);
}

fn deployment(object: &mut Value) {
    let spec = &mut object["spec"];
    template(spec);
    put(spec, "replicas", json!(1));
    put(spec, "revisionHistoryLimit", json!(10));
    put(spec, "progressDeadlineSeconds", json!(600));
    put(spec, "strategy", json!({}));
    put(&mut spec["strategy"], "type", json!("RollingUpdate"));
    if spec["strategy"]["type"] == "RollingUpdate" {
        put(&mut spec["strategy"], "rollingUpdate", json!({}));
        put(&mut spec["strategy"]["rollingUpdate"], "maxUnavailable", json!("25%"));
        put(&mut spec["strategy"]["rollingUpdate"], "maxSurge", json!("25%"));
    }
}

fn replica_set(object: &mut Value) {
    template(&mut object["spec"]);
    put(&mut object["spec"], "replicas", json!(1));
    // Clients look for the field before the controller's first look.
    put(object, "status", json!({"replicas": 0}));
}

fn stateful_set(object: &mut Value) {
    let spec = &mut object["spec"];
    template(spec);
    for claim in items(spec, "volumeClaimTemplates") {
        put(claim, "kind", json!("PersistentVolumeClaim"));
        put(claim, "apiVersion", json!("v1"));
        put(&mut claim["spec"], "volumeMode", json!("Filesystem"));
        put(claim, "status", json!({"phase": "Pending"}));
    }
    put(spec, "serviceName", json!(""));
    put(spec, "replicas", json!(1));
    put(spec, "podManagementPolicy", json!("OrderedReady"));
    put(spec, "revisionHistoryLimit", json!(10));
    put(spec, "updateStrategy", json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}));
    put(spec, "persistentVolumeClaimRetentionPolicy", json!({"whenDeleted": "Retain", "whenScaled": "Retain"}));
}

fn daemon_set(object: &mut Value) {
    let spec = &mut object["spec"];
    template(spec);
    put(spec, "revisionHistoryLimit", json!(10));
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}});
    put(spec, "updateStrategy", rolling);
}

fn job(object: &mut Value) {
    let spec = &mut object["spec"];
    template(spec);
    put(spec, "completions", json!(1));
    put(spec, "parallelism", json!(1));
    put(spec, "backoffLimit", json!(6));
    put(spec, "completionMode", json!("NonIndexed"));
    put(spec, "suspend", json!(false));
    put(spec, "podReplacementPolicy", json!("TerminatingOrFailed"));
    put(spec, "manualSelector", json!(false));
    let labels = spec["template"]["metadata"]["labels"].clone();
    let has_labels = object["metadata"]["labels"].as_object().is_some_and(|labels| !labels.is_empty());
    if labels.is_object() && !has_labels {
        object["metadata"]["labels"] = labels;
    }
}

fn cron_job(object: &mut Value) {
    let spec = &mut object["spec"];
    put(spec, "concurrencyPolicy", json!("Allow"));
    put(spec, "suspend", json!(false));
    put(spec, "successfulJobsHistoryLimit", json!(3));
    put(spec, "failedJobsHistoryLimit", json!(1));
    put(spec, "jobTemplate", json!({}));
    put(&mut spec["jobTemplate"], "metadata", json!({}));
    template(&mut spec["jobTemplate"]["spec"]);
}

fn endpoint_slice(object: &mut Value) {
    for endpoint in items(object, "endpoints") {
        put(endpoint, "conditions", json!({}));
    }
    for port in items(object, "ports") {
        put(port, "name", json!(""));
        put(port, "protocol", json!("TCP"));
    }
}

fn service(object: &mut Value) {
    put(object, "status", json!({"loadBalancer": {}}));
    let spec = &mut object["spec"];
    put(spec, "type", json!("ClusterIP"));
    put(spec, "sessionAffinity", json!("None"));
    if spec["type"] == "ExternalName" {
        return;
    }
    put(spec, "internalTrafficPolicy", json!("Cluster"));
    if spec["type"] != "ClusterIP" {
        put(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if spec["type"] == "LoadBalancer" {
        put(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    for port in items(spec, "ports") {
        put(port, "protocol", json!("TCP"));
        let target = port["port"].clone();
        put(port, "targetPort", target);
    }
}

fn autoscaler(object: &mut Value) {
    let spec = &mut object["spec"];
    put(spec, "minReplicas", json!(1));
    let cpu = json!([{"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    put(spec, "metrics", cpu);
}

/// `stringData` is written into `data`, and never read back.
fn secret(object: &mut Value) {
    use base64::Engine;
    put(object, "type", json!("Opaque"));
    let Some(Value::Object(plain)) = object.as_object_mut().and_then(|o| o.remove("stringData")) else {
        return;
    };
    put(object, "data", json!({}));
    for (name, value) in plain {
        let text = value.as_str().unwrap_or_default();
        object["data"][name] = base64::engine::general_purpose::STANDARD.encode(text).into();
    }
}

fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    put(&mut object["metadata"], "labels", json!({}));
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    put(object, "spec", json!({}));
    put(&mut object["spec"], "finalizers", json!(["kubernetes"]));
    put(object, "status", json!({"phase": "Active"}));
}

fn network_policy(object: &mut Value) {
    let spec = &mut object["spec"];
    let egress = spec["egress"].as_array().is_some_and(|rules| !rules.is_empty());
    put(spec, "policyTypes", if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
    for direction in ["ingress", "egress"] {
        for rule in items(spec, direction) {
            for port in items(rule, "ports") {
                put(port, "protocol", json!("TCP"));
            }
        }
    }
}

fn role_binding(object: &mut Value) {
    put(&mut object["roleRef"], "apiGroup", json!("rbac.authorization.k8s.io"));
    for subject in items(object, "subjects") {
        let group = if subject["kind"] == "ServiceAccount" { "" } else { "rbac.authorization.k8s.io" };
        if !group.is_empty() {
            put(subject, "apiGroup", json!(group));
        }
    }
}

fn definition(object: &mut Value) {
    let spec = &mut object["spec"];
    put(spec, "conversion", json!({"strategy": "None"}));
    let names = &mut spec["names"];
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    put(names, "singular", json!(kind.to_lowercase()));
    put(names, "listKind", json!(format!("{kind}List")));
}

/// The defaults of a custom resource's structural schema: only inside objects that are there.
fn from_schema(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            let empty = Map::new();
            for (name, inner) in schema["properties"].as_object().unwrap_or(&empty) {
                if let Some(default) = inner.get("default")
                    && !map.contains_key(name)
                {
                    map.insert(name.clone(), default.clone());
                }
                if let Some(present) = map.get_mut(name) {
                    from_schema(inner, present);
                }
            }
            if schema["additionalProperties"].is_object() {
                map.values_mut().for_each(|v| from_schema(&schema["additionalProperties"], v));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|v| from_schema(&schema["items"], v)),
        _ => {}
    }
}
