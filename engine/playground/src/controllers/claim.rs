//! Claims on volumes: each gets a volume that is there and fits, or, where nodes run pods, one that is made for it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Again, Control, MANAGER, own, pods, text};
use crate::api::quantity::Quantity;
use crate::api::refusal::Refusal;
use crate::api::store::Key;
use crate::api::{Part, Write, clock};

const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// Binds a claim; lets one go that is deleted and that no pod uses any more.
pub(super) fn look(control: &Control, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let kind = api.built_in("PersistentVolumeClaim");
    let Ok(claim) = api.get(&kind, &key.namespace, &key.name) else {
        return Ok(None);
    };
    if pods::is_going(&claim) {
        return release(control, &claim, key);
    }
    if text(&claim, "/status/phase") == "Bound" {
        return Ok(None);
    }
    let volume = match fitting(control, &claim) {
        Some(volume) => volume,
        None => match made(control, &claim)? {
            Some(volume) => volume,
            None => return Ok(None),
        },
    };
    let volume = take(control, &volume, &claim)?;
    let mut bound = own(&claim);
    bound["spec"]["volumeName"] = volume["metadata"]["name"].clone();
    bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes".into();
    if text(&claim, "/spec/volumeName").is_empty() {
        bound["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] = "yes".into();
    }
    let mut bound = own(&api.update(&kind, &key.namespace, &key.name, Part::Whole, bound, &Write::by(MANAGER))?);
    bound["status"] =
        json!({"phase": "Bound", "accessModes": volume["spec"]["accessModes"], "capacity": volume["spec"]["capacity"]});
    api.update(&kind, &key.namespace, &key.name, Part::Status, bound, &Write::by(MANAGER))?;
    Ok(None)
}

/// The smallest free volume that has the claim's class, its modes and its size, or the one that it names.
fn fitting(control: &Control, claim: &Value) -> Option<Arc<Value>> {
    let (volumes, _) = control.api.list(&control.api.built_in("PersistentVolume"), "", &Default::default());
    let size = |value: &Value| Quantity::parse(value.as_str()?).ok();
    let wanted = size(&claim["spec"]["resources"]["requests"]["storage"])?;
    let named = text(claim, "/spec/volumeName");
    let fits = |volume: &&Arc<Value>| {
        let of = &volume["spec"]["claimRef"];
        let free = of.is_null()
            || (of["name"] == claim["metadata"]["name"] && of["namespace"] == claim["metadata"]["namespace"]);
        let modes = volume["spec"]["accessModes"].as_array().cloned().unwrap_or_default();
        let mut asked = claim["spec"]["accessModes"].as_array().into_iter().flatten();
        free && (named.is_empty() || named == text(volume, "/metadata/name"))
            && text(volume, "/spec/storageClassName") == text(claim, "/spec/storageClassName")
            && asked.all(|mode| modes.contains(mode))
            && size(&volume["spec"]["capacity"]["storage"]).is_some_and(|has| has >= wanted)
    };
    let size_of = |volume: &Arc<Value>| size(&volume["spec"]["capacity"]["storage"]);
    volumes
        .iter()
        .filter(fits)
        .min_by(|a, b| size_of(a).partial_cmp(&size_of(b)).unwrap_or(std::cmp::Ordering::Equal))
        .cloned()
}

/// A volume for this claim alone, in place of a provisioner's; none where the claim names one, or where no node is.
fn made(control: &Control, claim: &Value) -> Result<Option<Arc<Value>>, Refusal> {
    let api = &control.api;
    let nodes = api.list(&api.built_in("Node"), "", &Default::default()).0;
    if nodes.is_empty() || !text(claim, "/spec/volumeName").is_empty() {
        return Ok(None);
    }
    let kind = api.built_in("PersistentVolume");
    let name = format!("pvc-{}", text(claim, "/metadata/uid"));
    let spec = json!({"capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
        "accessModes": claim["spec"]["accessModes"], "persistentVolumeReclaimPolicy": "Delete",
        "storageClassName": claim["spec"].get("storageClassName").cloned().unwrap_or(json!("")),
        "hostPath": {"path": format!("/volumes/{name}")}});
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec});
    match api.create(&kind, "", volume, &Write::by(MANAGER)) {
        Err(refusal) if refusal.reason == "AlreadyExists" => api.get(&kind, "", &name).map(Some),
        made => made.map(Some),
    }
}

fn take(control: &Control, volume: &Arc<Value>, claim: &Value) -> Result<Arc<Value>, Refusal> {
    let api = &control.api;
    let kind = api.built_in("PersistentVolume");
    let name = text(volume, "/metadata/name");
    let mut taken = own(volume);
    let metadata = &claim["metadata"];
    if taken["spec"]["claimRef"].is_null() {
        taken["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] = "yes".into();
    }
    taken["spec"]["claimRef"] = json!({"kind": "PersistentVolumeClaim", "apiVersion": "v1", "name": metadata["name"],
        "namespace": metadata["namespace"], "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]});
    let mut taken = own(&api.update(&kind, "", name, Part::Whole, taken, &Write::by(MANAGER))?);
    taken["status"] = json!({"phase": "Bound", "lastPhaseTransitionTime": clock::now()});
    api.update(&kind, "", name, Part::Status, taken, &Write::by(MANAGER))
}

fn release(control: &Control, claim: &Arc<Value>, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let uses = |pod: &Value| {
        let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        volumes.any(|volume| volume["persistentVolumeClaim"]["claimName"] == key.name.as_str())
    };
    let (all, _) = api.list(&api.built_in("Pod"), &key.namespace, &Default::default());
    if all.iter().any(|pod| !pods::is_over(pod) && uses(pod)) {
        return Ok(None);
    }
    let mut free = own(claim);
    if let Some(finalizers) = free["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| finalizer != PROTECTION);
    }
    api.update(
        &api.built_in("PersistentVolumeClaim"),
        &key.namespace,
        &key.name,
        Part::Whole,
        free,
        &Write::by(MANAGER),
    )?;
    Ok(None)
}
