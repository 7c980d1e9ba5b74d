//! Lists as tables, the way kubectl asks for them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::clock;
use super::kind::Kind;
use super::select::Labels;

type Cell = fn(&Value) -> Value;

/// The columns of a kind between its name and its age.
fn columns(kind: &str) -> &'static [(&'static str, Cell)] {
    match kind {
        "Pod" => &[
            ("Ready", pod_ready),
            ("Status", pod_status),
            ("Restarts", pod_restarts),
            ("IP", |o| at(o, "/status/podIP")),
            ("Node", |o| at(o, "/spec/nodeName")),
        ],
        "Deployment" => &[
            ("Ready", |o| json!(format!("{}/{}", number(o, "/status/readyReplicas"), number(o, "/spec/replicas")))),
            ("Up-to-date", |o| json!(number(o, "/status/updatedReplicas"))),
            ("Available", |o| json!(number(o, "/status/availableReplicas"))),
        ],
        "StatefulSet" => {
            &[("Ready", |o| json!(format!("{}/{}", number(o, "/status/readyReplicas"), number(o, "/spec/replicas"))))]
        }
        "ReplicaSet" => &[
            ("Desired", |o| json!(number(o, "/spec/replicas"))),
            ("Current", |o| json!(number(o, "/status/replicas"))),
            ("Ready", |o| json!(number(o, "/status/readyReplicas"))),
        ],
        "Service" => &[
            ("Type", |o| at(o, "/spec/type")),
            ("Cluster-IP", |o| at(o, "/spec/clusterIP")),
            ("Port(s)", ports),
            ("Selector", |o| json!(Labels::of_spec(&o["spec"]["selector"]).map(|l| l.to_string()))),
        ],
        "HorizontalPodAutoscaler" => &[
            ("Reference", |o| {
                json!(format!("{}/{}", text(o, "/spec/scaleTargetRef/kind"), text(o, "/spec/scaleTargetRef/name")))
            }),
            ("MinPods", |o| at(o, "/spec/minReplicas")),
            ("MaxPods", |o| at(o, "/spec/maxReplicas")),
            ("Replicas", |o| json!(number(o, "/status/currentReplicas"))),
        ],
        "Namespace" => &[("Status", |o| at(o, "/status/phase"))],
        "Node" => &[("Status", |_| json!("Ready")), ("Version", |o| at(o, "/status/nodeInfo/kubeletVersion"))],
        "ConfigMap" | "Secret" => &[("Data", |o| json!(o["data"].as_object().map_or(0, serde_json::Map::len)))],
        "Event" => {
            &[("Type", |o| at(o, "/type")), ("Reason", |o| at(o, "/reason")), ("Message", |o| at(o, "/message"))]
        }
        _ => &[],
    }
}

fn at(object: &Value, pointer: &str) -> Value {
    object.pointer(pointer).cloned().unwrap_or(json!("<none>"))
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn containers(pod: &Value) -> &[Value] {
    pod["status"]["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn pod_ready(pod: &Value) -> Value {
    let ready = containers(pod).iter().filter(|c| c["ready"] == true).count();
    let all = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    json!(format!("{ready}/{all}"))
}

fn pod_status(pod: &Value) -> Value {
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return json!("Terminating");
    }
    let waiting = containers(pod).iter().find_map(|c| c["state"]["waiting"]["reason"].as_str());
    json!(waiting.unwrap_or_else(|| text(pod, "/status/phase")))
}

fn pod_restarts(pod: &Value) -> Value {
    json!(containers(pod).iter().filter_map(|c| c["restartCount"].as_i64()).sum::<i64>())
}

fn ports(service: &Value) -> Value {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let one = |p: &Value| format!("{}/{}", p["port"], p["protocol"].as_str().unwrap_or("TCP"));
    json!(ports.map(one).collect::<Vec<_>>().join(","))
}

fn age(object: &Value) -> Value {
    let Some(seconds) = clock::seconds_since(text(object, "/metadata/creationTimestamp")) else {
        return json!("<unknown>");
    };
    let seconds = seconds.max(0.0) as u64;
    json!(match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    })
}

/// Objects as a `meta.k8s.io/v1` Table.
pub fn render(kind: &Kind, objects: &[Arc<Value>], metadata: Value) -> Value {
    let columns = columns(&kind.kind);
    let column = |name: &str| json!({"name": name, "type": "string", "format": "", "description": name, "priority": 0});
    let mut definitions =
        vec![json!({"name": "Name", "type": "string", "format": "name", "description": "Name", "priority": 0})];
    definitions.extend(columns.iter().map(|(name, _)| column(name)));
    definitions.push(column("Age"));
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut cells = vec![object["metadata"]["name"].clone()];
            cells.extend(columns.iter().map(|(_, cell)| cell(object)));
            cells.push(age(object));
            let partial = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"]});
            json!({"cells": cells, "object": partial})
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": definitions,
        "rows": rows})
}
