//! The statuses that a kubelet writes.

use serde_json::{Value, json};

use crate::api::clock;

/// What a pod's containers are doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// They run, and are ready or not.
    Running(Ready),
    /// They wait, for this reason; they have run and crashed so often.
    Waiting {
        /// The waiting reason in the container's status, such as `CrashLoopBackOff`.
        reason: &'static str,
        /// How often they were restarted.
        restarts: u32,
    },
    /// They have exited with this code.
    Exited(i64),
}

/// Whether containers are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// Every container has passed its readiness.
    Yes,
    /// Not yet, or never.
    No,
}

/// The addresses of a pod.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The node's IP address (`hostIP`).
    pub host: String,
    /// The pod's own IP address (`podIP`).
    pub pod: String,
}

/// The status of a pod whose containers are all in this state.
pub(super) fn of_pod(pod: &Value, place: &Place, state: &State) -> Value {
    let (phase, ready) = match state {
        State::Running(Ready::Yes) => ("Running", true),
        State::Running(Ready::No) => ("Running", false),
        State::Waiting { restarts: 0, .. } => ("Pending", false),
        State::Waiting { .. } => ("Running", false),
        State::Exited(0) => ("Succeeded", false),
        State::Exited(_) => ("Failed", false),
    };
    let exited = matches!(state, State::Exited(_));
    let containers = pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let statuses: Vec<Value> = containers.iter().map(|container| of_container(container, pod, state)).collect();
    let names: Vec<&str> = containers.iter().filter_map(|c| c["name"].as_str()).collect();
    let unready = format!("containers with unready status: [{}]", names.join(" "));
    let now = clock::now();
    let condition = |kind: &str, yes: bool, reason: &str, message: &str| {
        let mut condition = json!({"type": kind, "status": if yes { "True" } else { "False" }, "lastProbeTime": null});
        let old = pod["status"]["conditions"].as_array().and_then(|l| l.iter().find(|c| c["type"] == kind));
        let kept = old.filter(|old| old["status"] == condition["status"]);
        condition["lastTransitionTime"] = kept.map_or(json!(now), |old| old["lastTransitionTime"].clone());
        if !yes || exited {
            let or_none = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
            condition["reason"] = or_none(reason);
            condition["message"] = or_none(message);
        } else {
            condition["reason"] = Value::Null;
            condition["message"] = Value::Null;
        }
        condition
    };
    let (reason, message) = if exited { ("PodCompleted", "") } else { ("ContainersNotReady", unready.as_str()) };
    let gates = gates_open(pod);
    let (ready_reason, ready_message) = if ready && !gates {
        ("ReadinessGatesNotReady", "corresponding condition of pod readiness gate does not exist.")
    } else {
        (reason, message)
    };
    json!({"status": {
        "phase": phase,
        "conditions": [
            condition("PodReadyToStartContainers", !exited, "", ""),
            condition("Initialized", true, if exited { "PodCompleted" } else { "" }, ""),
            condition("Ready", ready && gates, ready_reason, ready_message),
            condition("ContainersReady", ready, reason, message),
            condition("PodScheduled", true, "", ""),
        ],
        "containerStatuses": statuses,
        "hostIP": place.host,
        "hostIPs": [{"ip": place.host}],
        "podIP": place.pod,
        "podIPs": [{"ip": place.pod}],
        "startTime": pod["status"].get("startTime").cloned().unwrap_or(json!(now)),
    }})
}

fn of_container(container: &Value, pod: &Value, state: &State) -> Value {
    let now = clock::now();
    let image = container["image"].as_str().unwrap_or_default();
    let name = &container["name"];
    let id = |pulled: bool| {
        let hash = <sha2::Sha256 as sha2::Digest>::digest(format!("{}{name}", pod["metadata"]["uid"]).as_bytes());
        if pulled { format!("containerd://{}", hex::encode(hash)) } else { String::new() }
    };
    let image_id = format!("playground/{image}");
    let started = json!({"running": {"startedAt": now}});
    let mut status = json!({"name": name, "image": image, "imageID": image_id, "containerID": id(true), "restartCount": 0,
        "ready": false, "started": true, "state": started, "lastState": {}});
    match state {
        State::Running(ready) => {
            status["ready"] = (*ready == Ready::Yes).into();
            let old = pod["status"]["containerStatuses"].as_array().and_then(|l| l.iter().find(|c| c["name"] == *name));
            if let Some(running) = old.map(|o| &o["state"]).filter(|s| s["running"].is_object()) {
                status["state"] = running.clone();
            }
        }
        State::Waiting { reason, restarts: 0 } => {
            status["imageID"] = "".into();
            status["containerID"] = "".into();
            status["started"] = false.into();
            let message = match *reason {
                "ImagePullBackOff" => format!("Back-off pulling image {image:?}"),
                _ => format!("failed to pull and unpack image {image:?}: not found"),
            };
            status["state"] = json!({"waiting": {"reason": reason, "message": message}});
        }
        State::Waiting { reason, restarts } => {
            let message = format!(
                "back-off restarting failed container={} pod={}",
                name.as_str().unwrap_or_default(),
                pod["metadata"]["name"].as_str().unwrap_or_default()
            );
            status["restartCount"] = (*restarts).into();
            status["started"] = false.into();
            status["state"] = json!({"waiting": {"reason": reason, "message": message}, "running": null});
            status["lastState"] = json!({"terminated": {"exitCode": 1, "reason": "Error", "startedAt": now,
                "finishedAt": now, "containerID": id(true)}});
        }
        State::Exited(code) => {
            let reason = if *code == 0 { "Completed" } else { "Error" };
            status["started"] = false.into();
            status["state"] = json!({"running": null, "terminated": {"exitCode": code, "reason": reason,
                "startedAt": now, "finishedAt": now, "containerID": id(true)}});
        }
    }
    status
}

/// Whether every readiness gate's condition is True.
pub(super) fn gates_open(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut gates = pod["spec"]["readinessGates"].as_array().into_iter().flatten();
    gates.all(|gate| conditions.iter().any(|c| c["type"] == gate["conditionType"] && c["status"] == "True"))
}

/// Whether a pod waits only for gates that are open now.
pub(super) fn gates_opened(pod: &Value) -> bool {
    let has_gates = pod["spec"]["readinessGates"].as_array().is_some_and(|l| !l.is_empty());
    let is = |kind: &str, status: &str| {
        pod["status"]["conditions"]
            .as_array()
            .is_some_and(|l| l.iter().any(|c| c["type"] == kind && c["status"] == status))
    };
    has_gates && is("ContainersReady", "True") && is("Ready", "False") && gates_open(pod)
}

/// The status of a node.
pub(super) fn of_node(name: &str, n: u32) -> Value {
    let now = clock::now();
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": reason, "lastHeartbeatTime": now,
            "lastTransitionTime": now})
    };
    let size = json!({"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti"});
    json!({"status": {
        "capacity": size,
        "allocatable": size,
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
            condition("Ready", "True", "KubeletReady"),
        ],
        "addresses": [{"type": "InternalIP", "address": host(n)}, {"type": "Hostname", "address": name}],
        "nodeInfo": {"kubeletVersion": "v1.33.0", "osImage": "playground", "architecture": "amd64",
            "operatingSystem": "linux", "containerRuntimeVersion": "containerd://2.0.0", "kernelVersion": "6.1",
            "machineID": name, "systemUUID": name, "bootID": name, "kubeProxyVersion": "v1.33.0"},
    }})
}

/// The address of a node.
pub(super) fn host(n: u32) -> String {
    format!("10.0.{}.{}", n >> 8, n & 0xff)
}
