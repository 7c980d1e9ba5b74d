//! The patch that makes a Rollout's status right: only the fields that differ, and only ours.

use super::act::Act;
use super::observed::ObservedRollout;
use crate::next::Timestamp;
use serde_json::{Map, Value};

/// The fields that are ours; all others are left alone.
pub(super) const OWNED: &[&str] = &[
    "HPAReplicas",
    "abort",
    "abortedAt",
    "availableReplicas",
    "canary",
    "conditions",
    "controllerPause",
    "currentPodHash",
    "currentStepHash",
    "currentStepIndex",
    "message",
    "observedGeneration",
    "pauseConditions",
    "phase",
    "promoteFull",
    "readyReplicas",
    "replicas",
    "restartedAt",
    "selector",
    "stableRS",
    "updatedReplicas",
];

/// A patch of the status, unless it was refused a moment ago: then, when it is tried again.
pub(super) type StatusPatch = (Option<Act>, Option<Timestamp>);

/// The merge patch from what is there to what is wanted, of our fields only.
pub(super) fn diff(observed: &ObservedRollout, wanted: Map<String, Value>, now: Timestamp) -> StatusPatch {
    let known: Map<String, Value> = OWNED.iter().map(|key| ((*key).to_owned(), observed.status(key).clone())).collect();
    let Some(patch) = merge_patch(&known, &wanted) else { return (None, None) };
    let act = Act::Status { rollout: observed.guard(), patch: Value::Object(patch) };
    match observed.left_alone(&act, now) {
        Some(again) => (None, Some(again)),
        None => (Some(act), None),
    }
}

/// RFC 7396's patch from one object to another; absent and null are the same.
fn merge_patch(from: &Map<String, Value>, to: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut patch = Map::new();
    for key in from.keys().chain(to.keys()) {
        let null = Value::Null;
        let (old, new) = (from.get(key).unwrap_or(&null), to.get(key).unwrap_or(&null));
        match (old, new) {
            (old, new) if old == new => {}
            (Value::Object(old), Value::Object(new)) => {
                if let Some(inner) = merge_patch(old, new) {
                    patch.insert(key.clone(), inner.into());
                }
            }
            (_, new) => drop(patch.insert(key.clone(), new.clone())),
        }
    }
    (!patch.is_empty()).then_some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_names_only_what_differs() {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let from = object(json!({"a": 1, "b": {"c": 2, "d": 3}, "e": null, "list": [1]}));
        let to = object(json!({"a": 1, "b": {"c": 2, "f": 4}, "list": [1, 2]}));
        let patch = merge_patch(&from, &to).unwrap();
        assert_eq!(Value::Object(patch), json!({"b": {"d": null, "f": 4}, "list": [1, 2]}));
        assert_eq!(merge_patch(&to, &to), None);
    }
}
