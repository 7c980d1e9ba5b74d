//! Deployments: a ReplicaSet for each template, and the rolling update between them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::rollout_math::{self as math, Bounds, Count};
use super::{Again, Control, MANAGER, Stamp, controlled_by, is_orphan, number, own, owner, set_condition, text};
use crate::api::refusal::Refusal;
use crate::api::select::Labels;
use crate::api::store::Key;
use crate::api::{Deletion, Part, Write, clock};

const REVISION: &str = "deployment.kubernetes.io/revision";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MOST: &str = "deployment.kubernetes.io/max-replicas";
const HASH: &str = "pod-template-hash";

/// Brings the ReplicaSets one step nearer to the Deployment, and writes its status.
pub(super) fn look(control: &Control, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let Ok(deployment) = api.get(&api.built_in("Deployment"), &key.namespace, &key.name) else {
        return Ok(None);
    };
    let mut sets = owned_sets(control, &deployment, key)?;
    sets.sort_by(|a, b| text(a, "/metadata/creationTimestamp").cmp(text(b, "/metadata/creationTimestamp")));
    let new_at = sets.iter().position(|set| same_template(&set["spec"]["template"], &deployment["spec"]["template"]));
    if deployment["metadata"]["deletionTimestamp"].is_string() {
        return write_status(control, &deployment, key, &sets, new_at, Fresh::No);
    }
    let paused = deployment["spec"]["paused"] == true;
    let replicas = number(&deployment, "/spec/replicas");
    let bounds = math::bounds(&deployment, replicas);
    let (new_at, fresh) = match new_at {
        Some(at) => (Some(at), Fresh::No),
        None if paused => (None, Fresh::No),
        None => {
            let waiting = deployment["spec"]["strategy"]["type"] == "Recreate"
                && sets.iter().any(|s| number(s, "/status/replicas") > 0);
            if waiting {
                scale_all_down(control, key, &mut sets)?;
                return write_status(control, &deployment, key, &sets, None, Fresh::No);
            }
            let total = sets.iter().map(|s| number(s, "/spec/replicas")).sum();
            let count = math::grow(0, total, replicas, bounds);
            sets.push(create_set(control, &deployment, key, &sets, count, bounds)?);
            (Some(sets.len() - 1), Fresh::Yes)
        }
    };
    if let Some(at) = new_at {
        let revision = newest_revision(&sets, at);
        annotate(control, key, &mut sets, at, revision, replicas, bounds)?;
        if !paused {
            roll(control, key, &mut sets, at, replicas, bounds)?;
            forget_old(control, &deployment, key, &sets, at)?;
        } else {
            scale(control, key, &mut sets, at, replicas)?;
        }
    }
    write_status(control, &deployment, key, &sets, new_at, fresh)
}

/// Whether a ReplicaSet was made in this look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fresh {
    No,
    Yes,
}

fn owned_sets(control: &Control, deployment: &Arc<Value>, key: &Key) -> Result<Vec<Arc<Value>>, Refusal> {
    let api = &control.api;
    let kind = api.built_in("ReplicaSet");
    let uid = text(deployment, "/metadata/uid");
    let labels = Labels::of_spec(&deployment["spec"]["selector"]).unwrap_or_default();
    let mut owned = Vec::new();
    for set in api.list(&kind, &key.namespace, &Default::default()).0 {
        if controlled_by(&set, uid) {
            owned.push(set);
        } else if is_orphan(&set) && labels.matches(&set) && !set["metadata"]["deletionTimestamp"].is_string() {
            let mut adopted = own(&set);
            adopted["metadata"]["ownerReferences"] = json!([owner(deployment)]);
            let name = text(&set, "/metadata/name");
            owned.push(api.update(&kind, &key.namespace, name, Part::Whole, adopted, &Write::by(MANAGER))?);
        }
    }
    Ok(owned)
}

/// Whether two templates are one but for the label that tells ReplicaSets apart.
fn same_template(a: &Value, b: &Value) -> bool {
    let plain = |template: &Value| {
        let mut template = template.clone();
        if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
            labels.shift_remove(HASH);
        }
        template
    };
    plain(a) == plain(b)
}

fn create_set(
    control: &Control,
    deployment: &Value,
    key: &Key,
    sets: &[Arc<Value>],
    count: i64,
    bounds: Bounds,
) -> Result<Arc<Value>, Refusal> {
    let replicas = number(deployment, "/spec/replicas");
    let mut collisions = number(deployment, "/status/collisionCount");
    let kind = control.api.built_in("ReplicaSet");
    loop {
        let hash = math::template_hash(&deployment["spec"]["template"], collisions);
        let mut template = deployment["spec"]["template"].clone();
        template["metadata"]["labels"][HASH] = hash.as_str().into();
        let mut selector = deployment["spec"]["selector"].clone();
        selector["matchLabels"][HASH] = hash.as_str().into();
        let mut spec = json!({"replicas": count, "selector": selector, "template": template});
        if let Some(seconds) = deployment["spec"].get("minReadySeconds") {
            spec["minReadySeconds"] = seconds.clone();
        }
        let set = json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": format!("{}-{hash}", key.name),
                "labels": template["metadata"]["labels"],
                "annotations": {
                    REVISION: (newest_revision(sets, usize::MAX)).to_string(),
                    DESIRED: replicas.to_string(),
                    MOST: (replicas + bounds.surge).to_string(),
                },
                "ownerReferences": [owner(deployment)],
            },
            "spec": spec,
        });
        match control.api.create(&kind, &key.namespace, set, &Write::by(MANAGER)) {
            Err(refusal) if refusal.reason == "AlreadyExists" && collisions < 100 => collisions += 1,
            made => return made,
        }
    }
}

