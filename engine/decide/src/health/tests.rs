use super::*;
use serde_json::json;

#[track_caller]
fn is(api_version: &str, kind: &str, rest: Value, expected: Status) {
    let mut object = rest;
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    assert_eq!(of(&object, &Judged::default()).map(|health| health.status), Some(expected), "{object}");
}

#[test]
fn deployments() {
    let with = |spec: Value, status: Value| json!({ "metadata": { "generation": 2 }, "spec": spec, "status": status });
    let check = |spec, status, expected| is("apps/v1", "Deployment", with(spec, status), expected);
    let full = json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 });
    check(json!({ "replicas": 2 }), full.clone(), Status::Healthy);
    check(json!({ "replicas": 2, "paused": true }), full.clone(), Status::Suspended);
    check(json!({ "replicas": 3 }), full, Status::Progressing);
    check(json!({ "replicas": 2 }), json!({ "observedGeneration": 1 }), Status::Progressing);
    check(
        json!({ "replicas": 2 }),
        json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2 }),
        Status::Progressing,
    );
    check(
        json!({ "replicas": 2 }),
        json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1 }),
        Status::Progressing,
    );
    let late = json!([{ "type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "m" }]);
    check(json!({ "replicas": 2 }), json!({ "observedGeneration": 2, "conditions": late }), Status::Degraded);
}

#[test]
fn stateful_sets_daemon_sets_and_replica_sets() {
    let set = |spec: Value, status: Value, expected| {
        is(
            "apps/v1",
            "StatefulSet",
            json!({ "metadata": { "generation": 1 }, "spec": spec, "status": status }),
            expected,
        )
    };
    set(json!({ "replicas": 1 }), json!({}), Status::Progressing);
    set(json!({ "replicas": 2 }), json!({ "observedGeneration": 1, "readyReplicas": 1 }), Status::Progressing);
    let ready = json!({ "observedGeneration": 1, "readyReplicas": 3, "updatedReplicas": 1, "updateRevision": "b", "currentRevision": "a" });
    set(
        json!({ "replicas": 3, "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 2 } } }),
        ready.clone(),
        Status::Healthy,
    );
    set(
        json!({ "replicas": 3, "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } } }),
        ready.clone(),
        Status::Progressing,
    );
    set(json!({ "replicas": 3, "updateStrategy": { "type": "OnDelete" } }), ready.clone(), Status::Healthy);
    set(json!({ "replicas": 3 }), ready, Status::Progressing);
    let daemon = |status: Value, expected| {
        is("apps/v1", "DaemonSet", json!({ "metadata": { "generation": 1 }, "status": status }), expected)
    };
    daemon(
        json!({ "observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2 }),
        Status::Healthy,
    );
    daemon(
        json!({ "observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1 }),
        Status::Progressing,
    );
    let replica = |status: Value, expected| {
        is("apps/v1", "ReplicaSet", json!({ "spec": { "replicas": 1 }, "status": status }), expected)
    };
    replica(json!({ "availableReplicas": 1 }), Status::Healthy);
    replica(json!({}), Status::Progressing);
    replica(json!({ "conditions": [{ "type": "ReplicaFailure", "status": "True" }] }), Status::Degraded);
}

#[test]
fn autoscalers_by_their_first_telling_condition() {
    let check = |conditions: Value, expected| {
        is("autoscaling/v2", "HorizontalPodAutoscaler", json!({ "status": { "conditions": conditions } }), expected)
    };
    let able = json!({ "type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale" });
    let no_metric = json!({ "type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric" });
    check(json!([able, no_metric]), Status::Healthy);
    check(json!([no_metric, able]), Status::Degraded);
    check(json!([{ "type": "AbleToScale", "status": "False", "reason": "FailedGetScale" }]), Status::Degraded);
    check(json!([]), Status::Progressing);
    let old = r#"[{"type":"AbleToScale","status":"True"}]"#;
    is(
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
        json!({ "metadata": { "annotations": { "autoscaling.alpha.kubernetes.io/conditions": old } } }),
        Status::Healthy,
    );
}

#[test]
fn pods_jobs_and_claims() {
    let pod =
        |spec: Value, status: Value, expected| is("v1", "Pod", json!({ "spec": spec, "status": status }), expected);
    let ready = json!([{ "type": "Ready", "status": "True" }]);
    pod(json!({ "restartPolicy": "Always" }), json!({ "phase": "Running", "conditions": ready }), Status::Healthy);
    pod(json!({ "restartPolicy": "Never" }), json!({ "phase": "Running", "conditions": ready }), Status::Progressing);
    pod(json!({}), json!({ "phase": "Running" }), Status::Progressing);
    let crash = json!([{ "name": "a", "state": { "waiting": { "reason": "CrashLoopBackOff" } } }]);
    pod(json!({}), json!({ "phase": "Running", "containerStatuses": crash }), Status::Degraded);
    let pull = json!([{ "name": "a", "state": { "waiting": { "reason": "ErrImagePull" } } }]);
    pod(json!({}), json!({ "phase": "Pending", "containerStatuses": pull }), Status::Degraded);
    pod(json!({}), json!({ "phase": "Pending" }), Status::Progressing);
    pod(json!({}), json!({ "phase": "Failed" }), Status::Degraded);
    let job = |kind: &str, expected| {
        is("batch/v1", "Job", json!({ "status": { "conditions": [{ "type": kind, "status": "True" }] } }), expected)
    };
    job("Failed", Status::Degraded);
    job("Complete", Status::Healthy);
    job("Suspended", Status::Suspended);
    job("Other", Status::Progressing);
    let claim =
        |phase: &str, expected| is("v1", "PersistentVolumeClaim", json!({ "status": { "phase": phase } }), expected);
    claim("Bound", Status::Healthy);
    claim("Lost", Status::Degraded);
    claim("Pending", Status::Healthy);
}

#[test]
fn rollouts_services_and_the_rest() {
    let rollout = |status: Value, expected| {
        is("argoproj.io/v1alpha1", "Rollout", json!({ "metadata": { "generation": 3 }, "status": status }), expected)
    };
    rollout(json!({ "observedGeneration": "3", "phase": "Healthy" }), Status::Healthy);
    rollout(json!({ "observedGeneration": "2", "phase": "Healthy" }), Status::Progressing);
    rollout(json!({ "observedGeneration": "3", "phase": "Paused", "pauseConditions": [{}] }), Status::Suspended);
    rollout(json!({ "observedGeneration": "3", "phase": "Paused", "controllerPause": true }), Status::Progressing);
    rollout(json!({ "observedGeneration": "3", "phase": "Degraded", "abort": true }), Status::Degraded);
    rollout(json!({ "observedGeneration": "3", "phase": "new-word" }), Status::Unknown);
    rollout(json!({}), Status::Progressing);
    is("v1", "Service", json!({ "spec": { "type": "ClusterIP" } }), Status::Healthy);
    is("v1", "Service", json!({ "spec": { "type": "LoadBalancer" } }), Status::Progressing);
    let address = json!({ "status": { "loadBalancer": { "ingress": [{ "hostname": "h" }] } } });
    is("networking.k8s.io/v1", "Ingress", address, Status::Healthy);
    is("v1", "Pod", json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }), Status::Progressing);
    is(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        json!({ "status": { "conditions": [{ "type": "Established", "status": "True" }] } }),
        Status::Healthy,
    );
    assert_eq!(of(&json!({ "apiVersion": "v1", "kind": "ConfigMap" }), &Judged::default()), None);
    let left_out = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "annotations": { "argocd.argoproj.io/ignore-healthcheck": "true" } } });
    assert_eq!(of(&left_out, &Judged::default()), None);
}

#[test]
fn an_application_is_as_its_worst_object() {
    use Status::{Degraded, Healthy, Missing, Progressing, Suspended, Unknown};
    assert_eq!(worst([]), Healthy);
    assert_eq!(worst([Healthy, Suspended]), Suspended);
    assert_eq!(worst([Progressing, Suspended]), Progressing);
    assert_eq!(worst([Missing, Degraded, Healthy]), Degraded);
    assert_eq!(worst([Degraded, Unknown]), Unknown);
}
