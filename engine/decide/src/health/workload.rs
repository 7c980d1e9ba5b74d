//! The health of what runs pods.

use super::{Health, Status, condition, count, is_behind, text};
use crate::sync::object::int_at;
use serde_json::Value;

/// A Deployment's health. Source: Argo CD's health_deployment.go@24442b2.
pub(super) fn deployment(live: &Value) -> Health {
    if live["spec"]["paused"] == true {
        return Health::new(Status::Suspended, "Deployment is paused");
    }
    if is_behind(live) {
        return Health::new(Status::Progressing, "observed deployment generation less than desired generation");
    }
    if let Some(progressing) = condition(live, "Progressing")
        && text(progressing, "reason") == "ProgressDeadlineExceeded"
    {
        return Health::new(
            Status::Degraded,
            format!("exceeded its progress deadline: {}", text(progressing, "message")),
        );
    }
    let (replicas, updated, available) = counts(live);
    if let Some(wanted) = int_at(live, &["spec", "replicas"])
        && updated < wanted
    {
        return Health::new(Status::Progressing, format!("{updated} of {wanted} replicas are updated"));
    }
    if replicas > updated {
        return Health::new(
            Status::Progressing,
            format!("{} old replicas are pending termination", replicas - updated),
        );
    }
    if available < updated {
        return Health::new(Status::Progressing, format!("{available} of {updated} updated replicas are available"));
    }
    Health::healthy()
}

fn counts(live: &Value) -> (i64, i64, i64) {
    let of = |key: &str| count(live, &["status", key]);
    (of("replicas"), of("updatedReplicas"), of("availableReplicas"))
}

/// A StatefulSet's health. Source: Argo CD's health_statefulset.go@0ee695c.
pub(super) fn stateful_set(live: &Value) -> Health {
    if count(live, &["status", "observedGeneration"]) == 0 || is_behind(live) {
        return Health::new(Status::Progressing, "waiting for the statefulset's new spec to be observed");
    }
    let wanted = int_at(live, &["spec", "replicas"]);
    let ready = count(live, &["status", "readyReplicas"]);
    if let Some(wanted) = wanted
        && ready < wanted
    {
        return Health::new(Status::Progressing, format!("{ready} of {wanted} pods are ready"));
    }
    let strategy = &live["spec"]["updateStrategy"];
    let rolling = &strategy["rollingUpdate"];
    if strategy["type"] == "RollingUpdate" && rolling.is_object() {
        let partition = count(rolling, &["partition"]);
        let updated = count(live, &["status", "updatedReplicas"]);
        if let Some(wanted) = wanted
            && updated < wanted - partition
        {
            let message = format!("{updated} of {} pods beyond the partition are updated", wanted - partition);
            return Health::new(Status::Progressing, message);
        }
        return Health::healthy();
    }
    let (update, current) = (&live["status"]["updateRevision"], &live["status"]["currentRevision"]);
    if strategy["type"] != "OnDelete" && update != current {
        return Health::new(Status::Progressing, "the rolling update is under way");
    }
    Health::healthy()
}

/// Source: health_daemonset.go, from general knowledge.
pub(super) fn daemon_set(live: &Value) -> Health {
    if is_behind(live) {
        return Health::new(Status::Progressing, "observed daemon set generation less than desired generation");
    }
    if live["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return Health::healthy();
    }
    let desired = count(live, &["status", "desiredNumberScheduled"]);
    let updated = count(live, &["status", "updatedNumberScheduled"]);
    let available = count(live, &["status", "numberAvailable"]);
    if updated < desired {
        return Health::new(Status::Progressing, format!("{updated} of {desired} pods are updated"));
    }
    if available < desired {
        return Health::new(Status::Progressing, format!("{available} of {desired} updated pods are available"));
    }
    Health::healthy()
}

/// Source: health_replicaset.go, from general knowledge.
pub(super) fn replica_set(live: &Value) -> Health {
    if is_behind(live) {
        return Health::new(Status::Progressing, "observed replica set generation less than desired generation");
    }
    if let Some(failure) = condition(live, "ReplicaFailure")
        && text(failure, "status") == "True"
    {
        return Health::new(Status::Degraded, text(failure, "message"));
    }
    let wanted = int_at(live, &["spec", "replicas"]).unwrap_or(1);
    let available = count(live, &["status", "availableReplicas"]);
    if available < wanted {
        return Health::new(Status::Progressing, format!("{available} of {wanted} replicas are available"));
    }
    Health::healthy()
}

