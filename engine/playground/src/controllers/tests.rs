//! What the controllers bring to rest, with the kubelet stand-in beside them.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::patch::Patch;
use crate::api::{Deletion, Part, Write};
use crate::{Options, Playground};

async fn start(dir: &Path) -> Playground {
    let playground = Playground::start(dir, Options::default()).await.unwrap();
    let api = playground.api();
    api.create(&api.built_in("Namespace"), "", json!({"metadata": {"name": "n"}}), &Write::by("test")).unwrap();
    playground
}

/// Waits, change by change, until the objects of a kind are as wanted.
async fn until(playground: &Playground, kind: &str, what: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let api = playground.api();
    let kind = api.built_in(kind);
    let mut changes = api.changes();
    let all = || api.list(&kind, "", &Default::default()).0.iter().map(|o| Value::clone(o)).collect::<Vec<_>>();
    let wait = async {
        loop {
            let now = all();
            if holds(&now) {
                return now;
            }
            changes.changed().await.unwrap();
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    waited.unwrap_or_else(|_| panic!("never: {what}; {:?}", all()))
}

fn create(playground: &Playground, kind: &str, name: &str, spec: Value) {
    let api = playground.api();
    api.create(&api.built_in(kind), "n", json!({"metadata": {"name": name}, "spec": spec}), &Write::by("test"))
        .unwrap();
}

fn pods_of(app: &str, command: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}},
        "spec": {"containers": [{"name": "c", "image": "c:1", "command": ["sh", "-c", command]}]}})
}

fn ended(command: &str) -> Value {
    let mut template = pods_of("job", command);
    template["spec"]["restartPolicy"] = "Never".into();
    template
}

fn has_condition(object: &Value, kind: &str) -> bool {
    object["status"]["conditions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|c| c["type"] == kind && c["status"] == "True"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_makes_its_pods_one_after_the_other_and_renews_them_from_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let playground = start(dir.path()).await;
    let spec = json!({"replicas": 3, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
        "template": pods_of("db", "run"), "volumeClaimTemplates": [{"metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]});
    create(&playground, "StatefulSet", "db", spec);
    let of = |image: &'static str| {
        move |all: &[Value]| {
            all.len() == 3
                && all
                    .iter()
                    .all(|pod| pod["spec"]["containers"][0]["image"] == image && super::pods::ready(pod).is_some())
        }
    };
    let pods = until(&playground, "Pod", "three pods are ready", of("c:1")).await;
    let births: Vec<&str> = pods.iter().map(|pod| pod["metadata"]["creationTimestamp"].as_str().unwrap()).collect();
    assert!(births.is_sorted(), "the first is the oldest: {births:?}");
    let api = playground.api();
    let patch = Patch::Merge(json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "c:2"}]}}}}));
    api.patch(&api.built_in("StatefulSet"), "n", "db", Part::Whole, &patch, &Write::by("test")).unwrap();
    until(&playground, "Pod", "all pods are new", of("c:2")).await;
    let sets = until(&playground, "StatefulSet", "the update is complete", |all| {
        all[0]["status"]["currentRevision"] == all[0]["status"]["updateRevision"]
            && all[0]["status"]["readyReplicas"] == 3
    })
    .await;
    assert_eq!(sets[0]["status"]["currentReplicas"], 3);
    let claims = until(&playground, "PersistentVolumeClaim", "the claims are bound", |all| {
        all.iter().all(|claim| claim["status"]["phase"] == "Bound")
    })
    .await;
    let names: Vec<&str> = claims.iter().map(|claim| claim["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["data-db-0", "data-db-1", "data-db-2"]);
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_set_has_a_pod_on_every_node() {
    let dir = tempfile::tempdir().unwrap();
    let playground = start(dir.path()).await;
    let spec = json!({"selector": {"matchLabels": {"app": "agent"}}, "template": pods_of("agent", "run")});
    create(&playground, "DaemonSet", "agent", spec);
    until(&playground, "DaemonSet", "it is available", |all| all[0]["status"]["numberAvailable"] == 3).await;
    let pods = until(&playground, "Pod", "three pods", |all| all.len() == 3).await;
    let mut nodes: Vec<&str> = pods.iter().map(|pod| pod["spec"]["nodeName"].as_str().unwrap()).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["node-1", "node-2", "node-3"]);
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_complete_or_failed_as_its_pods_end() {
    let dir = tempfile::tempdir().unwrap();
    let playground = start(dir.path()).await;
    create(&playground, "Job", "bad", json!({"backoffLimit": 1, "template": ended("exit 1")}));
    create(&playground, "Job", "good", json!({"completions": 3, "parallelism": 2, "template": ended("exit 0")}));
    let jobs = until(&playground, "Job", "both are over", |all| {
        has_condition(&all[0], "Failed") && has_condition(&all[1], "Complete")
    })
    .await;
    assert_eq!(jobs[0]["status"]["failed"], 2, "the second failure is one more than allowed");
    assert_eq!(jobs[1]["status"]["succeeded"], 3);
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cron_job_makes_the_job_that_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let playground = start(dir.path()).await;
    let spec =
        json!({"schedule": "* * * * *", "suspend": true, "jobTemplate": {"spec": {"template": ended("exit 0")}}});
    create(&playground, "CronJob", "often", spec);
    let api = playground.api();
    let kind = api.built_in("CronJob");
    // The last time was an hour ago; so one is due.
    let before = json!({"status": {"lastScheduleTime": crate::api::clock::after(-3600)}});
    api.patch(&kind, "n", "often", Part::Status, &Patch::Merge(before), &Write::by("test")).unwrap();
    let resumed = Patch::Merge(json!({"spec": {"suspend": false}}));
    api.patch(&kind, "n", "often", Part::Whole, &resumed, &Write::by("test")).unwrap();
    let jobs =
        until(&playground, "Job", "its job is complete", |all| all.iter().any(|job| has_condition(job, "Complete")))
            .await;
    assert_eq!(jobs[0]["metadata"]["ownerReferences"][0]["name"], "often");
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_gets_a_volume_and_takes_it_along() {
    let dir = tempfile::tempdir().unwrap();
    let playground = start(dir.path()).await;
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}});
    create(&playground, "PersistentVolumeClaim", "data", spec);
    let claims =
        until(&playground, "PersistentVolumeClaim", "it is bound", |all| all[0]["status"]["phase"] == "Bound").await;
    assert_eq!(claims[0]["status"]["capacity"]["storage"], "1Gi");
    let api = playground.api();
    api.delete(&api.built_in("PersistentVolumeClaim"), "n", "data", &Deletion::default()).unwrap();
    until(&playground, "PersistentVolumeClaim", "the claim is gone", <[Value]>::is_empty).await;
    until(&playground, "PersistentVolume", "the volume is gone", <[Value]>::is_empty).await;
    playground.stop().await;
}
