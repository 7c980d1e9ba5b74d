//! ReplicaSets: as many pods as asked for, whoever made the ReplicaSet.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Again, Control, MANAGER, number, own, pods, text};
use crate::api::refusal::Refusal;
use crate::api::select::Labels;
use crate::api::store::Key;
use crate::api::{Part, Write};

/// Creates and deletes pods, and writes the status.
pub(super) fn look(control: &Control, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let (sets, kind) = (api.built_in("ReplicaSet"), api.built_in("Pod"));
    let Ok(set) = api.get(&sets, &key.namespace, &key.name) else {
        return Ok(None);
    };
    let dying = set["metadata"]["deletionTimestamp"].is_string();
    let (mut active, going) = pods_of(control, &set, &key.namespace)?;
    let wanted = usize::try_from(number(&set, "/spec/replicas")).unwrap_or(0);
    if !dying {
        for _ in active.len()..wanted {
            active.push(api.create(
                &kind,
                &key.namespace,
                pods::made_by(&set, &set["spec"]["template"]),
                &Write::by(MANAGER),
            )?);
        }
        if active.len() > wanted {
            active.sort_by_key(|pod| worth(pod));
            let surplus = active.len() - wanted;
            active.drain(..surplus).try_for_each(|pod| pods::delete(control, &pod))?;
        }
    }
    write_status(control, &set, key, &active, going)
}

/// The pods that count (owned, not finished, not going), and how many are going.
fn pods_of(control: &Control, set: &Arc<Value>, namespace: &str) -> Result<(Vec<Arc<Value>>, usize), Refusal> {
    let (gone, staying): (Vec<_>, Vec<_>) = pods::of(control, set, namespace)?
        .into_iter()
        .filter(|pod| !pods::is_over(pod))
        .partition(|pod| pods::is_going(pod));
    Ok((staying, gone.len()))
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
        pods::ready(pod).is_some(),
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
    let waits: Vec<Duration> = active.iter().filter_map(|pod| pods::until_available(pod, least)).collect();
    let (ready, available) = (waits.len(), waits.iter().filter(|wait| wait.is_zero()).count());
    let again = waits.into_iter().filter(|wait| !wait.is_zero()).min();
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
    Ok(again)
}
