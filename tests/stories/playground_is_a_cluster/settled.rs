//! What controllers make of an object once nothing moves any more: its status, and its children.

use super::asked::{Asked, apply, delete, merge, post, settled};
use serde_json::{Value, json};

/// The namespace in which everything comes to rest.
pub(super) const NAMESPACE: &str = "settled";

const APPS: &str = "/apis/apps/v1/namespaces/settled";
const BATCH: &str = "/apis/batch/v1/namespaces/settled";
const CORE: &str = "/api/v1/namespaces/settled";

const FIRST: &str = "/status/conditions/0/type";
const SECOND: &str = "/status/conditions/1/type";
const PHASE: &str = "/status/phase";
const ONE: &str = "/items/0/metadata/namespace";
const TWO: &str = "/items/1/metadata/namespace";

/// One kind after the other.
pub(super) fn requests() -> Vec<Asked> {
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
    let mut all = vec![post("the namespace to settle in", "/api/v1/namespaces", namespace)];
    all.extend([stateful_sets(), daemon_sets(), jobs(), cron_jobs(), claims(), services()].into_iter().flatten());
    all
}

fn template(app: &str, image: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": { "containers": [{ "name": "c", "image": image }], "automountServiceAccountToken": false },
    })
}

fn object(version: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec })
}

fn pods(what: &str, app: &str, field: &'static str, value: Value) -> Asked {
    settled(&format!("{what}: its pods"), &format!("{CORE}/pods?labelSelector=app%3D{app}"), field, value)
}

fn stateful_sets() -> Vec<Asked> {
    let (path, revisions) =
        (format!("{APPS}/statefulsets/db"), format!("{APPS}/controllerrevisions?labelSelector=app%3Ddb"));
    let claim = json!({ "metadata": { "name": "data" }, "spec": { "accessModes": ["ReadWriteOnce"],
        "storageClassName": "absent", "resources": { "requests": { "storage": "1Gi" } } } });
    let spec = |image: &str, replicas: u32, partition: u32| {
        object(
            "apps/v1",
            "StatefulSet",
            "db",
            json!({
                "replicas": replicas, "serviceName": "db", "selector": { "matchLabels": { "app": "db" } },
                "template": template("db", image), "volumeClaimTemplates": [claim],
                "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": partition } },
            }),
        )
    };
    let after = |what: &str, status: (&'static str, u32), pod: (&'static str, Value), last: &'static str| {
        vec![
            pods(&format!("a StatefulSet {what}"), "db", pod.0, pod.1),
            settled(&format!("a StatefulSet {what}"), &path, status.0, json!(status.1)),
            settled(&format!("a StatefulSet {what}: its revisions"), &revisions, last, json!(NAMESPACE)),
        ]
    };
    let (updated, image) = ("/status/updatedReplicas", json!("example.com/db:2"));
    let mut all = vec![apply("a StatefulSet is applied", &path, "one", spec("example.com/db:1", 3, 0))];
    all.extend(after(
        "with three pods",
        ("/status/availableReplicas", 3),
        ("/items/2/status/phase", json!("Running")),
        ONE,
    ));
    all.push(apply("a StatefulSet gets an image for its last pod", &path, "one", spec("example.com/db:2", 3, 2)));
    all.extend(after("of two revisions", (updated, 1), ("/items/2/spec/containers/0/image", image.clone()), TWO));
    all.push(apply("a StatefulSet gets the image for all", &path, "one", spec("example.com/db:2", 3, 0)));
    all.extend(after("of the second revision", (updated, 3), ("/items/0/spec/containers/0/image", image), TWO));
    all.push(apply("a StatefulSet shrinks", &path, "one", spec("example.com/db:2", 2, 0)));
    all.extend(after("with two pods", ("/status/replicas", 2), ("/items/2", Value::Null), TWO));
    let mut stuck = spec("example.com/never-ready:1", 2, 0);
    stuck["metadata"]["name"] = json!("stuck");
    stuck["spec"]["selector"]["matchLabels"]["app"] = json!("stuck");
    stuck["spec"]["template"]["metadata"]["labels"]["app"] = json!("stuck");
    let path = format!("{APPS}/statefulsets/stuck");
    all.push(apply("a StatefulSet whose pods never become ready", &path, "one", stuck));
    all.push(settled("a StatefulSet that waits for its first pod", &path, "/status/replicas", json!(1)));
    all
}

fn daemon_sets() -> Vec<Asked> {
    let path = format!("{APPS}/daemonsets/agent");
    let spec = |image: &str, of: Value| {
        let mut template = template("agent", image);
        template["spec"]["nodeSelector"] = of;
        object(
            "apps/v1",
            "DaemonSet",
            "agent",
            json!({ "selector": { "matchLabels": { "app": "agent" } }, "template": template }),
        )
    };
    let after = |what: &str, status: (&'static str, u32), pod: (&'static str, Value)| {
        vec![
            pods(&format!("a DaemonSet {what}"), "agent", pod.0, pod.1),
            settled(&format!("a DaemonSet {what}"), &path, status.0, json!(status.1)),
        ]
    };
    let mut all = vec![apply("a DaemonSet is applied", &path, "one", spec("example.com/agent:1", json!({})))];
    all.extend(after("on every node", ("/status/numberAvailable", 1), ("/items/0/status/phase", json!("Running"))));
    all.push(apply("a DaemonSet gets an image", &path, "one", spec("example.com/agent:2", json!({}))));
    all.extend(after(
        "of the second revision",
        ("/status/observedGeneration", 2),
        ("/items/0/spec/containers/0/image", json!("example.com/agent:2")),
    ));
    all.push(apply(
        "a DaemonSet is for other nodes",
        &path,
        "one",
        spec("example.com/agent:2", json!({ "of": "nobody" })),
    ));
    all.extend(after("on no node", ("/status/desiredNumberScheduled", 0), ("/items/0", Value::Null)));
    all
}

