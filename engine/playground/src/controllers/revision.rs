//! The versions of a template: ControllerRevisions, which StatefulSets and DaemonSets keep.

use std::sync::Arc;

use serde_json::{Value, json};

use super::rollout_math::{canonical, safe_letters};
use super::{Control, MANAGER, controlled_by, number, own, owner, text};
use crate::api::refusal::Refusal;
use crate::api::store::Key;
use crate::api::{Deletion, Part, Write};

/// The label under which a kind's revisions carry their hash.
pub(super) fn label(kind: &str) -> &'static str {
    if kind == "StatefulSet" { "controller.kubernetes.io/hash" } else { "controller-revision-hash" }
}

/// The hash that the real StatefulSet controller names a revision by: 32 bits of FNV-1 over the template's patch.
pub(super) fn hash(set: &Value) -> String {
    let patch = canonical(&data(set));
    let collisions = number(set, "/status/collisionCount").to_string();
    let hash = patch
        .bytes()
        .chain(collisions.bytes())
        .fold(0x811c_9dc5_u32, |hash, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(byte));
    safe_letters(hash)
}

fn data(set: &Value) -> Value {
    let mut template = set["spec"]["template"].clone();
    template["$patch"] = "replace".into();
    json!({"spec": {"template": template}})
}

/// Keeps the revision of the template as it is now, as the newest; answers its name and all that there are.
///
/// # Errors
/// As the API.
pub(super) fn keep(control: &Control, set: &Arc<Value>, key: &Key) -> Result<(String, Vec<Arc<Value>>), Refusal> {
    let api = &control.api;
    let kind = api.built_in("ControllerRevision");
    let uid = text(set, "/metadata/uid");
    let mut all: Vec<Arc<Value>> = api.list(&kind, &key.namespace, &Default::default()).0;
    all.retain(|revision| controlled_by(revision, uid));
    all.sort_by_key(|revision| number(revision, "/revision"));
    let name = format!("{}-{}", key.name, hash(set));
    let newest = all.last().map_or(0, |revision| number(revision, "/revision"));
    match all.iter().position(|revision| text(revision, "/metadata/name") == name) {
        Some(at) if number(&all[at], "/revision") < newest => {
            let mut raised = own(&all.remove(at));
            raised["revision"] = (newest + 1).into();
            all.push(api.update(&kind, &key.namespace, &name, Part::Whole, raised, &Write::by(MANAGER))?);
        }
        Some(_) => {}
        None => {
            let mut labels = set["spec"]["template"]["metadata"]["labels"].clone();
            labels[label(text(set, "/kind"))] = hash(set).into();
            let mut metadata = json!({"name": name, "labels": labels, "ownerReferences": [owner(set)]});
            if let Some(annotations) = set["metadata"].get("annotations") {
                metadata["annotations"] = annotations.clone();
            }
            let fresh = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata,
                "data": data(set), "revision": newest + 1});
            all.push(api.create(&kind, &key.namespace, fresh, &Write::by(MANAGER))?);
        }
    }
    Ok((name, all))
}

/// Deletes the oldest revisions beyond the limit that no pod is of.
///
/// # Errors
/// As the API.
pub(super) fn forget(control: &Control, set: &Value, all: &[Arc<Value>], in_use: &[&str]) -> Result<(), Refusal> {
    let limit = usize::try_from(number(set, "/spec/revisionHistoryLimit")).unwrap_or(10);
    let old: Vec<&str> = all.iter().map(|r| text(r, "/metadata/name")).filter(|name| !in_use.contains(name)).collect();
    let kind = control.api.built_in("ControllerRevision");
    for name in &old[..old.len().saturating_sub(limit)] {
        control.api.delete(&kind, text(set, "/metadata/namespace"), name, &Deletion::default())?;
    }
    Ok(())
}