/// The revision that the set at `at` should have: above all others.
fn newest_revision(sets: &[Arc<Value>], at: usize) -> i64 {
    let revision =
        |set: &Value| set["metadata"]["annotations"][REVISION].as_str().and_then(|r| r.parse().ok()).unwrap_or(0);
    let others = sets.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, set)| revision(set)).max().unwrap_or(0);
    let own = sets.get(at).map_or(0, |set| revision(set));
    if own > others { own } else { others + 1 }
}

fn annotate(
    control: &Control,
    key: &Key,
    sets: &mut [Arc<Value>],
    at: usize,
    revision: i64,
    replicas: i64,
    bounds: Bounds,
) -> Result<(), Refusal> {
    for (i, set) in sets.iter_mut().enumerate() {
        let mut new = own(set);
        let annotations = &mut new["metadata"]["annotations"];
        if i == at {
            annotations[REVISION] = revision.to_string().into();
        }
        if i == at || number(set, "/spec/replicas") > 0 {
            annotations[DESIRED] = replicas.to_string().into();
            annotations[MOST] = (replicas + bounds.surge).to_string().into();
        }
        *set = keep(control, key, set, new)?;
    }
    Ok(())
}

fn keep(control: &Control, key: &Key, old: &Arc<Value>, new: Value) -> Result<Arc<Value>, Refusal> {
    if **old == new {
        return Ok(old.clone());
    }
    let kind = control.api.built_in("ReplicaSet");
    let name = text(old, "/metadata/name");
    control.api.update(&kind, &key.namespace, name, Part::Whole, new, &Write::by(MANAGER))
}

fn scale(control: &Control, key: &Key, sets: &mut [Arc<Value>], at: usize, count: i64) -> Result<(), Refusal> {
    let mut new = own(&sets[at]);
    new["spec"]["replicas"] = count.into();
    sets[at] = keep(control, key, &sets[at], new)?;
    Ok(())
}

fn scale_all_down(control: &Control, key: &Key, sets: &mut [Arc<Value>]) -> Result<(), Refusal> {
    (0..sets.len()).try_for_each(|at| scale(control, key, sets, at, 0))
}

fn roll(
    control: &Control,
    key: &Key,
    sets: &mut [Arc<Value>],
    at: usize,
    replicas: i64,
    bounds: Bounds,
) -> Result<(), Refusal> {
    let count = |set: &Value| Count {
        wanted: number(set, "/spec/replicas"),
        available: number(set, "/status/availableReplicas").min(number(set, "/spec/replicas")),
    };
    let total = sets.iter().map(|s| number(s, "/spec/replicas")).sum();
    let grown = math::grow(number(&sets[at], "/spec/replicas"), total, replicas, bounds);
    scale(control, key, sets, at, grown)?;
    let old: Vec<usize> = (0..sets.len()).filter(|i| *i != at).collect();
    let counts: Vec<Count> = old.iter().map(|i| count(&sets[*i])).collect();
    let shrunk = math::shrink(count(&sets[at]), &counts, replicas, bounds);
    for (i, wanted) in old.into_iter().zip(shrunk) {
        scale(control, key, sets, i, wanted)?;
    }
    Ok(())
}

/// Deletes old, empty ReplicaSets beyond the history limit, once the rollout is complete.
fn forget_old(control: &Control, deployment: &Value, key: &Key, sets: &[Arc<Value>], at: usize) -> Result<(), Refusal> {
    if number(&sets[at], "/status/availableReplicas") != number(deployment, "/spec/replicas") {
        return Ok(());
    }
    let empty = |set: &Value| number(set, "/spec/replicas") == 0 && number(set, "/status/replicas") == 0;
    let old: Vec<&Arc<Value>> = sets.iter().enumerate().filter(|(i, s)| *i != at && empty(s)).map(|(_, s)| s).collect();
    let limit = usize::try_from(number(deployment, "/spec/revisionHistoryLimit")).unwrap_or(10);
    let surplus = old.len().saturating_sub(limit);
    for set in old.into_iter().take(surplus) {
        let kind = control.api.built_in("ReplicaSet");
        control.api.delete(&kind, &key.namespace, text(set, "/metadata/name"), &Deletion::default())?;
    }
    Ok(())
}

