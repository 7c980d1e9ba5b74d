//! Which live objects belong to an application, and which of them may be pruned.
//!
//! Source: argo-cd docs/user-guide/resource_tracking.md@2d16ca1, sync_context.go.

use super::SYNC_OPTIONS;
use super::object::{self, Id, annotation, has_option};
use serde_json::Value;

/// The annotation that says which application an object belongs to.
pub const TRACKING: &str = "argocd.argoproj.io/tracking-id";

/// The tracking id of an object: `<app>:<group>/<Kind>:<namespace>/<name>`.
pub fn tracking_id(application: &str, id: &Id) -> String {
    let Id { group, kind, namespace, name } = id;
    format!("{application}:{group}/{kind}:{namespace}/{name}")
}

/// The application that an object says it belongs to. A copy of an object
/// carries the id of its original, which names another object: it belongs to nobody.
pub fn tracked_by(object: &Value) -> Option<&str> {
    let text = annotation(object, TRACKING)?;
    let (application, _) = text.split_once(':')?;
    (text == tracking_id(application, &Id::of(object))).then_some(application)
}

/// What may be done about an object that git does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneDecision {
    /// It is pruned, once the sync comes to its wave.
    Prune,
    /// It asks to stay, by `Prune=false`.
    Kept,
    /// It waits for a person, by `Prune=confirm`.
    Confirm,
    /// It is being deleted already.
    Going,
    /// An owner other than the application deletes it.
    Child,
}

/// Decides about an object that is tracked and that git does not name.
/// Guards are read from the live object. `approved` says whether the
/// application carries `argocd.argoproj.io/deletion-approved`.
pub fn extra(live: &Value, approved: Approval) -> PruneDecision {
    let asks = |option: &str| has_option(live, SYNC_OPTIONS, option);
    if object::is_going(live) {
        return PruneDecision::Going;
    }
    if live["metadata"]["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty()) {
        return PruneDecision::Child;
    }
    if asks("Prune=false") {
        return PruneDecision::Kept;
    }
    if asks("Prune=confirm") && approved == Approval::None {
        return PruneDecision::Confirm;
    }
    PruneDecision::Prune
}

/// Whether a person has approved deletions on the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// The Application carries `argocd.argoproj.io/deletion-approved`.
    Given,
    /// The Application does not carry that annotation.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live(annotations: Value, more: Value) -> Value {
        let mut object = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": "petclinic", "annotations": annotations } });
        for (key, value) in more.as_object().into_iter().flatten() {
            object["metadata"][key] = value.clone();
        }
        object
    }

    #[test]
    fn the_id_names_the_object_it_sits_on() {
        let ours = live(json!({ TRACKING: "petclinic:apps/Deployment:petclinic/web" }), json!({}));
        assert_eq!(tracked_by(&ours), Some("petclinic"));
        let copied = live(json!({ TRACKING: "petclinic:apps/Deployment:petclinic/other" }), json!({}));
        assert_eq!(tracked_by(&copied), None);
        assert_eq!(tracked_by(&live(json!({}), json!({}))), None);
        let core = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "a", "annotations": { TRACKING: "x:/Namespace:/a" } } });
        assert_eq!(tracked_by(&core), Some("x"));
    }

    #[test]
    fn guards_hold_an_extra_object() {
        let with = |options: &str| live(json!({ SYNC_OPTIONS: options }), json!({}));
        assert_eq!(extra(&with(""), Approval::None), PruneDecision::Prune);
        assert_eq!(extra(&with("Prune=false"), Approval::Given), PruneDecision::Kept);
        assert_eq!(extra(&with("Validate=false, Prune=false"), Approval::None), PruneDecision::Kept);
        assert_eq!(extra(&with("Prune=confirm"), Approval::None), PruneDecision::Confirm);
        assert_eq!(extra(&with("Prune=confirm"), Approval::Given), PruneDecision::Prune);
        let going = live(json!({}), json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }));
        assert_eq!(extra(&going, Approval::None), PruneDecision::Going);
        let child = live(json!({}), json!({ "ownerReferences": [{ "kind": "X" }] }));
        assert_eq!(extra(&child, Approval::None), PruneDecision::Child);
    }
}
