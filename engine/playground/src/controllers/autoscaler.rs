//! HorizontalPodAutoscalers: the target's number within its bounds, by a load that is set from outside.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Again, Control, MANAGER, Stamp, number, own, set_condition, text};
use crate::api::kind::Kind;
use crate::api::patch::Patch;
use crate::api::refusal::Refusal;
use crate::api::store::{Event, Key};
use crate::api::{Part, Write, clock};

/// How loaded the targets of autoscalers are. Cloning gives another handle to the same loads.
#[derive(Clone, Debug)]
pub struct Loads {
    loads: Arc<Mutex<HashMap<(String, String), f64>>>,
    changed: tokio::sync::watch::Sender<u64>,
}

impl Default for Loads {
    fn default() -> Loads {
        Loads { loads: Arc::default(), changed: tokio::sync::watch::channel(0).0 }
    }
}

impl Loads {
    /// Sets the load of all pods together, in percent of what one pod requests: 600 at a target of 60 % asks for 10
    /// pods. Without a load the number stays as it is, within its bounds.
    pub fn set(&self, namespace: &str, autoscaler: &str, percent: f64) {
        let key = (namespace.to_owned(), autoscaler.to_owned());
        self.loads.lock().expect("no holder of this lock panics").insert(key, percent);
        self.changed.send_modify(|n| *n += 1);
    }

    fn get(&self, namespace: &str, autoscaler: &str) -> Option<f64> {
        let key = (namespace.to_owned(), autoscaler.to_owned());
        self.loads.lock().expect("no holder of this lock panics").get(&key).copied()
    }

