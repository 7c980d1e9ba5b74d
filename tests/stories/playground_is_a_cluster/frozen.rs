//! What may not change once it is there: through a replacement, a merge, an apply and a rehearsed apply.

use super::alike::ASKED_ADDRESS;
use super::asked::{Asked, apply, delete, merge, post, put};
use serde_json::{Value, json};

const APPS: &str = "/apis/apps/v1/namespaces/compared";
const CORE: &str = "/api/v1/namespaces/compared";
const JOBS: &str = "/apis/batch/v1/namespaces/compared/jobs";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/compared/rolebindings";

/// Each kind's object, and the changes that are refused or taken.
pub(super) fn requests() -> Vec<Asked> {
    [selectors(), stateful_sets(), jobs(), services(), claims(), sealed(), pods(), bindings()]
        .into_iter()
        .flatten()
        .collect()
}

/// One change of an object in every way that a client has.
fn every_way(what: &str, path: &str, whole: &Value, patch: &Value) -> Vec<Asked> {
    vec![
        put(&format!("{what}, replaced"), path, whole.clone()),
        merge(&format!("{what}, merged"), path, patch.clone()),
        apply(&format!("{what}, applied"), path, "frozen&force=true", whole.clone()),
        apply(&format!("{what}, rehearsed"), path, "frozen&force=true&dryRun=All", whole.clone()),
    ]
}

/// The changes of a spec, each merged into the object.
fn merged(what: &str, path: &str, patches: Vec<(&str, Value)>) -> Vec<Asked> {
    let one = |(change, spec): (&str, Value)| merge(&format!("{what}: {change}"), path, json!({ "spec": spec }));
    patches.into_iter().map(one).collect()
}

fn template(label: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": label } },
        "spec": { "containers": [{ "name": "c", "image": "example.com/c:1" }] },
    })
}

fn workload(kind: &str, selected: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": "frozen", "namespace": "compared" },
        "spec": { "selector": { "matchLabels": { "app": selected } }, "template": template(selected) },
    })
}

fn selectors() -> Vec<Asked> {
    let mut all = Vec::new();
    for (kind, plural) in [
        ("Deployment", "deployments"),
        ("ReplicaSet", "replicasets"),
        ("StatefulSet", "statefulsets"),
        ("DaemonSet", "daemonsets"),
    ] {
        let (path, what) = (format!("{APPS}/{plural}"), format!("the selector of a {kind}"));
        all.push(post(&format!("a {kind}"), &path, workload(kind, "a")));
        let other = json!({ "spec": { "selector": { "matchLabels": { "app": "b" } } } });
        all.extend(every_way(&what, &format!("{path}/frozen"), &workload(kind, "b"), &other));
    }
    all
}

fn stateful_sets() -> Vec<Asked> {
    let claim = json!([{ "metadata": { "name": "data" }, "spec": { "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": "1Gi" } } } }]);
    let changes = vec![
        ("the service", json!({ "serviceName": "other" })),
        ("the order", json!({ "podManagementPolicy": "Parallel" })),
        ("an unknown order", json!({ "podManagementPolicy": "Sideways" })),
        ("the claims", json!({ "volumeClaimTemplates": claim })),
        ("what may change", json!({ "minReadySeconds": 3, "revisionHistoryLimit": 3, "replicas": 2 })),
    ];
    merged("a StatefulSet", &format!("{APPS}/statefulsets/frozen"), changes)
}

fn job(image: &str) -> Value {
    let mut template = template("job");
    template["spec"]["restartPolicy"] = json!("Never");
    template["spec"]["containers"][0]["image"] = json!(image);
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "frozen", "namespace": "compared" },
        "spec": { "template": template },
    })
}

fn jobs() -> Vec<Asked> {
    let path = format!("{JOBS}/frozen");
    let mut restarting = job("example.com/c:1");
    restarting["metadata"]["name"] = json!("restarting");
    restarting["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
    let changes = vec![
        ("the completions", json!({ "completions": 3 })),
        ("the mode", json!({ "completionMode": "Indexed" })),
        ("the selector", json!({ "selector": { "matchLabels": { "a": "b" } } })),
        ("a negative limit", json!({ "backoffLimit": -1 })),
        ("what may change", json!({ "parallelism": 2, "backoffLimit": 2, "suspend": true })),
    ];
    let image =
        json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": "example.com/c:2" }] } } } });
    [
        vec![post("a Job", JOBS, job("example.com/c:1")), post("a Job that restarts its pods", JOBS, restarting)],
        every_way("the template of a Job", &path, &job("example.com/c:2"), &image),
        merged("a Job", &path, changes),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "frozen", "namespace": "compared" },
        "spec": { "selector": { "app": "a" }, "ports": [{ "port": 80 }] },
    })
}

