//! The load balancer controller's stand-in: Ingresses and Services of type LoadBalancer get an address.

use serde_json::{Value, json};

use super::{Again, Control, own, text};
use crate::api::refusal::Refusal;
use crate::api::store::Key;
use crate::api::{Part, Write};

/// The field manager that the AWS Load Balancer Controller writes under.
const MANAGER: &str = "controller";

/// Writes the address into the status.
pub(super) fn look(control: &Control, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let kind = api.built_in(if key.plural == "ingresses" { "Ingress" } else { "Service" });
    let Ok(object) = api.get(&kind, &key.namespace, &key.name) else {
        return Ok(None);
    };
    let balanced = key.plural == "ingresses" || text(&object, "/spec/type") == "LoadBalancer";
    let has_address = object["status"]["loadBalancer"]["ingress"].as_array().is_some_and(|l| !l.is_empty());
    if !balanced || has_address || object["metadata"]["deletionTimestamp"].is_string() {
        return Ok(None);
    }
    let mut new: Value = own(&object);
    let hostname = format!("k8s-{}-{}.elb.playground.internal", key.namespace, key.name);
    new["status"]["loadBalancer"] = json!({"ingress": [{"hostname": hostname}]});
    api.update(&kind, &key.namespace, &key.name, Part::Status, new, &Write::by(MANAGER))?;
    Ok(None)
}