fn write_status(
    control: &Control,
    deployment: &Arc<Value>,
    key: &Key,
    sets: &[Arc<Value>],
    new_at: Option<usize>,
    fresh: Fresh,
) -> Result<Again, Refusal> {
    let sum = |pointer: &str| sets.iter().map(|set| number(set, pointer)).sum::<i64>();
    let replicas = number(deployment, "/spec/replicas");
    let available = sum("/status/availableReplicas");
    let updated = new_at.map_or(0, |at| number(&sets[at], "/status/replicas"));
    let counts = [
        ("replicas", sum("/status/replicas")),
        ("updatedReplicas", updated),
        ("readyReplicas", sum("/status/readyReplicas")),
        ("availableReplicas", available),
        ("unavailableReplicas", (sum("/spec/replicas") - available).max(0)),
    ];
    let mut status = json!({"observedGeneration": deployment["metadata"]["generation"]});
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        status[field] = count.into();
    }
    status["terminatingReplicas"] = sum("/status/terminatingReplicas").into();
    let mut conditions = deployment["status"]["conditions"].as_array().cloned().unwrap_or_default();
    pausing(deployment, &mut conditions);
    if available >= replicas - math::bounds(deployment, replicas).unavailable {
        set_condition(
            &mut conditions,
            "Available",
            true,
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
            Stamp::Updates,
        );
    } else {
        set_condition(
            &mut conditions,
            "Available",
            false,
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
            Stamp::Updates,
        );
    }
    let complete = updated == replicas && sum("/status/replicas") == replicas && available == replicas;
    let name = new_at.map_or("", |at| text(&sets[at], "/metadata/name"));
    let again = progress(deployment, &status, &mut conditions, name, complete, fresh);
    status["conditions"] = conditions.into();
    let mut new = own(deployment);
    new["status"] = status;
    if let Some(at) = new_at {
        new["metadata"]["annotations"][REVISION] = sets[at]["metadata"]["annotations"][REVISION].clone();
    }
    if new != **deployment {
        let kind = control.api.built_in("Deployment");
        control.api.update(&kind, &key.namespace, &key.name, Part::Status, new, &Write::by(MANAGER))?;
    }
    Ok(again)
}

/// While a Deployment is paused its progress is unknown, and no deadline passes.
fn pausing(deployment: &Value, conditions: &mut Vec<Value>) {
    let paused = deployment["spec"]["paused"] == true;
    let known = conditions.iter().any(|c| c["type"] == "Progressing" && c["reason"] == "DeploymentPaused");
    let (reason, message) = match (paused, known) {
        (true, false) => ("DeploymentPaused", "Deployment is paused"),
        (false, true) => ("DeploymentResumed", "Deployment is resumed"),
        _ => return,
    };
    set_condition(conditions, "Progressing", true, reason, message, Stamp::Updates);
    if let Some(condition) = conditions.iter_mut().find(|c| c["type"] == "Progressing") {
        condition["status"] = "Unknown".into();
    }
}

/// The Progressing condition: progress is any change of the counts; without it the deadline passes.
fn progress(
    deployment: &Value,
    status: &Value,
    conditions: &mut Vec<Value>,
    set: &str,
    complete: bool,
    fresh: Fresh,
) -> Again {
    if deployment["spec"]["paused"] == true {
        return None;
    }
    let deadline = number(deployment, "/spec/progressDeadlineSeconds") as f64;
    let before = &deployment["status"];
    let moved = ["updatedReplicas", "readyReplicas", "availableReplicas", "replicas"]
        .iter()
        .any(|f| before.get(f) != status.get(f));
    let (reason, since) = {
        let condition = conditions.iter().find(|c| c["type"] == "Progressing");
        let since = condition.and_then(|c| clock::seconds_since(text(c, "/lastUpdateTime"))).unwrap_or(0.0);
        (condition.map(|c| text(c, "/reason").to_owned()).unwrap_or_default(), since)
    };
    let mut set_progress = |status: bool, reason: &str, message: String| {
        if reason == "ReplicaSetUpdated" {
            // Each bit of progress renews the time that the deadline is counted from.
            conditions.retain(|c| !(c["type"] == "Progressing" && c["reason"] == reason));
        }
        set_condition(conditions, "Progressing", status, reason, &message, Stamp::Updates);
    };
    if fresh == Fresh::Yes {
        set_progress(true, "NewReplicaSetCreated", format!("Created new replica set {set:?}"));
    } else if complete {
        set_progress(true, "NewReplicaSetAvailable", format!("ReplicaSet {set:?} has successfully progressed."));
        return None;
    } else if moved || reason.is_empty() {
        set_progress(true, "ReplicaSetUpdated", format!("ReplicaSet {set:?} is progressing."));
    } else if reason == "ProgressDeadlineExceeded" || reason == "NewReplicaSetAvailable" {
        return None;
    } else if since >= deadline {
        set_progress(false, "ProgressDeadlineExceeded", format!("ReplicaSet {set:?} has timed out progressing."));
        return None;
    }
    Some(Duration::from_secs_f64((deadline - since).clamp(0.1, 86_400.0)))
}
