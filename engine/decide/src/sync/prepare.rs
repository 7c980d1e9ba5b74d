//! From an object as git writes it to the object as it is compared and sent.

use super::application::OWNER;
use super::autoscale::Autoscaler;
use super::object::{self, Id, annotation, label, map_at, remove, set_meta};
use super::tracking::{TRACKING, tracking_id};
use base64::Engine;
use serde_json::Value;

/// The selector key that the canary moves; source: argo-rollouts service.go.
pub const HASH: &str = "rollouts-pod-template-hash";
/// The annotation that the canary puts on the Services it moves.
const MANAGED_BY: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";
/// The canary's own note of the ALB annotations that it writes.
const ALB_ACTIONS: &str = "rollouts.argoproj.io/managed-alb-actions";
/// The label that tells the controllers of Rollouts apart.
const INSTANCE: &str = "argo-rollouts.argoproj.io/controller-instance-id";

/// Where the objects of a kind live, as the cluster serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Each in a namespace.
    Namespaced,
    /// In the cluster as a whole.
    Cluster,
    /// The cluster does not serve the kind.
    Missing,
}

/// Names the object fully: its namespace, no traces of a server, secrets encoded.
pub fn complete(mut object: Value, namespace: &str, served: Served) -> Value {
    remove(&mut object, &["status"]);
    for trace in ["creationTimestamp", "managedFields", "resourceVersion", "uid", "generation", "selfLink"] {
        remove(&mut object, &["metadata", trace]);
    }
    remove(&mut object, &["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"]);
    match served {
        Served::Cluster => drop(remove(&mut object, &["metadata", "namespace"])),
        Served::Namespaced | Served::Missing if object::namespace(&object).is_empty() => {
            if let Some(metadata) = map_at(&mut object, &["metadata"]) {
                metadata.insert("namespace".into(), namespace.into());
            }
        }
        Served::Namespaced | Served::Missing => {}
    }
    if object::kind(&object) == "Secret" && object::api_version(&object) == "v1" {
        encode(&mut object);
    }
    object
}

/// A Secret's `stringData` is for writing only: it is `data` that lives.
fn encode(secret: &mut Value) {
    let Some(Value::Object(plain)) = remove(secret, &["stringData"]) else { return };
    let Some(data) = map_at(secret, &["data"]) else { return };
    for (key, value) in plain {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        data.insert(key, base64::engine::general_purpose::STANDARD.encode(text).into());
    }
}

/// What git wants of the object, without what others own in it.
pub fn wanted(mut object: Value, application: &str, live: Option<&Value>) -> Value {
    let id = Id::of(&object);
    set_meta(&mut object, "annotations", TRACKING, &tracking_id(application, &id));
    match (id.group.as_str(), id.kind.as_str()) {
        ("argoproj.io", "Rollout") => own_rollout(&mut object, live),
        ("", "Service") => {
            remove(&mut object, &["spec", "selector", HASH]);
            remove(&mut object, &["metadata", "annotations", MANAGED_BY]);
        }
        ("networking.k8s.io", "Ingress") => leave_actions(&mut object, live),
        _ => {}
    }
    object
}

/// A Rollout that our sync creates is ours from birth; another's stays another's.
fn own_rollout(object: &mut Value, live: Option<&Value>) {
    let (owner, instance) = match live {
        None => ("bespin", "bespin"),
        Some(live) => match annotation(live, OWNER) {
            Some(owner) => (owner, label(live, INSTANCE).unwrap_or("bespin")),
            None => return,
        },
    };
    set_meta(object, "annotations", OWNER, owner);
    set_meta(object, "labels", INSTANCE, instance);
}

/// The ALB's weights are the canary's once it writes them.
fn leave_actions(object: &mut Value, live: Option<&Value>) {
    let Some(managed) = live.and_then(|live| annotation(live, ALB_ACTIONS)) else { return };
    let Some(annotations) = map_at(object, &["metadata", "annotations"]) else { return };
    annotations.retain(|key, _| !key.contains("/actions.") || !managed.contains(key.as_str()));
}

/// The object as it is compared: what an autoscaler owns is left out.
pub fn compared(wanted: &Value, autoscaler: Option<&Autoscaler>, live: Option<&Value>) -> Value {
    let mut object = wanted.clone();
    if autoscaler.is_some() && live.is_some() {
        remove(&mut object, &["spec", "replicas"]);
    }
    object
}

