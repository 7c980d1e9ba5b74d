//! The cells of pods.

use serde_json::{Value, json};

use super::cells::{items, number, since, text};
use crate::api::kind::Kind;

/// What a finished pod's row says of it.
pub(super) fn row_conditions(kind: &Kind, object: &Value) -> Option<Value> {
    let (reason, message) = match (kind.kind.as_str(), text(object, "/status/phase")) {
        ("Pod", "Succeeded") => ("Succeeded", "The pod has completed successfully."),
        ("Pod", "Failed") => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}

fn statuses(pod: &Value) -> &[Value] {
    items(pod, "/status/containerStatuses")
}

/// How many of its containers are ready.
pub(super) fn ready(pod: &Value) -> Value {
    let ready = statuses(pod).iter().filter(|c| c["ready"] == true && c["state"]["running"].is_object()).count();
    format!("{ready}/{}", items(pod, "/spec/containers").len()).into()
}

/// The phase, or what keeps a container from running.
pub(super) fn status(pod: &Value) -> Value {
    let phase = text(pod, "/status/phase");
    if pod["metadata"]["deletionTimestamp"].is_string() && !matches!(phase, "Succeeded" | "Failed") {
        return "Terminating".into();
    }
    let mut reason = match text(pod, "/status/reason") {
        "" => phase.to_owned(),
        reason => reason.to_owned(),
    };
    if items(pod, "/status/conditions").iter().any(|c| c["reason"] == "SchedulingGated") {
        reason = "SchedulingGated".into();
    }
    let (mut running, mut failed) = (false, None);
    for container in statuses(pod).iter().rev() {
        let (waiting, ended) = (text(container, "/state/waiting/reason"), &container["state"]["terminated"]);
        if !waiting.is_empty() {
            reason = waiting.to_owned();
        } else if ended.is_object() {
            reason = match text(ended, "/reason") {
                "" => format!("ExitCode:{}", number(ended, "/exitCode")),
                why => why.to_owned(),
            };
            if number(ended, "/exitCode") != 0 {
                failed = Some(reason.clone());
            }
        } else if container["ready"] == true {
            running = true;
        }
    }
    let is_ready = items(pod, "/status/conditions").iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
    match (reason.as_str(), running, failed) {
        ("Completed", true, _) if is_ready => "Running".into(),
        ("Completed", _, Some(failed)) => failed.into(),
        ("Completed", true, None) => "NotReady".into(),
        _ => reason.into(),
    }
}

/// How often its containers were restarted, and how long the last time is ago.
pub(super) fn restarts(pod: &Value) -> Value {
    let all: i64 = statuses(pod).iter().map(|c| number(c, "/restartCount")).sum();
    let last = statuses(pod).iter().map(|c| text(c, "/lastState/terminated/finishedAt")).max().unwrap_or_default();
    if all == 0 || last.is_empty() { all.to_string().into() } else { format!("{all} ({} ago)", since(last)).into() }
}

/// How many of its readiness gates are open.
pub(super) fn gates(pod: &Value) -> Value {
    let gates = items(pod, "/spec/readinessGates");
    let open = |gate: &&Value| {
        let mut conditions = items(pod, "/status/conditions").iter();
        conditions.any(|c| c["type"] == gate["conditionType"] && c["status"] == "True")
    };
    if gates.is_empty() {
        return "<none>".into();
    }
    format!("{}/{}", gates.iter().filter(open).count(), gates.len()).into()
}
