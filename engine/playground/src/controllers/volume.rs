//! Volumes: free, taken, or left by their claim.

use serde_json::{Value, json};

use super::{Again, Control, MANAGER, own, pods, text};
use crate::api::refusal::Refusal;
use crate::api::store::Key;
use crate::api::{Deletion, Part, Write, clock};

const PROTECTION: &str = "kubernetes.io/pv-protection";

/// Writes how a volume stands; one that was made for a claim goes after it.
pub(super) fn look(control: &Control, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let kind = api.built_in("PersistentVolume");
    let Ok(volume) = api.get(&kind, "", &key.name) else {
        return Ok(None);
    };
    let of = &volume["spec"]["claimRef"];
    let claims = api.built_in("PersistentVolumeClaim");
    let claim = api.get(&claims, text(of, "/namespace"), text(of, "/name")).ok();
    let claimed = claim.is_some_and(|claim| of["uid"].is_null() || of["uid"] == claim["metadata"]["uid"]);
    let phase = text(&volume, "/status/phase");
    if pods::is_going(&volume) && !claimed {
        let mut free = own(&volume);
        if let Some(finalizers) = free["metadata"]["finalizers"].as_array_mut() {
            finalizers.retain(|finalizer| finalizer != PROTECTION);
        }
        api.update(&kind, "", &key.name, Part::Whole, free, &Write::by(MANAGER))?;
        return Ok(None);
    }
    let left = matches!(phase, "Bound" | "Released") && !claimed;
    if left && text(&volume, "/spec/persistentVolumeReclaimPolicy") == "Delete" {
        api.delete(&kind, "", &key.name, &Deletion::default())?;
        return Ok(None);
    }
    let next = match phase {
        _ if left => "Released",
        "Pending" if !claimed => "Available",
        other => other,
    };
    if next != phase {
        let mut new: Value = own(&volume);
        new["status"] = json!({"phase": next, "lastPhaseTransitionTime": clock::now()});
        api.update(&kind, "", &key.name, Part::Status, new, &Write::by(MANAGER))?;
    }
    Ok(None)
}
