//! ReplicaSets: as many pods as asked for, whoever made the ReplicaSet.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Again, Control, MANAGER, controlled_by, is_orphan, number, own, owner, text};
use crate::api::refusal::Refusal;
use crate::api::select::Labels;
use crate::api::store::Key;
use crate::api::{Deletion, Part, Write, clock};

/// Creates and deletes pods, and writes the status.
pub fn look(control: &Control, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let (sets, pods) = (api.built_in("ReplicaSet"), api.built_in("Pod"));
    let Ok(set) = api.get(&sets, &key.namespace, &key.name) else {
        return Ok(None);
    };
    let dying = set["metadata"]["deletionTimestamp"].is_string();
    let (mut active, going) = pods_of(control, &set, &key.namespace)?;
    let wanted = usize::try_from(number(&set, "/spec/replicas")).unwrap_or(0);
    if !dying {
        for _ in active.len()..wanted {
            active.push(api.create(&pods, &key.namespace, new_pod(&set), &Write::by(MANAGER))?);
        }
        if active.len() > wanted {
            active.sort_by_key(|pod| worth(pod));
            let surplus = active.len() - wanted;
            for pod in active.drain(..surplus) {
                let how = Deletion { uid: Some(text(&pod, "/metadata/uid").into()), ..Deletion::default() };
                api.delete(&pods, &key.namespace, text(&pod, "/metadata/name"), &how)?;
            }
        }
    }
    write_status(control, &set, key, &active, going)
}

/// The pods that count (owned, not finished, not going), and how many are going. Orphans that the selector matches are
/// adopted.
fn pods_of(control: &Control, set: &Arc<Value>, namespace: &str) -> Result<(Vec<Arc<Value>>, usize), Refusal> {
    let api = &control.api;
    let pods = api.built_in("Pod");
    let uid = text(set, "/metadata/uid");
    let Some(labels) = Labels::of_spec(&set["spec"]["selector"]) else {
        return Ok((Vec::new(), 0));
    };
    let (mut active, mut leaving) = (Vec::new(), 0);
    for pod in api.list(&pods, namespace, &Default::default()).0 {
        let going = pod["metadata"]["deletionTimestamp"].is_string();
        let finished = matches!(text(&pod, "/status/phase"), "Succeeded" | "Failed");
        if going || finished {
            leaving += usize::from(going && !finished && controlled_by(&pod, uid));
            continue;
        }
        if controlled_by(&pod, uid) {
            active.push(pod);
        } else if is_orphan(&pod) && labels.matches(&pod) && !set["metadata"]["deletionTimestamp"].is_string() {
            let mut adopted = own(&pod);
            adopted["metadata"]["ownerReferences"] = json!([owner(set)]);
            let name = text(&pod, "/metadata/name");
            active.push(api.update(&pods, namespace, name, Part::Whole, adopted, &Write::by(MANAGER))?);
        }
    }
    Ok((active, leaving))
}

fn new_pod(set: &Value) -> Value {
    let template = &set["spec"]["template"];
    let mut metadata = json!({
        "generateName": format!("{}-", text(set, "/metadata/name")),
        "ownerReferences": [owner(set)],
    });
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

fn ready_condition(pod: &Value) -> Option<&Value> {
    pod["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// The pods that are worth least come first: those that do not run yet, then the youngest.
fn worth(pod: &Value) -> (bool, u8, bool, i64, std::cmp::Reverse<String>) {
    let phase = match text(pod, "/status/phase") {
        "Pending" => 0,
        "Running" => 2,
        _ => 1,
    };
    let cost = pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"].as_str();
    (
        !text(pod, "/spec/nodeName").is_empty(),
        phase,
        ready_condition(pod).is_some(),
        cost.and_then(|c| c.parse().ok()).unwrap_or(0),
        std::cmp::Reverse(text(pod, "/metadata/creationTimestamp").to_owned()),
    )
}

fn write_status(
    control: &Control,
    set: &Arc<Value>,
    key: &Key,
    active: &[Arc<Value>],
    going: usize,
) -> Result<Again, Refusal> {
    let least = number(set, "/spec/minReadySeconds") as f64;
    let template = &set["spec"]["template"]["metadata"]["labels"];
    let labels = Labels::of_spec(template).unwrap_or_default();
    let (mut ready, mut available, mut again) = (0, 0, None::<f64>);
    for condition in active.iter().filter_map(|pod| ready_condition(pod)) {
        ready += 1;
        let since = clock::seconds_since(text(condition, "/lastTransitionTime")).unwrap_or(f64::MAX);
        if least == 0.0 || since >= least {
            available += 1;
        } else {
            again = Some(again.unwrap_or(f64::MAX).min(least - since));
        }
    }
    let mut status = json!({"replicas": active.len()});
    let counts = [
        ("fullyLabeledReplicas", active.iter().filter(|pod| labels.matches(pod)).count()),
        ("readyReplicas", ready),
        ("availableReplicas", available),
    ];
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        status[field] = count.into();
    }
    status["terminatingReplicas"] = going.into();
    status["observedGeneration"] = set["metadata"]["generation"].clone();
    if let Some(conditions) = set["status"].get("conditions") {
        status["conditions"] = conditions.clone();
    }
    if set["status"] != status {
        let mut new = own(set);
        new["status"] = status;
        let sets = control.api.built_in("ReplicaSet");
        control.api.update(&sets, &key.namespace, &key.name, Part::Status, new, &Write::by(MANAGER))?;
    }
    Ok(again.map(|seconds| Duration::from_secs_f64(seconds.max(0.05))))
}