fn services() -> Vec<Asked> {
    let (path, mut moved) = (format!("{CORE}/services/frozen"), service());
    moved["spec"]["clusterIP"] = json!(ASKED_ADDRESS);
    let changes = vec![
        ("no address", json!({ "clusterIP": "None" })),
        ("a name elsewhere without the name", json!({ "type": "ExternalName" })),
        ("an unknown type", json!({ "type": "Sideways" })),
        ("no ports", json!({ "ports": [] })),
        ("a port that is none", json!({ "ports": [{ "port": 0 }] })),
        ("an unknown affinity", json!({ "sessionAffinity": "Sideways" })),
        ("open on the nodes", json!({ "type": "NodePort" })),
    ];
    [
        vec![post("a Service", &format!("{CORE}/services"), service())],
        vec![put("a Service without its address", &path, service())],
        every_way("the address of a Service", &path, &moved, &json!({ "spec": { "clusterIP": ASKED_ADDRESS } })),
        merged("a Service", &path, changes),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn claims() -> Vec<Asked> {
    let claim = |mode: &str| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": "frozen", "namespace": "compared" },
            "spec": { "accessModes": [mode], "resources": { "requests": { "storage": "1Gi" } } },
        })
    };
    let path = format!("{CORE}/persistentvolumeclaims/frozen");
    let changes = vec![
        ("more", json!({ "resources": { "requests": { "storage": "2Gi" } } })),
        ("less", json!({ "resources": { "requests": { "storage": "1Mi" } } })),
        ("the mode", json!({ "volumeMode": "Block" })),
        ("its class, for the first time", json!({ "storageClassName": "manual" })),
        ("its class, for the second time", json!({ "storageClassName": "other" })),
        ("its volume, for the first time", json!({ "volumeName": "absent" })),
        ("its volume, for the second time", json!({ "volumeName": "other" })),
    ];
    [
        vec![post("a claim", &format!("{CORE}/persistentvolumeclaims"), claim("ReadWriteOnce"))],
        every_way(
            "the access of a claim",
            &path,
            &claim("ReadOnlyMany"),
            &json!({ "spec": { "accessModes": ["ReadOnlyMany"] } }),
        ),
        merged("a claim", &path, changes),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn sealed() -> Vec<Asked> {
    let mut all = Vec::new();
    for (kind, plural) in [("Secret", "secrets"), ("ConfigMap", "configmaps")] {
        let sealed = |data: &str| {
            let metadata = json!({ "name": "sealed", "namespace": "compared" });
            json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata, "immutable": true, "data": { "a": data } })
        };
        let (list, path) = (format!("{CORE}/{plural}"), format!("{CORE}/{plural}/sealed"));
        all.push(post(&format!("a sealed {kind}"), &list, sealed("eA==")));
        let change = json!({ "data": { "a": "eQ==" } });
        all.extend(every_way(&format!("the data of a sealed {kind}"), &path, &sealed("eQ=="), &change));
        let changes = [
            ("is opened", json!({ "immutable": false })),
            ("is opened by leaving it out", json!({ "immutable": null })),
            ("is opened and changed", json!({ "immutable": false, "data": { "b": "eQ==" } })),
            ("gets a label", json!({ "metadata": { "labels": { "l": "1" } } })),
        ];
        all.extend(changes.into_iter().map(|(what, patch)| merge(&format!("a sealed {kind} {what}"), &path, patch)));
    }
    all.push(merge("the type of a Secret", &format!("{CORE}/secrets/sealed"), json!({ "type": "example.com/other" })));
    all.push(merge(
        "bytes in a sealed ConfigMap",
        &format!("{CORE}/configmaps/sealed"),
        json!({ "binaryData": { "b": "eQ==" } }),
    ));
    all
}

fn pods() -> Vec<Asked> {
    let pod = |policy: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "frozen", "namespace": "compared" },
            "spec": { "containers": [{ "name": "c", "image": "example.com/c:1" }], "restartPolicy": policy,
                "automountServiceAccountToken": false },
        })
    };
    let path = format!("{CORE}/pods/frozen");
    let containers = |container: Value| json!({ "containers": [container] });
    let changes = vec![
        ("the image", containers(json!({ "name": "c", "image": "example.com/c:2" }))),
        ("no image", containers(json!({ "name": "c", "image": "" }))),
        ("the command", containers(json!({ "name": "c", "image": "example.com/c:2", "command": ["a"] }))),
        ("another container", containers(json!({ "name": "d", "image": "example.com/c:2" }))),
        ("the node", json!({ "nodeName": "elsewhere" })),
        ("the grace", json!({ "terminationGracePeriodSeconds": 1 })),
        ("the deadline", json!({ "activeDeadlineSeconds": 500 })),
        ("a later deadline", json!({ "activeDeadlineSeconds": 600 })),
    ];
    [
        vec![post("a Pod", &format!("{CORE}/pods"), pod("Always"))],
        every_way("the policy of a Pod", &path, &pod("Never"), &json!({ "spec": { "restartPolicy": "Never" } })),
        merged("a Pod", &path, changes),
        vec![delete("a Pod is deleted", &path, None)],
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn bindings() -> Vec<Asked> {
    let binding = |role: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": "frozen", "namespace": "compared" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role },
        })
    };
    let mut all = vec![post("a binding", BINDINGS, binding("a"))];
    let path = format!("{BINDINGS}/frozen");
    all.extend(every_way("the role of a binding", &path, &binding("b"), &json!({ "roleRef": { "name": "b" } })));
    all
}