/// The object as it is sent: tied to the live object's identity, and, where a
/// value rests on one reading, to that reading.
pub fn sent(mut object: Value, live: Option<&Value>) -> Value {
    let Some(live) = live else { return object };
    // A selector is one value to the server: leaving the canary's key out would drop it.
    let moved = match object::kind(&object) {
        "Service" => live["spec"]["selector"].get(HASH).cloned(),
        _ => None,
    };
    if let Some(metadata) = map_at(&mut object, &["metadata"]) {
        metadata.insert("uid".into(), object::uid(live).into());
        if moved.is_some() {
            metadata.insert("resourceVersion".into(), object::resource_version(live).into());
        }
    }
    // Only now is the selector asked for: asking makes it.
    if let Some(hash) = moved
        && let Some(selector) = map_at(&mut object, &["spec", "selector"])
    {
        selector.insert(HASH.into(), hash);
    }
    object
}

/// Paths that we may own without naming them, and that are no drift.
pub fn is_left_alone(path: &str, autoscaler: Option<&Autoscaler>) -> bool {
    path == ".spec.replicas" && autoscaler.is_some()
        || path == format!(".spec.selector.{HASH}")
        || path == format!(".metadata.annotations.{MANAGED_BY}")
        || path.starts_with(".metadata.annotations.") && path.contains("/actions.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn traces_of_a_server_are_left_out_and_secrets_encoded() {
        let git = json!({ "apiVersion": "v1", "kind": "Secret", "stringData": { "a": "x" }, "data": { "b": "eQ==" }, "status": {},
            "metadata": { "name": "s", "uid": "1", "resourceVersion": "2", "creationTimestamp": null,
                "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}", "keep": "1" } } });
        let done = complete(git, "petclinic", Served::Namespaced);
        assert_eq!(
            done,
            json!({ "apiVersion": "v1", "kind": "Secret", "data": { "b": "eQ==", "a": "eA==" },
            "metadata": { "name": "s", "namespace": "petclinic", "annotations": { "keep": "1" } } })
        );
        let role = json!({ "kind": "ClusterRole", "metadata": { "name": "r", "namespace": "x" } });
        assert_eq!(complete(role, "petclinic", Served::Cluster)["metadata"], json!({ "name": "r" }));
    }

    #[test]
    fn a_service_keeps_the_canarys_key_in_its_selector() {
        let git = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "was-stable", "namespace": "p" },
            "spec": { "selector": { "app": "was" } } });
        let live = json!({ "metadata": { "uid": "u", "resourceVersion": "7" }, "spec": { "selector": { "app": "was", HASH: "abc" } } });
        let wanted = wanted(git, "petclinic", Some(&live));
        assert!(super::super::diff::compare("", &wanted["spec"], &live["spec"]).is_empty());
        let other = sent(json!({ "kind": "ConfigMap", "metadata": {} }), Some(&live));
        assert_eq!(other, json!({ "kind": "ConfigMap", "metadata": { "uid": "u" } }));
        let sent = sent(wanted, Some(&live));
        assert_eq!(sent["spec"]["selector"], json!({ "app": "was", HASH: "abc" }));
        assert_eq!((&sent["metadata"]["uid"], &sent["metadata"]["resourceVersion"]), (&json!("u"), &json!("7")));
    }

    #[test]
    fn a_rollout_that_we_create_is_ours_and_anothers_is_not() {
        let git = || json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": { "name": "was", "namespace": "p" } });
        let born = wanted(git(), "petclinic", None);
        assert_eq!(annotation(&born, OWNER), Some("bespin"));
        assert_eq!(label(&born, INSTANCE), Some("bespin"));
        let foreign = wanted(git(), "petclinic", Some(&json!({ "metadata": {} })));
        assert_eq!(annotation(&foreign, OWNER), None);
        let ours = json!({ "metadata": { "annotations": { OWNER: "second" }, "labels": { INSTANCE: "second" } } });
        assert_eq!(label(&wanted(git(), "petclinic", Some(&ours)), INSTANCE), Some("second"));
    }

    #[test]
    fn replicas_of_an_autoscaled_object_are_sent_on_creation_only() {
        let autoscaler = Autoscaler { kind: "HPA", name: "h".into(), min: 2, max: 5 };
        let git = json!({ "spec": { "replicas": 2, "paused": true } });
        assert_eq!(compared(&git, Some(&autoscaler), None), git);
        assert_eq!(compared(&git, Some(&autoscaler), Some(&json!({}))), json!({ "spec": { "paused": true } }));
        assert_eq!(compared(&git, None, Some(&json!({}))), git);
        assert!(is_left_alone(".spec.replicas", Some(&autoscaler)) && !is_left_alone(".spec.replicas", None));
    }
}
