//! The quantities of claims, quotas and autoscalers.

use std::cmp::Ordering;

use serde_json::Value;

use super::{required, wrong};
use crate::api::quantity::Quantity;
use crate::api::refusal::Cause;

fn sign(value: &Value) -> Option<Ordering> {
    Some(Quantity::parse(value.as_str()?).ok()?.sign())
}

/// What a claim asks for.
pub(super) fn claim(spec: &Value, causes: &mut Vec<Cause>) {
    if spec["accessModes"].as_array().is_none_or(Vec::is_empty) {
        let message = "Required value: at least 1 access mode is required".into();
        causes.push(Cause { message, ..required("spec.accessModes") });
    }
    let storage = &spec["resources"]["requests"]["storage"];
    match sign(storage) {
        _ if storage.is_null() => causes.push(required("spec.resources[storage]")),
        Some(Ordering::Greater) | None => {}
        Some(_) => causes.push(wrong("spec.resources[storage]", storage, "must be greater than zero")),
    }
}

/// The resources that a quota counts in whole numbers, by their names without a domain.
const COUNTED: [&str; 8] = [
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
];

/// What a quota allows.
pub(super) fn quota(spec: &Value, causes: &mut Vec<Cause>) {
    for (name, value) in spec["hard"].as_object().into_iter().flatten() {
        let field = format!("spec.hard[{name}]");
        let bare = name.trim_start_matches("requests.").trim_start_matches("limits.");
        let counted = COUNTED.contains(&name.as_str()) || name == "services.loadbalancers";
        let known = counted || matches!(bare, "cpu" | "memory" | "ephemeral-storage" | "storage");
        if !known && !name.contains('/') {
            causes.push(wrong(&field, &name.as_str().into(), "must be a standard resource type or fully qualified"));
            causes.push(wrong(&field, &name.as_str().into(), "must be a standard resource for quota"));
        }
        let Some(quantity) = value.as_str().and_then(|text| Quantity::parse(text).ok()) else {
            continue;
        };
        if quantity.sign() == Ordering::Less {
            causes.push(wrong(&field, value, "must be greater than or equal to 0"));
        }
        if counted && !quantity.is_whole() {
            causes.push(wrong(&field, value, "must be an integer"));
        }
    }
}

/// What an autoscaler aims at.
pub(super) fn metric(at: usize, metric: &Value, causes: &mut Vec<Cause>) {
    let source = if metric["type"] == "ContainerResource" { "containerResource" } else { "resource" };
    if metric["type"] != "Resource" && source == "resource" {
        return;
    }
    let target = &metric[source]["target"];
    let field = |name: &str| format!("spec.metrics[{at}].{source}.target.{name}");
    if !matches!(target["type"].as_str(), Some("Utilization" | "Value" | "AverageValue")) {
        causes.push(wrong(&field("type"), &target["type"], "must be either Utilization, Value, or AverageValue"));
    }
    let (percent, average) = (&target["averageUtilization"], &target["averageValue"]);
    if percent.as_i64().is_some_and(|n| n < 1) {
        causes.push(wrong(&field("averageUtilization"), percent, "must be greater than 0"));
    }
    if sign(average).is_some_and(|sign| sign != Ordering::Greater) {
        causes.push(wrong(&field("averageValue"), average, "must be positive"));
    }
    if percent.is_null() && average.is_null() {
        let message = "Required value: must set either a target raw value or a target utilization".into();
        causes.push(Cause { message, ..required(&field("averageUtilization")) });
    }
}
