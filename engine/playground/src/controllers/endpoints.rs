//! Endpoints: the addresses of the pods that a Service selects.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Again, Control, MANAGER, own, text};
use crate::api::refusal::Refusal;
use crate::api::select::{Labels, Selection};
use crate::api::store::Key;
use crate::api::{Deletion, Part, Write};

/// The Services that select a pod.
pub(super) fn selecting(control: &Control, namespace: &str, pod: &Value) -> Vec<Key> {
    let kind = control.api.built_in("Service");
    let (services, _) = control.api.list(&kind, namespace, &Selection::default());
    let selects = |service: &&Arc<Value>| selector(service).is_some_and(|labels| labels.matches(pod));
    services.iter().filter(selects).map(|s| Key::new(&kind, namespace, text(s, "/metadata/name"))).collect()
}

/// A Service without a selector selects nothing: its endpoints are somebody else's.
fn selector(service: &Value) -> Option<Labels> {
    let map = service["spec"]["selector"].as_object().filter(|map| !map.is_empty())?;
    Labels::of_spec(&Value::Object(map.clone()))
}

/// Writes the Endpoints of a Service.
pub(super) fn look(control: &Control, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let endpoints = api.built_in("Endpoints");
    let Ok(service) = api.get(&api.built_in("Service"), &key.namespace, &key.name) else {
        return match api.delete(&endpoints, &key.namespace, &key.name, &Deletion::default()) {
            Err(Refusal { code: 404, .. }) | Ok(_) => Ok(None),
            Err(other) => Err(other),
        };
    };
    let Some(labels) = selector(&service) else {
        return Ok(None);
    };
    let selection = Selection { labels, ..Selection::default() };
    let (pods, _) = api.list(&api.built_in("Pod"), &key.namespace, &selection);
    let subsets = subsets(&service, &pods);
    match api.get(&endpoints, &key.namespace, &key.name) {
        Ok(old) => {
            let mut new = own(&old);
            match subsets.is_empty() {
                true => {
                    if let Some(map) = new.as_object_mut() {
                        map.shift_remove("subsets");
                    }
                }
                false => new["subsets"] = subsets.into(),
            }
            if new != *old {
                api.update(&endpoints, &key.namespace, &key.name, Part::Whole, new, &Write::by(MANAGER))?;
            }
        }
        Err(_) => {
            let mut new = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": key.name}});
            new["metadata"]["labels"] = service["metadata"].get("labels").cloned().unwrap_or_else(|| json!({}));
            new["metadata"]["labels"]["endpoints.kubernetes.io/managed-by"] = "endpoint-controller".into();
            if service["spec"]["clusterIP"] == "None" {
                new["metadata"]["labels"]["service.kubernetes.io/headless"] = "".into();
            }
            if !subsets.is_empty() {
                new["subsets"] = subsets.into();
            }
            api.create(&endpoints, &key.namespace, new, &Write::by(MANAGER))?;
        }
    }
    Ok(None)
}

fn subsets(service: &Value, pods: &[Arc<Value>]) -> Vec<Value> {
    let (mut ready, mut unready) = (Vec::new(), Vec::new());
    let mut sample = None;
    for pod in pods {
        let over = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
        let going = pod["metadata"]["deletionTimestamp"].is_string();
        let Some(ip) = pod["status"]["podIP"].as_str().filter(|_| !over && !going) else {
            continue;
        };
        sample = Some(pod);
        let mut address = json!({
            "ip": ip,
            "nodeName": pod["spec"]["nodeName"],
            "targetRef": {"kind": "Pod", "namespace": pod["metadata"]["namespace"], "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"]},
        });
        if pod["spec"]["subdomain"] == service["metadata"]["name"] && pod["spec"]["hostname"].is_string() {
            address["hostname"] = pod["spec"]["hostname"].clone();
        }
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let is_ready = conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
        let unasked = service["spec"]["publishNotReadyAddresses"] == true;
        if is_ready || unasked { ready.push(address) } else { unready.push(address) }
    }
    let Some(sample) = sample else {
        return Vec::new();
    };
    let mut subset = json!({});
    if !ready.is_empty() {
        subset["addresses"] = ready.into();
    }
    if !unready.is_empty() {
        subset["notReadyAddresses"] = unready.into();
    }
    let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let ports: Vec<Value> = ports.iter().filter_map(|port| endpoint_port(port, sample)).collect();
    if !ports.is_empty() {
        subset["ports"] = ports.into();
    }
    vec![subset]
}

fn endpoint_port(port: &Value, pod: &Value) -> Option<Value> {
    let target = match &port["targetPort"] {
        Value::String(name) => {
            let containers = pod["spec"]["containers"].as_array()?.iter();
            let mut ports = containers.flat_map(|c| c["ports"].as_array().into_iter().flatten());
            ports.find(|p| p["name"] == name.as_str())?["containerPort"].clone()
        }
        other => other.clone(),
    };
    let mut out = json!({"port": target, "protocol": port["protocol"]});
    if let Some(name) = port.get("name") {
        out["name"] = name.clone();
    }
    Some(out)
}