/// Source: health_job.go@0d1302c. A suspended Job aggregates as Healthy there.
pub(super) fn job(live: &Value) -> Health {
    let is = |kind: &str| condition(live, kind).filter(|c| text(c, "status") == "True");
    if let Some(failed) = is("Failed") {
        return Health::new(Status::Degraded, text(failed, "message"));
    }
    if let Some(complete) = is("Complete") {
        return Health::new(Status::Healthy, text(complete, "message"));
    }
    match is("Suspended") {
        Some(suspended) => Health::new(Status::Suspended, text(suspended, "message")),
        None => Health::new(Status::Progressing, "the job runs"),
    }
}

/// Source: health_pod.go, from general knowledge.
pub(super) fn pod(live: &Value) -> Health {
    let message = text(&live["status"], "message");
    match live["status"]["phase"].as_str() {
        Some("Pending") => match stuck_container(live) {
            Some(why) => Health::new(Status::Degraded, why),
            None => Health::new(Status::Progressing, message),
        },
        Some("Succeeded") => Health::new(Status::Healthy, message),
        Some("Failed") => Health::new(Status::Degraded, if message.is_empty() { "the pod failed" } else { message }),
        Some("Running") => running_pod(live),
        _ => Health::new(Status::Unknown, message),
    }
}

fn running_pod(live: &Value) -> Health {
    if live["spec"]["restartPolicy"].as_str().is_some_and(|policy| policy != "Always") {
        return Health::new(Status::Progressing, "the pod runs to its end");
    }
    let ready = condition(live, "Ready").is_some_and(|c| text(c, "status") == "True");
    if ready {
        return Health::healthy();
    }
    if let Some(why) = stuck_container(live) {
        return Health::new(Status::Degraded, why);
    }
    let restarted = containers(live).find(|c| !c["lastState"]["terminated"].is_null());
    match restarted {
        Some(container) => {
            Health::new(Status::Degraded, format!("container {} has restarted", text(container, "name")))
        }
        None => Health::new(Status::Progressing, "the pod is not ready yet"),
    }
}

fn containers(live: &Value) -> impl Iterator<Item = &Value> {
    let of = |key: &str| live["status"][key].as_array().into_iter().flatten();
    of("initContainerStatuses").chain(of("containerStatuses"))
}

/// A container that will not start by itself.
fn stuck_container(live: &Value) -> Option<String> {
    containers(live).find_map(|container| {
        let waiting = &container["state"]["waiting"];
        let reason = waiting["reason"].as_str()?;
        let stuck = reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff");
        stuck.then(|| {
            format!("container {}: {reason} {}", text(container, "name"), text(waiting, "message")).trim().to_owned()
        })
    })
}

/// Source: Rollout/health.lua (current). `observedGeneration` is a string.
pub(super) fn rollout(live: &Value) -> Health {
    let status = &live["status"];
    let observed = match &status["observedGeneration"] {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    };
    if observed != int_at(live, &["metadata", "generation"]) {
        return Health::new(Status::Progressing, "waiting for the rollout's new spec to be observed");
    }
    let pauses = status["pauseConditions"].as_array().is_some_and(|pauses| !pauses.is_empty());
    if status["controllerPause"] == true && !pauses {
        return Health::new(Status::Progressing, "the rollout is about to go on");
    }
    let message = text(status, "message");
    if let Some(invalid) = condition(live, "InvalidSpec") {
        return Health::new(Status::Degraded, text(invalid, "message"));
    }
    if status["abort"] == true {
        return Health::new(Status::Degraded, if message.is_empty() { "the rollout was aborted" } else { message });
    }
    let known = match status["phase"].as_str() {
        Some("Healthy") => Status::Healthy,
        Some("Paused") => Status::Suspended,
        Some("Degraded") => Status::Degraded,
        Some("Progressing") => Status::Progressing,
        Some(_) => Status::Unknown,
        None => Status::Progressing,
    };
    Health::new(known, message)
}