fn jobs() -> Vec<Asked> {
    let mut all = Vec::new();
    let mut job = |name: &str, what: &str, command: &str, more: Value, status: (&'static str, Value)| {
        let mut spec = more;
        spec["template"] = template(name, "example.com/job:1");
        spec["template"]["spec"]["restartPolicy"] = json!("Never");
        spec["template"]["spec"]["containers"][0]["command"] = json!(["sh", "-c", command]);
        let path = format!("{BATCH}/jobs/{name}");
        all.push(apply(&format!("a Job {what} is applied"), &path, "one", object("batch/v1", "Job", name, spec)));
        all.push(settled(&format!("a Job {what}"), &path, status.0, status.1));
        all.push(pods(&format!("a Job {what}"), name, "/kind", json!("PodList")));
    };
    job("once", "that ends well", "exit 0", json!({}), (SECOND, json!("Complete")));
    job(
        "twice",
        "that ends well three times, two at a time",
        "exit 0",
        json!({ "completions": 3, "parallelism": 2 }),
        (SECOND, json!("Complete")),
    );
    job("badly", "that fails at once", "exit 1", json!({ "backoffLimit": 0 }), (SECOND, json!("Failed")));
    job("later", "that is suspended", "exit 0", json!({ "suspend": true }), (FIRST, json!("Suspended")));
    job(
        "running",
        "that runs",
        "sleep 900",
        json!({ "parallelism": 2, "completions": 2 }),
        ("/status/ready", json!(2)),
    );
    let path = format!("{BATCH}/jobs/later");
    all.push(merge("a Job is resumed", &path, json!({ "spec": { "suspend": false } })));
    all.push(settled("a Job that was suspended", &path, "/status/conditions/2/type", json!("Complete")));
    let path = format!("{BATCH}/jobs/running");
    all.push(merge("a Job is suspended while it runs", &path, json!({ "spec": { "suspend": true } })));
    all.push(settled("a Job that was running", &path, FIRST, json!("Suspended")));
    all
}

fn cron_jobs() -> Vec<Asked> {
    let path = format!("{BATCH}/cronjobs/yearly");
    let mut template = template("yearly", "example.com/job:1");
    template["spec"]["restartPolicy"] = json!("Never");
    let spec = json!({ "schedule": "0 3 29 2 *", "jobTemplate": { "spec": { "template": template } } });
    vec![
        apply("a CronJob is applied", &path, "one", object("batch/v1", "CronJob", "yearly", spec)),
        settled("a CronJob whose time has not come", &path, "/status", json!({})),
    ]
}

fn claims() -> Vec<Asked> {
    let path = format!("{CORE}/persistentvolumeclaims");
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "kept" },
        "spec": { "capacity": { "storage": "2Gi" }, "accessModes": ["ReadWriteOnce"], "storageClassName": "manual",
            "hostPath": { "path": "/kept" } },
    });
    let claim = |name: &str, class: &str| {
        object(
            "v1",
            "PersistentVolumeClaim",
            name,
            json!({ "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": { "requests": { "storage": "1Gi" } } }),
        )
    };
    vec![
        post("a volume", "/api/v1/persistentvolumes", volume),
        settled("a volume that is free", "/api/v1/persistentvolumes/kept", PHASE, json!("Available")),
        post("a claim on it", &path, claim("fitting", "manual")),
        settled("a claim that is bound", &format!("{path}/fitting"), PHASE, json!("Bound")),
        settled("a volume that is bound", "/api/v1/persistentvolumes/kept", PHASE, json!("Bound")),
        delete("the claim is deleted", &format!("{path}/fitting"), None),
        settled("the claim is gone", &format!("{path}/fitting"), "/reason", json!("NotFound")),
        settled("a volume that was left", "/api/v1/persistentvolumes/kept", PHASE, json!("Released")),
        post("a claim that nothing fits", &path, claim("lonely", "absent")),
        settled("a claim without a volume", &format!("{path}/lonely"), PHASE, json!("Pending")),
    ]
}

fn services() -> Vec<Asked> {
    let spec = json!({ "selector": { "app": "db" }, "ports": [{ "name": "sql", "port": 5432 }] });
    let rule = json!({ "http": { "paths": [{ "path": "/", "pathType": "Prefix",
        "backend": { "service": { "name": "db", "port": { "number": 5432 } } } }] } });
    let ingress = "/apis/networking.k8s.io/v1/namespaces/settled/ingresses";
    vec![
        post("a Service", &format!("{CORE}/services"), object("v1", "Service", "db", spec)),
        settled("a Service with pods", &format!("{CORE}/services/db"), "/spec/type", json!("ClusterIP")),
        settled(
            "a Service with pods: its endpoints",
            &format!("{CORE}/endpoints/db"),
            "/subsets/0/addresses/1/nodeName",
            json!("node-1"),
        ),
        settled(
            "a Service with pods: its slices",
            "/apis/discovery.k8s.io/v1/namespaces/settled/endpointslices",
            "/kind",
            json!("EndpointSliceList"),
        ),
        post("an Ingress", ingress, object("networking.k8s.io/v1", "Ingress", "db", json!({ "rules": [rule] }))),
        settled("an Ingress with a Service", &format!("{ingress}/db"), "/kind", json!("Ingress")),
    ]
}
