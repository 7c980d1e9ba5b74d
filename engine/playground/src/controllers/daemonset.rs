//! DaemonSets: one pod on every node that the template selects.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Again, Control, MANAGER, number, own, pods, revision, text};
use crate::api::refusal::Refusal;
use crate::api::store::Key;
use crate::api::{Part, Write};

const REVISION: &str = "controller-revision-hash";
const GENERATION: &str = "deprecated.daemonset.template.generation";

/// Makes the pods that nodes lack, renews some of the old ones, and writes the status.
pub(super) fn look(control: &Control, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let kind = api.built_in("DaemonSet");
    let Ok(set) = api.get(&kind, &key.namespace, &key.name) else {
        return Ok(None);
    };
    if pods::is_going(&set) {
        return Ok(None);
    }
    let (name, revisions) = revision::keep(control, &set, key)?;
    let hash = name[key.name.len() + 1..].to_owned();
    let nodes: Vec<String> = nodes(control, &set["spec"]["template"]["spec"]);
    let mut all = pods::of(control, &set, &key.namespace)?;
    for pod in all.iter().filter(|pod| !pods::is_going(pod)) {
        if pods::is_over(pod) || !nodes.iter().any(|node| node == place(pod)) {
            pods::delete(control, pod)?;
        }
    }
    for node in nodes.iter().filter(|node| !all.iter().any(|pod| place(pod) == **node)).cloned().collect::<Vec<_>>() {
        let pod = on_node(&set, &node, &hash);
        all.push(api.create(&api.built_in("Pod"), &key.namespace, pod, &Write::by(MANAGER))?);
    }
    renew(control, &set, &all, &hash, nodes.len())?;
    let mut in_use: Vec<String> = all.iter().map(|pod| format!("{}-{}", key.name, label(pod))).collect();
    in_use.push(name);
    revision::forget(control, &set, &revisions, &in_use.iter().map(String::as_str).collect::<Vec<_>>())?;
    write_status(control, &set, key, &all, &hash, nodes.len())
}

fn label(pod: &Value) -> &str {
    text(&pod["metadata"]["labels"], "/controller-revision-hash")
}

/// The nodes that the template's selector chooses and that take pods.
fn nodes(control: &Control, spec: &Value) -> Vec<String> {
    let kind = control.api.built_in("Node");
    let wanted = spec["nodeSelector"].as_object().cloned().unwrap_or_default();
    let (all, _) = control.api.list(&kind, "", &Default::default());
    let chosen = all.iter().filter(|node| wanted.iter().all(|(key, value)| &node["metadata"]["labels"][key] == value));
    chosen.map(|node| text(node, "/metadata/name").to_owned()).collect()
}

/// The node that a pod is for, whether it is there yet or not.
fn place(pod: &Value) -> &str {
    let term = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0";
    match text(pod, "/spec/nodeName") {
        "" => text(pod, &format!("{term}/matchFields/0/values/0")),
        node => node,
    }
}

fn on_node(set: &Value, node: &str, hash: &str) -> Value {
    let mut pod = pods::made_by(set, &set["spec"]["template"]);
    pod["metadata"]["labels"][REVISION] = hash.into();
    pod["metadata"]["labels"]["pod-template-generation"] =
        set["metadata"]["annotations"][GENERATION].as_str().unwrap_or("1").into();
    let fields = json!([{"key": "metadata.name", "operator": "In", "values": [node]}]);
    pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
        json!({"nodeSelectorTerms": [{"matchFields": fields}]});
    let toleration = |name: &str, effect: &str| json!({"key": format!("node.kubernetes.io/{name}"), "operator": "Exists", "effect": effect});
    let mut tolerations = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    tolerations.extend(["not-ready", "unreachable"].map(|name| toleration(name, "NoExecute")));
    tolerations.extend(
        ["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"]
            .map(|name| toleration(name, "NoSchedule")),
    );
    pod["spec"]["tolerations"] = tolerations.into();
    pod
}

/// Takes away old pods, as many at a time as may be missing.
fn renew(control: &Control, set: &Value, all: &[Arc<Value>], hash: &str, nodes: usize) -> Result<(), Refusal> {
    if set["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return Ok(());
    }
    let spare = &set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"];
    let spare = match spare.as_str().and_then(|text| text.strip_suffix('%')?.parse::<usize>().ok()) {
        Some(percent) => (nodes * percent).div_ceil(100),
        None => usize::try_from(spare.as_i64().unwrap_or(1)).unwrap_or(1),
    };
    let good = |pod: &&Arc<Value>| !pods::is_going(pod) && pods::ready(pod).is_some();
    let missing = nodes.saturating_sub(all.iter().filter(good).count());
    let old: Vec<_> = all.iter().filter(|pod| !pods::is_going(pod) && label(pod) != hash).collect();
    // What is not ready may go at once; of the others, as many as may be missing.
    let (ready, unready): (Vec<_>, Vec<_>) = old.into_iter().partition(|pod| good(pod));
    let some = ready.into_iter().take(spare.saturating_sub(missing));
    unready.into_iter().chain(some).try_for_each(|pod| pods::delete(control, pod))
}

fn write_status(
    control: &Control,
    set: &Arc<Value>,
    key: &Key,
    all: &[Arc<Value>],
    hash: &str,
    nodes: usize,
) -> Result<Again, Refusal> {
    let least = number(set, "/spec/minReadySeconds") as f64;
    let staying: Vec<&Arc<Value>> = all.iter().filter(|pod| !pods::is_going(pod) && !pods::is_over(pod)).collect();
    let waits: Vec<Duration> = staying.iter().filter_map(|pod| pods::until_available(pod, least)).collect();
    let available = waits.iter().filter(|wait| wait.is_zero()).count();
    let updated = staying.iter().filter(|pod| label(pod) == hash).count();
    let mut status = json!({
        "currentNumberScheduled": staying.len().min(nodes), "numberMisscheduled": 0, "desiredNumberScheduled": nodes,
        "numberReady": waits.len(), "observedGeneration": set["metadata"]["generation"],
    });
    let counts = [
        ("updatedNumberScheduled", updated),
        ("numberAvailable", available),
        ("numberUnavailable", nodes.saturating_sub(available)),
    ];
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        status[field] = count.into();
    }
    if set["status"] != status {
        let mut new = own(set);
        new["status"] = status;
        let kind = control.api.built_in("DaemonSet");
        control.api.update(&kind, &key.namespace, &key.name, Part::Status, new, &Write::by(MANAGER))?;
    }
    Ok(waits.into_iter().filter(|wait| !wait.is_zero()).min())
}
