//! Namespaces: what each is born with, and how one goes.

use serde_json::json;

use super::{Again, Control, MANAGER, own};
use crate::api::refusal::Refusal;
use crate::api::{Deletion, Part, Write};

/// Furnishes a live namespace, and empties a dying one.
pub(super) fn look(control: &Control, name: &str) -> Result<Again, Refusal> {
    let api = &control.api;
    let namespaces = api.built_in("Namespace");
    let Ok(namespace) = api.get(&namespaces, "", name) else {
        return Ok(None);
    };
    if !namespace["metadata"]["deletionTimestamp"].is_string() {
        return furnish(control, name);
    }
    let inside = api.in_namespace(name);
    for key in &inside {
        let Some(kind) = api.stored_kind(key) else {
            continue;
        };
        match api.delete(&kind, name, &key.name, &Deletion::default()) {
            Ok(_) | Err(Refusal { code: 404, .. }) => {}
            Err(other) => return Err(other),
        }
    }
    // What has finalizers or grace goes later, and each that goes brings another look.
    if api.in_namespace(name).is_empty() {
        let mut finished = own(&namespace);
        finished["spec"]["finalizers"] = json!([]);
        api.update(&namespaces, "", name, Part::Whole, finished, &Write::by(MANAGER))?;
    }
    Ok(None)
}

fn furnish(control: &Control, name: &str) -> Result<Again, Refusal> {
    let api = &control.api;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    let kind = api.built_in("ServiceAccount");
    if !api.exists(&kind, name, "default") {
        api.create(&kind, name, account, &Write::by(MANAGER))?;
    }
    let root = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": ""}});
    let kind = api.built_in("ConfigMap");
    if !api.exists(&kind, name, "kube-root-ca.crt") {
        api.create(&kind, name, root, &Write::by(MANAGER))?;
    }
    Ok(None)
}
