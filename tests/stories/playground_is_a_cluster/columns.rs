//! What `kubectl get` prints: one object of every kind, alone and in its list.

use super::asked::{Asked, merge, post, table};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use world::kube::Kube;
use world::process::eventually;

/// The definitions of ours whose columns are compared.
const OURS: [&str; 2] = ["rollouts", "applications"];

/// Defines our own kinds, and waits until they are served.
pub(super) async fn define(kube: &Kube) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/cluster/src/crds");
    for plural in OURS {
        let text = std::fs::read_to_string(dir.join(format!("{plural}.yaml"))).expect("the definition is there");
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let request = kube.request(Method::POST, path).header("content-type", "application/yaml").body(text);
        let answer = request.send().await.expect("it answers");
        assert!(answer.status().is_success(), "{plural}: {}", answer.text().await.unwrap_or_default());
        let served = format!("/apis/argoproj.io/v1alpha1/{plural}");
        eventually("the kind is served", Duration::from_secs(30), || async { kube.get(&served).await }).await;
    }
}

/// Every kind's object, then its rows.
pub(super) fn requests() -> Vec<Asked> {
    let mut all = Vec::new();
    for (list, spec) in [cluster(), pods(), workloads(), network(), storage(), rest()].into_iter().flatten() {
        let (what, object) = (list.rsplit('/').next().unwrap_or_default().to_owned(), named(spec));
        let path = format!("{list}/shown");
        let status = object.get("status").cloned();
        all.push(post(&format!("{what}: the one that is shown"), &list, object));
        if let Some(status) = status {
            let patch = json!({ "status": status });
            all.push(merge(&format!("{what}: its status"), &format!("{path}/status"), patch));
        }
        all.push(table(&format!("{what}: its row"), &path));
        all.push(table(
            &format!("{what}: the list of it alone"),
            &format!("{list}?fieldSelector=metadata.name%3Dshown"),
        ));
    }
    all
}

fn named(mut object: Value) -> Value {
    object["metadata"]["name"] = json!("shown");
    object
}

fn at(version: &str, plural: &str) -> String {
    match version {
        "v1" => format!("/api/v1/namespaces/compared/{plural}"),
        other => format!("/apis/{other}/namespaces/compared/{plural}"),
    }
}

fn of(version: &str, kind: &str, mut rest: Value) -> Value {
    rest["apiVersion"] = json!(version);
    rest["kind"] = json!(kind);
    rest
}

fn one(version: &str, plural: &str, kind: &str, rest: Value) -> (String, Value) {
    (at(version, plural), of(version, kind, rest))
}

fn wide(version: &str, plural: &str, kind: &str, rest: Value) -> (String, Value) {
    let list = if version == "v1" { format!("/api/v1/{plural}") } else { format!("/apis/{version}/{plural}") };
    (list, of(version, kind, rest))
}

