//! The health of live objects, by Argo CD's rules.
//!
//! Source: argo-cd gitops-engine/pkg/health (see each rule) and, for Rollouts,
//! `resource_customizations/argoproj.io/Rollout/health.lua`.

mod judged;
mod workload;

pub use judged::{Judge, Judged, Kind};

use crate::sync::object::{self, annotation, int_at};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Argo's words, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    /// It does what it should.
    Healthy,
    /// It is held on purpose.
    Suspended,
    /// It is on its way.
    Progressing,
    /// It is not there.
    Missing,
    /// It failed, or cannot get on.
    Degraded,
    /// It cannot be told.
    Unknown,
}

impl Status {
    /// The word that Argo CD shows for it.
    pub fn word(self) -> &'static str {
        match self {
            Status::Healthy => "Healthy",
            Status::Suspended => "Suspended",
            Status::Progressing => "Progressing",
            Status::Missing => "Missing",
            Status::Degraded => "Degraded",
            Status::Unknown => "Unknown",
        }
    }
}

/// An object's health, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// How the object is, without the reason.
    pub status: Status,
    /// Why, as a sentence; empty where the word says all.
    pub message: String,
}

impl Health {
    /// A health and why.
    pub fn new(status: Status, message: impl Into<String>) -> Health {
        Health { status, message: message.into() }
    }

    fn healthy() -> Health {
        Health::new(Status::Healthy, "")
    }
}

/// The health of a live object; `None` for kinds without a rule, which count
/// as done, and for objects that ask to be left out. What a plugin judges, only
/// that plugin judges.
pub fn of(live: &Value, judged: &Judged) -> Option<Health> {
    if !counts(live) {
        return None;
    }
    if object::is_going(live) {
        return Some(Health::new(Status::Progressing, "Pending deletion"));
    }
    judged.answer(live).or_else(|| by_rule(live))
}

/// Whether an object does not ask to be left out.
fn counts(live: &Value) -> bool {
    annotation(live, "argocd.argoproj.io/ignore-healthcheck") != Some("true")
}

fn by_rule(live: &Value) -> Option<Health> {
    let (group, _) = object::group_version(object::api_version(live));
    Some(match (group, object::kind(live)) {
        ("apps" | "extensions", "Deployment") => workload::deployment(live),
        ("apps", "StatefulSet") => workload::stateful_set(live),
        ("apps" | "extensions", "DaemonSet") => workload::daemon_set(live),
        ("apps" | "extensions", "ReplicaSet") => workload::replica_set(live),
        ("argoproj.io", "Rollout") => workload::rollout(live),
        ("", "Pod") => workload::pod(live),
        ("batch", "Job") => workload::job(live),
        ("batch", "CronJob") => cron_job(live),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler(live),
        ("", "PersistentVolumeClaim") => claim(live),
        ("", "Service") if live["spec"]["type"] == "LoadBalancer" => balanced(live),
        ("", "Service") => Health::healthy(),
        ("networking.k8s.io" | "extensions", "Ingress") => balanced(live),
        ("apiregistration.k8s.io", "APIService") => api_service(live),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(live),
        _ => return None,
    })
}

/// The worst of some; Healthy where there are none.
pub fn worst(all: impl IntoIterator<Item = Status>) -> Status {
    all.into_iter().max().unwrap_or(Status::Healthy)
}

/// A condition by its type.
pub(crate) fn condition<'a>(live: &'a Value, kind: &str) -> Option<&'a Value> {
    live["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

pub(crate) fn count(live: &Value, path: &[&str]) -> i64 {
    int_at(live, path).unwrap_or(0)
}

/// Whether the controller has not yet seen the newest spec.
pub(crate) fn is_behind(live: &Value) -> bool {
    count(live, &["status", "observedGeneration"]) < count(live, &["metadata", "generation"])
}

/// The first condition that says something decides, in the order of the list.
fn autoscaler(live: &Value) -> Health {
    let old = annotation(live, "autoscaling.alpha.kubernetes.io/conditions");
    let parsed: Value = old.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let conditions = live["status"]["conditions"].as_array().or_else(|| parsed.as_array());
    for condition in conditions.into_iter().flatten() {
        let is_true = text(condition, "status") == "True";
        let status = match (text(condition, "type"), text(condition, "reason")) {
            ("AbleToScale", "FailedGetScale" | "FailedUpdateScale") => Status::Degraded,
            ("ScalingActive", "FailedGetResourceMetric" | "FailedGetObjectMetric" | "InvalidSelector") => {
                Status::Degraded
            }
            ("AbleToScale" | "ScalingLimited", _) if is_true => Status::Healthy,
            _ => continue,
        };
        return Health::new(status, text(condition, "message"));
    }
    Health::new(Status::Progressing, "Waiting to Autoscale")
}

fn claim(live: &Value) -> Health {
    let provisioned = annotation(live, "volume.beta.kubernetes.io/storage-provisioner").is_some();
    match live["status"]["phase"].as_str() {
        Some("Bound") => Health::healthy(),
        Some("Lost") => Health::new(Status::Degraded, "the volume is lost"),
        Some("Pending") if provisioned => Health::new(Status::Progressing, "the volume is being made"),
        Some("Pending") => Health::new(Status::Healthy, "waits for its first consumer"),
        _ => Health::new(Status::Unknown, "the claim says no phase"),
    }
}

fn balanced(live: &Value) -> Health {
    let entries = live["status"]["loadBalancer"]["ingress"].as_array();
    let has_address = |entry: &Value| !text(entry, "hostname").is_empty() || !text(entry, "ip").is_empty();
    match entries.is_some_and(|entries| entries.iter().any(has_address)) {
        true => Health::healthy(),
        false => Health::new(Status::Progressing, "the load balancer has no address yet"),
    }
}

fn api_service(live: &Value) -> Health {
    match condition(live, "Available").map(|c| (text(c, "status"), text(c, "message"))) {
        Some(("True", message)) => Health::new(Status::Healthy, message),
        Some((_, message)) => Health::new(Status::Progressing, message),
        None => Health::new(Status::Progressing, "Waiting to be processed"),
    }
}

fn definition(live: &Value) -> Health {
    let is = |kind: &str, status: &str| condition(live, kind).is_some_and(|c| text(c, "status") == status);
    let message = |kind: &str| condition(live, kind).map(|c| text(c, "message")).unwrap_or_default();
    if is("Terminating", "True") {
        return Health::new(Status::Progressing, "the definition is being deleted");
    }
    if is("NamesAccepted", "False") {
        return Health::new(Status::Degraded, message("NamesAccepted"));
    }
    match is("Established", "True") {
        true => Health::healthy(),
        false => Health::new(Status::Progressing, "the definition is not established yet"),
    }
}

fn cron_job(live: &Value) -> Health {
    match live["spec"]["suspend"] == true {
        true => Health::new(Status::Suspended, "the schedule is suspended"),
        false => Health::healthy(),
    }
}

#[cfg(test)]
#[path = "health/tests.rs"]
mod tests;