    /// Tells when a load is set.
    pub(super) fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

/// The autoscalers that a changed object is the target of.
pub(super) fn targeting(control: &Control, event: &Event) -> Vec<Key> {
    let autoscalers = control.api.built_in("HorizontalPodAutoscaler");
    let kind = &event.object["kind"];
    if event.key.namespace.is_empty() || matches!(kind.as_str(), Some("Pod" | "ReplicaSet" | "Endpoints" | "Event")) {
        return Vec::new();
    }
    let (all, _) = control.api.list(&autoscalers, &event.key.namespace, &Default::default());
    all.iter()
        .filter(|hpa| {
            let target = &hpa["spec"]["scaleTargetRef"];
            target["name"] == event.key.name.as_str() && target["kind"] == *kind
        })
        .map(|hpa| Key::new(&autoscalers, &event.key.namespace, text(hpa, "/metadata/name")))
        .collect()
}

struct Verdict {
    desired: i64,
    conditions: Vec<Value>,
    metric: Option<i64>,
}

/// Scales the target, and writes the status.
pub(super) fn look(control: &Control, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let autoscalers = api.built_in("HorizontalPodAutoscaler");
    let Ok(hpa) = api.get(&autoscalers, &key.namespace, &key.name) else {
        return Ok(None);
    };
    let mut conditions = hpa["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let target = &hpa["spec"]["scaleTargetRef"];
    let kind = api.kind(text(target, "/apiVersion"), text(target, "/kind")).filter(|kind| kind.scale.is_some());
    let found = kind.and_then(|kind| {
        let object = api.get(&kind, &key.namespace, text(target, "/name")).ok()?;
        Some((kind, object))
    });
    let Some((kind, object)) = found else {
        let message = format!(
            "the HPA controller was unable to get the target's current scale: {} {:?} not found",
            text(target, "/kind"),
            text(target, "/name")
        );
        set_condition(&mut conditions, "AbleToScale", false, "FailedGetScale", &message, Stamp::Transitions);
        let status = json!({"currentReplicas": number(&hpa, "/status/currentReplicas"), "desiredReplicas": 0});
        return write_status(control, key, &hpa, status, conditions);
    };
    let pointer = |path: &Option<String>| path.as_deref().and_then(|p| object.pointer(p)).cloned();
    let paths = kind.scale.as_ref().expect("kinds without a scale were left out above");
    let current = object.pointer(&paths.replicas).and_then(Value::as_i64).unwrap_or(0);
    let observed = object.pointer(&paths.observed).and_then(Value::as_i64).unwrap_or(0);
    let selector = pointer(&paths.selector).unwrap_or(Value::Null);
    set_condition(
        &mut conditions,
        "AbleToScale",
        true,
        "ReadyForNewScale",
        "recommended size matches current size",
        Stamp::Transitions,
    );
    let load = control.loads.get(&key.namespace, &key.name);
    let verdict = judge(&hpa, current, load, &selector, conditions);
    let mut conditions = verdict.conditions;
    let mut status = json!({"currentReplicas": observed, "desiredReplicas": verdict.desired});
    if let Some(time) = hpa["status"].get("lastScaleTime") {
        status["lastScaleTime"] = time.clone();
    }
    if let Some(percent) = verdict.metric {
        let name = metric(&hpa).0;
        status["currentMetrics"] = json!([{"type": "Resource", "resource": {"name": name,
            "current": {"averageUtilization": percent, "averageValue": format!("{percent}m")}}}]);
    }
    if verdict.desired != current {
        rescale(control, &kind, key, &object, verdict.desired)?;
        let message = format!("the HPA controller was able to update the target scale to {}", verdict.desired);
        set_condition(&mut conditions, "AbleToScale", true, "SucceededRescale", &message, Stamp::Transitions);
        status["lastScaleTime"] = clock::now().into();
    }
    write_status(control, key, &hpa, status, conditions)
}

/// The name and the target of the first resource metric.
fn metric(hpa: &Value) -> (String, f64) {
    let metrics = hpa["spec"]["metrics"].as_array().into_iter().flatten();
    let mut resources = metrics.filter(|m| m["type"] == "Resource").map(|m| &m["resource"]);
    match resources.next() {
        Some(resource) => {
            let target = resource["target"]["averageUtilization"].as_f64().unwrap_or(80.0);
            (text(resource, "/name").to_owned(), target.max(1.0))
        }
        None => ("cpu".into(), 80.0),
    }
}

fn judge(hpa: &Value, current: i64, load: Option<f64>, selector: &Value, mut conditions: Vec<Value>) -> Verdict {
    let least = hpa["spec"]["minReplicas"].as_i64().unwrap_or(1);
    let most = number(hpa, "/spec/maxReplicas");
    let mut set = |kind: &str, status: bool, reason: &str, message: &str| {
        set_condition(&mut conditions, kind, status, reason, message, Stamp::Transitions);
    };
    if current == 0 && least != 0 {
        set(
            "ScalingActive",
            false,
            "ScalingDisabled",
            "scaling is disabled since the replica count of the target is zero",
        );
        return Verdict { desired: 0, conditions, metric: None };
    }
    if current > most || current < least {
        return Verdict { desired: current.clamp(least, most), conditions, metric: None };
    }
    let absent = match selector {
        Value::String(text) => text.is_empty(),
        Value::Null => true,
        _ => false,
    };
    if absent {
        set("ScalingActive", false, "InvalidSelector", "the HPA target's scale is missing a selector");
        return Verdict { desired: current, conditions, metric: None };
    }
    let (name, target) = metric(hpa);
    let total = load.unwrap_or(target * current as f64);
    let asked = (total / target).ceil() as i64;
    let message = format!(
        "the HPA was able to successfully calculate a replica count from {name} resource utilization (percentage of request)"
    );
    set("ScalingActive", true, "ValidMetricFound", &message);
    match asked {
        n if n < least => {
            set(
                "ScalingLimited",
                true,
                "TooFewReplicas",
                "the desired replica count is less than the minimum replica count",
            );
        }
        n if n > most => {
            set(
                "ScalingLimited",
                true,
                "TooManyReplicas",
                "the desired replica count is more than the maximum replica count",
            );
        }
        _ => set("ScalingLimited", false, "DesiredWithinRange", "the desired count is within the acceptable range"),
    }
    let average = (total / current.max(1) as f64) as i64;
    Verdict { desired: asked.clamp(least, most), conditions, metric: Some(average) }
}

/// Writes the number through the scale subresource, on the version that the judgement rests on.
fn rescale(control: &Control, kind: &Kind, key: &Key, object: &Arc<Value>, replicas: i64) -> Result<(), Refusal> {
    let version = &object["metadata"]["resourceVersion"];
    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}}));
    let name = text(object, "/metadata/name");
    control.api.patch(kind, &key.namespace, name, Part::Scale, &patch, &Write::by(MANAGER))?;
    Ok(())
}

fn write_status(
    control: &Control,
    key: &Key,
    hpa: &Arc<Value>,
    mut status: Value,
    conditions: Vec<Value>,
) -> Result<Again, Refusal> {
    status["conditions"] = conditions.into();
    if hpa["status"] != status {
        let mut new = own(hpa);
        new["status"] = status;
        let autoscalers = control.api.built_in("HorizontalPodAutoscaler");
        control.api.update(&autoscalers, &key.namespace, &key.name, Part::Status, new, &Write::by(MANAGER))?;
    }
    Ok(None)
}