fn cluster() -> Vec<(String, Value)> {
    let node = json!({
        "metadata": { "labels": { "node-role.kubernetes.io/worker": "" } },
        "status": {
            "conditions": [{ "type": "Ready", "status": "True" }],
            "addresses": [{ "type": "InternalIP", "address": "192.0.2.1" }],
            "nodeInfo": { "kubeletVersion": "v1.36.2", "osImage": "an image", "kernelVersion": "6.1", "architecture": "amd64",
                "containerRuntimeVersion": "containerd://2.0.0", "machineID": "", "systemUUID": "", "bootID": "",
                "kubeProxyVersion": "", "operatingSystem": "linux" },
        },
    });
    let role = |kind: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "some" });
    let rules = json!({ "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] });
    let subjects = json!([{ "kind": "ServiceAccount", "name": "a", "namespace": "compared" },
        { "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "u" }]);
    const RBAC: &str = "rbac.authorization.k8s.io/v1";
    vec![
        wide("v1", "nodes", "Node", node),
        wide(RBAC, "clusterroles", "ClusterRole", rules.clone()),
        wide(
            RBAC,
            "clusterrolebindings",
            "ClusterRoleBinding",
            json!({ "roleRef": role("ClusterRole"), "subjects": subjects }),
        ),
        one(RBAC, "roles", "Role", rules),
        one(RBAC, "rolebindings", "RoleBinding", json!({ "roleRef": role("Role"), "subjects": subjects })),
        wide("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", json!({ "value": 7 })),
        wide(
            "networking.k8s.io/v1",
            "ingressclasses",
            "IngressClass",
            json!({ "spec": { "controller": "example.com/c" } }),
        ),
        wide("storage.k8s.io/v1", "storageclasses", "StorageClass", json!({ "provisioner": "example.com/p" })),
    ]
}

fn template() -> Value {
    json!({
        "metadata": { "labels": { "app": "shown" } },
        "spec": { "containers": [{ "name": "c", "image": "example.com/c:1" }, { "name": "d", "image": "example.com/d:1" }] },
    })
}

fn pods() -> Vec<(String, Value)> {
    let mut pod = template();
    pod["metadata"]["labels"] = json!({ "app": "alone" });
    pod["spec"]["automountServiceAccountToken"] = json!(false);
    let running = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
    let container = |name: &str, ready: bool, restarts: u32, state: Value| json!({ "name": name, "ready": ready, "restartCount": restarts, "image": "", "imageID": "", "state": state });
    pod["status"] = json!({
        "phase": "Running", "podIP": "192.0.2.7", "podIPs": [{ "ip": "192.0.2.7" }],
        "containerStatuses": [container("c", true, 0, running), container("d", false, 2, json!({ "waiting": { "reason": "CrashLoopBackOff" } }))],
    });
    vec![one("v1", "pods", "Pod", pod)]
}

fn workloads() -> Vec<(String, Value)> {
    let selected = |more: Value| {
        let mut spec = more;
        spec["selector"] = json!({ "matchLabels": { "app": "shown" } });
        spec["template"] = template();
        json!({ "spec": spec })
    };
    let mut once = template();
    once["spec"]["restartPolicy"] = json!("Never");
    let job = json!({ "suspend": true, "completions": 2, "template": once });
    let owner = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "controller": true,
        "uid": "00000000-0000-0000-0000-000000000000" }]);
    let revision = json!({ "revision": 3, "data": {}, "metadata": { "ownerReferences": owner } });
    vec![
        one("apps/v1", "deployments", "Deployment", selected(json!({ "replicas": 0 }))),
        one("apps/v1", "replicasets", "ReplicaSet", selected(json!({ "replicas": 0 }))),
        one("apps/v1", "statefulsets", "StatefulSet", selected(json!({ "replicas": 0 }))),
        one("apps/v1", "daemonsets", "DaemonSet", {
            let mut set = selected(json!({}));
            set["spec"]["template"]["spec"]["nodeSelector"] = json!({ "of": "nobody" });
            set
        }),
        one("apps/v1", "controllerrevisions", "ControllerRevision", revision),
        one("batch/v1", "jobs", "Job", json!({ "spec": job })),
        one(
            "batch/v1",
            "cronjobs",
            "CronJob",
            json!({ "spec": { "schedule": "0 3 1 1 *", "suspend": true,
            "jobTemplate": { "spec": { "template": once } } } }),
        ),
        one(
            "autoscaling/v2",
            "horizontalpodautoscalers",
            "HorizontalPodAutoscaler",
            json!({ "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "absent" }, "maxReplicas": 5 } }),
        ),
        one(
            "policy/v1",
            "poddisruptionbudgets",
            "PodDisruptionBudget",
            json!({ "spec": { "minAvailable": "50%",
            "selector": { "matchLabels": { "app": "absent" } } } }),
        ),
        one("argoproj.io/v1alpha1", "rollouts", "Rollout", selected(json!({ "replicas": 3 }))),
        one(
            "argoproj.io/v1alpha1",
            "applications",
            "Application",
            json!({ "spec": { "project": "p",
            "destination": { "namespace": "compared" }, "source": { "repoURL": "https://example.com/r.git", "path": "." } },
            "status": { "sync": { "status": "Synced" } } }),
        ),
    ]
}

fn network() -> Vec<(String, Value)> {
    let subsets = json!([{ "addresses": [{ "ip": "192.0.2.1" }, { "ip": "192.0.2.2" }], "ports": [{ "port": 80, "name": "a" }, { "port": 81, "name": "b" }] }]);
    let rule = json!({ "host": "a.example.com", "http": { "paths": [{ "path": "/", "pathType": "Prefix",
        "backend": { "service": { "name": "s", "port": { "number": 80 } } } }] } });
    let slice = json!({ "addressType": "IPv4", "ports": [{ "name": "http", "port": 80 }],
        "endpoints": [{ "addresses": ["192.0.2.1"] }] });
    vec![
        one(
            "v1",
            "services",
            "Service",
            json!({ "spec": { "type": "NodePort", "ports": [{ "port": 80, "name": "a", "nodePort": 30080 },
            { "port": 81, "name": "b", "nodePort": 30081 }], "externalIPs": ["192.0.2.9"] } }),
        ),
        one("v1", "endpoints", "Endpoints", json!({ "subsets": subsets })),
        one("discovery.k8s.io/v1", "endpointslices", "EndpointSlice", slice),
        one("networking.k8s.io/v1", "ingresses", "Ingress", json!({ "spec": { "rules": [rule] } })),
        one(
            "networking.k8s.io/v1",
            "networkpolicies",
            "NetworkPolicy",
            json!({ "spec": { "podSelector": { "matchLabels": { "a": "b" } } } }),
        ),
    ]
}

fn storage() -> Vec<(String, Value)> {
    let one_gib = json!({ "storage": "1Gi" });
    let volume = json!({ "spec": { "capacity": one_gib, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "hostPath": { "path": "/d" },
        "claimRef": { "namespace": "compared", "name": "c" } } });
    vec![
        wide("v1", "persistentvolumes", "PersistentVolume", volume),
        one(
            "v1",
            "persistentvolumeclaims",
            "PersistentVolumeClaim",
            json!({ "spec": { "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": one_gib }, "storageClassName": "manual", "volumeName": "shown" } }),
        ),
        one("v1", "configmaps", "ConfigMap", json!({ "data": { "a": "1", "b": "2" }, "binaryData": { "c": "eA==" } })),
        one("v1", "secrets", "Secret", json!({ "stringData": { "a": "1" } })),
    ]
}

fn rest() -> Vec<(String, Value)> {
    let event = json!({ "involvedObject": { "kind": "Pod", "name": "p", "namespace": "compared", "fieldPath": "spec" },
        "type": "Warning", "reason": "Failed", "message": " it failed ", "source": { "component": "c", "host": "h" },
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 3 });
    vec![
        one("v1", "serviceaccounts", "ServiceAccount", json!({})),
        one("v1", "events", "Event", event),
        one("v1", "resourcequotas", "ResourceQuota", json!({ "spec": { "hard": { "pods": "5", "limits.cpu": "2" } } })),
        one(
            "v1",
            "limitranges",
            "LimitRange",
            json!({ "spec": { "limits": [{ "type": "Container", "default": { "cpu": "1" } }] } }),
        ),
        one("coordination.k8s.io/v1", "leases", "Lease", json!({ "spec": { "holderIdentity": "me" } })),
    ]
}
