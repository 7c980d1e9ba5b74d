//! The requests that every story makes: objects, applies, workloads, deletions.

use super::asked::{Asked, MAPS, apply, delete, get, merge, post};
use serde_json::{Value, json};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/compared/deployments";
const HPAS: &str = "/apis/autoscaling/v2/namespaces/compared/horizontalpodautoscalers";

fn map(name: &str, data: Value) -> Value {
    let metadata = json!({ "name": name, "namespace": "compared" });
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data })
}

/// Namespaces, names and kinds.
pub(super) fn objects() -> Vec<Asked> {
    let compared = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "compared" } });
    let homeless = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" } });
    vec![
        get("a namespace that is not there", "/api/v1/namespaces/compared"),
        post("a namespace", "/api/v1/namespaces", compared),
        post("into a missing namespace", "/api/v1/namespaces/nowhere/configmaps", homeless),
        post("an object", MAPS, map("created", json!({ "k": "v" }))),
        post("the same again", MAPS, map("created", json!({ "k": "v" }))),
        post("of another namespace than the path's", "/api/v1/namespaces/default/configmaps", map("a", json!({}))),
        post("with a bad name", MAPS, map("Not_A_Name", json!({}))),
        get("an object that is not there", &format!("{MAPS}/absent")),
        get("a kind that is not there", "/apis/example.com/v1/things"),
    ]
}

/// Server-side apply, and what a merge does beside it.
pub(super) fn applies() -> Vec<Asked> {
    let a = format!("{MAPS}/a");
    let stale = json!({ "metadata": { "resourceVersion": "1" }, "data": { "m": "5" } });
    vec![
        apply("an object is born by an apply", &a, "one", map("a", json!({ "x": "1", "y": "1" }))),
        apply("nothing changes", &a, "one", map("a", json!({ "x": "1", "y": "1" }))),
        apply("another manager adds a field", &a, "two", map("a", json!({ "z": "2" }))),
        apply("a conflict", &a, "two", map("a", json!({ "x": "2", "z": "2" }))),
        apply("a conflict, forced", &a, "two&force=true", map("a", json!({ "x": "2", "z": "2" }))),
        apply("a field that is no longer applied goes", &a, "one", map("a", json!({}))),
        apply("a rehearsal", &a, "three&dryRun=All", map("a", json!({ "w": "3" }))),
        merge("a merge", &a, json!({ "data": { "m": "4", "z": null } })),
        merge("a merge with a stale version", &a, stale),
    ]
}

/// What the stories deploy and scale.
pub(super) fn workloads() -> Vec<Asked> {
    let web = format!("{DEPLOYMENTS}/web");
    let three = json!({ "spec": { "replicas": 3 } });
    let aimless = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "bad" },
        "spec": { "maxReplicas": 1 },
    });
    vec![
        apply("a deployment with its defaults", &web, "one", deployment(2)),
        merge("scaled", &format!("{web}/scale?fieldManager=kubectl"), three),
        get("its scale", &format!("{web}/scale")),
        apply("applied against the scale", &web, "one", deployment(2)),
        apply("applied without replicas", &web, "one", without_replicas()),
        post("an autoscaler with its defaults", HPAS, autoscaler()),
        post("an autoscaler without a target", HPAS, aimless),
    ]
}

/// Deletions, and the object that the watches end with.
pub(super) fn endings() -> Vec<Asked> {
    let a = format!("{MAPS}/a");
    let other = json!({ "preconditions": { "uid": "00000000-0000-0000-0000-000000000000" } });
    vec![
        delete("with another's uid", &a, Some(other)),
        delete("deleted", &a, None),
        delete("deleted before", &a, None),
        post("the last", MAPS, map("last", json!({ "the": "end" }))),
    ]
}

fn deployment(replicas: u32) -> Value {
    let mut deployment = without_replicas();
    deployment["spec"]["replicas"] = json!(replicas);
    deployment
}

fn without_replicas() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "compared" },
        "spec": {
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": "example.com/web:1", "ports": [{ "containerPort": 80 }] }] },
            },
        },
    })
}

fn autoscaler() -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "web" },
        "spec": { "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" }, "maxReplicas": 5 },
    })
}
