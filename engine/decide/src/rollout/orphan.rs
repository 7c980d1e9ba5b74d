//! The ReplicaSets that a deleted Rollout has left behind, as `kubectl delete --cascade=orphan` does it.
//!
//! Argo takes over whatever the selector selects. Here nothing is taken over that another Rollout may have made: the name
//! says of which one a set was. What has no pods and is of another template costs nobody anything, and stays nobody's.

use super::hash::{self, HASH};
use super::metadata::SetMetadata;
use super::template;
use crate::object::{self, number, text};
use serde_json::Value;

/// Whether a Rollout takes over a set: one that no controller has, that a Rollout of this name has made, that the
/// selector selects, and that has the Rollout's template, or pods of another one.
pub(super) fn is_left_to(set: &Value, rollout: &Value) -> bool {
    let hash = text(set, &format!("/metadata/labels/{HASH}"));
    let is_named = object::name(set) == format!("{}-{hash}", object::name(rollout));
    is_one(set) && is_named && selects(rollout, set) && (is_same(set, rollout) || serves_another(set, rollout, &hash))
}

/// Whether no controller has a set, and it stays.
pub(super) fn is_one(set: &Value) -> bool {
    !object::is_going(set) && owners(set).all(|owner| owner["controller"] != true)
}

/// All owners that an object names.
pub(super) fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten()
}

/// Whether a Rollout's selector names labels, all of which the set has.
fn selects(rollout: &Value, set: &Value) -> bool {
    let selector = &rollout["spec"]["selector"];
    let is_plain = selector["matchExpressions"].as_array().is_none_or(Vec::is_empty);
    let has = |labels: &serde_json::Map<String, Value>| {
        labels.iter().all(|(key, value)| set["metadata"]["labels"][key] == *value)
    };
    is_plain && selector["matchLabels"].as_object().is_some_and(|labels| !labels.is_empty() && has(labels))
}

fn is_same(set: &Value, rollout: &Value) -> bool {
    let (has, wanted) = (SetMetadata::read(set).1, &rollout["spec"]["template"]);
    has.is_object() && wanted.is_object() && template::same(&has, wanted)
}

/// Whether a set has pods, and is not named as that of the Rollout's template: then its template was changed since.
fn serves_another(set: &Value, rollout: &Value, hash: &str) -> bool {
    let pods = number(set, "/spec/replicas").unwrap_or(1).max(number(set, "/status/replicas").unwrap_or(0));
    pods > 0 && hash != hash::template(&rollout["spec"]["template"])
}
