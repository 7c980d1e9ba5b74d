//! What every controller of pods does: it makes them from a template, finds its own, and counts how they fare.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Control, MANAGER, controlled_by, is_orphan, own, owner, text};
use crate::api::clock;
use crate::api::refusal::Refusal;
use crate::api::select::Labels;
use crate::api::{Deletion, Part, Write};

/// A pod of this owner, as its template says, with a name yet to be given.
pub(super) fn made_by(maker: &Value, template: &Value) -> Value {
    let mut metadata = json!({
        "generateName": format!("{}-", text(maker, "/metadata/name")),
        "ownerReferences": [owner(maker)],
    });
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

/// The pods that an owner controls, in the order of their names. Orphans that its selector matches are adopted.
///
/// # Errors
/// When an adoption is refused.
pub(super) fn of(control: &Control, maker: &Arc<Value>, namespace: &str) -> Result<Vec<Arc<Value>>, Refusal> {
    let api = &control.api;
    let pods = api.built_in("Pod");
    let uid = text(maker, "/metadata/uid");
    let labels = Labels::of_spec(&maker["spec"]["selector"]);
    let mut all = Vec::new();
    for pod in api.list(&pods, namespace, &Default::default()).0 {
        if controlled_by(&pod, uid) {
            all.push(pod);
        } else if is_orphan(&pod)
            && labels.as_ref().is_some_and(|labels| labels.matches(&pod))
            && !is_over(&pod)
            && !is_going(&pod)
            && !is_going(maker)
        {
            let mut adopted = own(&pod);
            adopted["metadata"]["ownerReferences"] = json!([owner(maker)]);
            let name = text(&pod, "/metadata/name");
            all.push(api.update(&pods, namespace, name, Part::Whole, adopted, &Write::by(MANAGER))?);
        }
    }
    Ok(all)
}

/// Whether an object is being deleted.
pub(super) fn is_going(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Whether a pod has ended.
pub(super) fn is_over(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// The condition that says that a pod is ready; none of one that is not.
pub(super) fn ready(pod: &Value) -> Option<&Value> {
    pod["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// How long a pod must still be ready until it counts as available; nothing for one that does, `None` for one that is not
/// ready.
pub(super) fn until_available(pod: &Value, least_seconds: f64) -> Option<Duration> {
    let since = clock::seconds_since(text(ready(pod)?, "/lastTransitionTime")).unwrap_or(f64::MAX);
    match least_seconds > 0.0 && since < least_seconds {
        true => Some(Duration::from_secs_f64((least_seconds - since).max(0.05))),
        false => Some(Duration::ZERO),
    }
}

/// Deletes a pod, and only this one of its name.
///
/// # Errors
/// As the API; a pod that is gone already is none.
pub(super) fn delete(control: &Control, pod: &Value) -> Result<(), Refusal> {
    let how = Deletion { uid: Some(text(pod, "/metadata/uid").into()), ..Deletion::default() };
    let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    match control.api.delete(&control.api.built_in("Pod"), namespace, name, &how) {
        Ok(_) | Err(Refusal { code: 404, .. }) => Ok(()),
        Err(refusal) => Err(refusal),
    }
}
